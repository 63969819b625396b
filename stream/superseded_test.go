package stream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream/streamtest"
	"github.com/weirstream/weir/topology"
)

// past is a table in which a value that begins with "old" is an update of the past.
func past(b *Builder, name string) Table[string, string] {
	port := b.Stream(NewTopic(name, serde.String(), serde.String())).port
	t := &tableNode[string, string]{versioned: true}
	t.stores = func() []state.Spec { return nil }
	t.read = func(*topology.NodeContext) (lookup[string, string], error) {
		return func(string) (state.Row[string], bool, error) { return state.Row[string]{Value: name}, true, nil }, nil
	}
	t.port = port.Attach(topology.NodeSpec{Op: "past"}, func(_ *topology.NodeContext, next topology.Processor[string, topology.Change[string]]) (
		topology.Processor[string, string], error) {
		var out Record[string, topology.Change[string]]
		return topology.ProcessorFunc[string, string](func(r *Record[string, string]) error {
			forward(&out, r, topology.Change[string]{New: r.Value, HasNew: !r.Tombstone, Superseded: strings.HasPrefix(r.Value, "old")})
			return next.Process(&out)
		}), nil
	})
	return Table[string, string]{b, t}
}

func TestSupersededUpdates_EndAtJoinsAndGroups(t *testing.T) {
	t.Parallel()
	kept := func(name string) state.KeyValueSpec[string, string] {
		return state.KeyValue(name, serde.String(), serde.String())
	}
	letter := func(k, v string) (string, string) { return v[:1], v }
	via := NewRepartition("groups", serde.String(), serde.String())
	both := func(l, r string) string { return l + "+" + r }
	short := func(_, v string) bool { return len(v) < 6 }
	upper := func(v string) string { return strings.ToUpper(v) }
	for _, test := range []struct {
		name       string
		program    func(a, b Table[string, string]) Table[string, string]
		want       []string
		superseded int64
	}{
		{"Join", func(a, b Table[string, string]) Table[string, string] { return a.Join(b, both) },
			[]string{"now+b", "a+now", ""}, 2},
		{"a join's result is of the present", func(a, b Table[string, string]) Table[string, string] {
			return a.Join(b, both).Filter(func(_, v string) bool { return v == "" })
		}, nil, 2},
		{"GroupBy", func(a, _ Table[string, string]) Table[string, string] {
			return a.GroupBy(letter, via).Reduce(both, both, kept("acc"))
		}, []string{"now"}, 1},
		{"Filter passes them, and deletes of nothing", func(a, _ Table[string, string]) Table[string, string] {
			return a.Filter(short)
		}, []string{"now", "old-a", ""}, 0},
		{"Filter in a store of its own", func(a, _ Table[string, string]) Table[string, string] {
			return a.Filter(short).Materialize(kept("st")).MapValues(upper).Filter(func(_, v string) bool { return v == "NOW" })
		}, []string{"NOW", ""}, 0},
		{"MapValues, then GroupBy", func(a, _ Table[string, string]) Table[string, string] {
			return a.Filter(short).MapValues(upper).GroupBy(letter, via).Reduce(both, both, kept("acc"))
		}, []string{"NOW"}, 1},
		{"MapValues in a store of its own, then GroupBy", func(a, _ Table[string, string]) Table[string, string] {
			return a.MapValues(upper).Materialize(kept("st")).GroupBy(letter, via).Reduce(both, both, kept("acc"))
		}, []string{"NOW", "NOW+NOW", "OLD-A", "OLD-A+OLD-A"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := NewBuilder()
			out := NewTopic("out", serde.String(), serde.String())
			test.program(past(b, "a"), past(b, "b")).ToStream().To(out)
			top, err := b.Build()
			require.NoError(t, err)
			d := streamtest.New(t, top)
			for _, r := range []struct{ topic, value string }{{"a", "now"}, {"b", "now"}, {"a", "old-a"}, {"b", "old-b"}, {"a", ""}} {
				value := []byte(r.value)
				if r.value == "" {
					value = nil
				}
				d.SendRaw(r.topic, []byte("k"), value, d.Now())
			}
			var got []string
			for _, r := range d.ReadRaw("out") {
				got = append(got, string(r.Value))
			}
			require.Equal(t, test.want, got)
			require.Equal(t, test.superseded, d.Dropped("superseded"))
		})
	}
}
