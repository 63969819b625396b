package stream_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// foreignModel are the tables of joins by foreign key, as maps.
type foreignModel map[string]map[string]string

func (m foreignModel) set(topic, k, v string) {
	if v == "null" {
		delete(m[topic], k)
	} else {
		m[topic][k] = v
	}
}

// join is what the join of two tables must be.
func (m foreignModel) join(left, right string, keepsLeft bool) map[string]string {
	out := map[string]string{}
	for k, v := range m[left] {
		f, named := foreignKey(v)
		row, ok := m[right][f]
		switch {
		case named && ok:
			out[k] = plus(v, row)
		case keepsLeft:
			out[k] = v + "+none"
		}
	}
	return out
}

// foreignProgram joins in every way: inner and left, kept and not, with itself, and one result with a third table.
func foreignProgram(inMemory bool) *stream.Builder {
	b := stream.NewBuilder()
	via := func(name string) stream.ForeignJoin[string, string, string, string] {
		if inMemory {
			return foreign(name).InMemory()
		}
		return foreign(name)
	}
	l, r := b.Table(lines("left"), lineStore("left")), b.Table(lines("right"), lineStore("right"))
	inner := foreignJoin(l, r, false, via("inner")).Materialize(lineStore("inner-result"))
	inner.ToStream().To(lines("inner"))
	foreignJoin(l, r, true, via("left-join")).Materialize(lineStore("left-result")).ToStream().To(lines("left-join"))
	foreignJoin(l, r, false, via("unkept")).ToStream().To(lines("unkept"))
	foreignJoin(l, r, true, via("left-unkept")).ToStream().To(lines("left-unkept"))
	foreignJoin(l, l, false, via("self")).Materialize(lineStore("self-result")).ToStream().To(lines("self"))
	foreignJoin(inner, r, false, via("chain")).Materialize(lineStore("chain-result")).ToStream().To(lines("chain"))
	return b
}

func TestJoinForeign_IsTheJoinOfTheTablesInTheEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		leftParts := rapid.Int32Range(1, 3).Draw(rt, "left partitions")
		rightParts := rapid.Int32Range(1, 3).Draw(rt, "right partitions")
		opts := []streamtest.Option{
			streamtest.Partitions("left", leftParts), streamtest.Partitions("right", rightParts), streamtest.ManualCommit(),
			streamtest.CacheBytes(rapid.SampledFrom([]int64{0, 1 << 20}).Draw(rt, "cache")),
		}
		for _, topic := range []string{"inner", "left-join", "unkept", "left-unkept", "self", "chain"} {
			opts = append(opts, streamtest.Partitions(topic, leftParts))
		}
		d := start(t, foreignProgram(rapid.Bool().Draw(rt, "in memory")), opts...)
		m := foreignModel{"left": {}, "right": {}}
		for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			topic := rapid.SampledFrom([]string{"left", "left", "right"}).Draw(rt, "topic")
			keys, values := []string{"a", "ab", "b"}, []string{"A", "B", "null"}
			if topic == "left" {
				keys, values = []string{"a", "k", "l", "m"}, []string{"a:1", "a:2", "ab:1", "b:1", "k:1", "c:1", "1", "2", "null"}
			}
			k, v := rapid.SampledFrom(keys).Draw(rt, "key"), rapid.SampledFrom(values).Draw(rt, "value")
			ts := int64(i) + rapid.Int64Range(0, 20).Draw(rt, "time")
			m.set(topic, k, v)
			feed(t, d, topic, fmt.Sprintf("%s=%s@%d", k, v, ts))
			unsettle(d, rapid.SampledFrom([]string{"", "", "", "", "commit", "commit", "crash", "lose"}).Draw(rt, "then"))
		}
		settle(d)
		m["inner"] = m.join("left", "right", false)
		for topic, want := range map[string]map[string]string{
			"inner": m["inner"], "unkept": m["inner"], "left-join": m.join("left", "right", true), "left-unkept": m.join("left", "right", true),
			"self": m.join("left", "left", false), "chain": m.join("inner", "right", false),
		} {
			require.Equal(rt, want, tableOf(d, topic), topic)
			if store := strings.TrimSuffix(topic, "-join") + "-result"; !strings.Contains(topic, "unkept") {
				kept := map[string]string{}
				for p := range leftParts {
					for e, err := range streamtest.KeyValue(d, lineStore(store), p).All() {
						require.NoError(rt, err)
						kept[e.Key] = e.Value
					}
				}
				require.Equal(rt, want, kept, store)
			}
		}
		requireSubscriptions(rt, d, m)
	})
}

// unsettle does one thing that happens between records.
func unsettle(d *streamtest.Driver, then string) {
	switch then {
	case "commit":
		d.Commit()
	case "crash":
		d.Crash()
		d.Restart()
	case "lose":
		d.Crash()
		d.LoseDisk()
		d.Restart()
	}
}

// requireSubscriptions looks for a subscription of each row that names a key, and for no other.
func requireSubscriptions(t *rapid.T, d *streamtest.Driver, m foreignModel) {
	want := 0
	for _, v := range m["left"] {
		if _, ok := foreignKey(v); ok {
			want++
		}
	}
	got := map[string]bool{}
	for _, r := range d.ReadRaw("test-inner-subscriptions-changelog") {
		if got[string(r.Key)] = true; r.Value == nil {
			delete(got, string(r.Key))
		}
	}
	require.Len(t, got, want, "subscriptions")
}
