package topology_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// remember is a program with one topic and the stores.
func remember(topic string, stores ...state.Spec) func(b *topology.Builder) {
	return func(b *topology.Builder) { pass(read(b, text(topic)), node("remember", "memory", stores...)) }
}

// repartitioned is a program with one repartition and a store behind it.
func repartitioned[V any](r topology.Repartition[string, V], v serde.Serde[V], stores ...state.Spec) func(b *topology.Builder) {
	return func(b *topology.Builder) {
		in := read(b, topology.NewTopic("in", serde.String(), v))
		out := in.Through(r, topology.RepartitionSpec[string, V]{NodeSpec: node("repartition", "r")})
		pass(out, node("remember", "memory", stores...))
	}
}

// both is the two programs as one topology, the second part behind the first.
func both(programs ...func(b *topology.Builder)) func(b *topology.Builder) {
	return func(b *topology.Builder) {
		for _, p := range programs {
			p(b)
		}
	}
}

func TestCompare_HasTheRecordedAnswers(t *testing.T) {
	t.Parallel()
	kv := state.KeyValue("kv", serde.String(), serde.Int64())
	hourly := state.Window("hourly", serde.String(), serde.Int64()).Retention(time.Hour)
	by := rekey("by")
	for _, tt := range []struct {
		name      string
		old, next func(b *topology.Builder)
	}{
		{"same", counted, counted},
		{"first-store", remember("in"), remember("in", kv, hourly)},
		{"last-store-goes", remember("in", kv, hourly.WithoutChangelog(),
			state.KeyValue("brief", serde.String(), serde.String()).InMemory().WithoutChangelog()), remember("in")},
		{"renamed-store", remember("in", kv), remember("in", state.KeyValue("kv-2", serde.String(), serde.Int64()))},
		{"other-types", remember("in", kv, state.Buffer("held", serde.String(), serde.String())),
			remember("in", state.KeyValue("kv", serde.Int64(), serde.String()), state.Buffer("held", serde.String(), serde.Int64()))},
		{"other-kind", remember("in", state.KeyValue("hourly", serde.String(), serde.Int64())), remember("in", hourly)},
		{"other-topic", remember("in", kv), remember("other", kv)},
		{"logs", remember("in", kv, hourly.WithoutChangelog(), state.KeyValue("m", serde.String(), serde.Bool()).InMemory().WithoutChangelog()),
			remember("in", kv.WithoutChangelog(), hourly, state.KeyValue("m", serde.String(), serde.Bool()).InMemory())},
		{"memory", remember("in", kv.InMemory(), hourly, state.KeyValue("d", serde.String(), serde.Bool()).WithoutChangelog()),
			remember("in", kv, hourly.InMemory(), state.KeyValue("d", serde.String(), serde.Bool()).WithoutChangelog().InMemory())},
		{"memory-unlogged", remember("in", kv.InMemory()), remember("in", kv.WithoutChangelog())},
		{"retention-grows", remember("in", hourly), remember("in", hourly.Retention(3*time.Hour))},
		{"retention-shrinks", remember("in", hourly.WithoutChangelog()), remember("in", hourly.WithoutChangelog().Retention(30*time.Minute))},
		{"layout", remember("in", hourly), remember("in", hourly.TimeFirst())},
		{"moves", remember("in", kv, state.KeyValue("local", serde.String(), serde.Bool()).WithoutChangelog()),
			both(func(b *topology.Builder) { pass(read(b, text("front")), node("filter", "front")) },
				remember("in", kv, state.KeyValue("local", serde.String(), serde.Bool()).WithoutChangelog()))},
		{"repartition-comes", remember("in", kv), repartitioned(by, serde.String(), kv)},
		{"repartition-goes", repartitioned(by, serde.String(), kv), remember("in", kv)},
		{"repartition-types", repartitioned(by, serde.String(), kv),
			repartitioned(topology.NewRepartition("by", serde.String(), serde.Int64()), serde.Int64(), kv)},
		{"repartition-partitions", repartitioned(by.Partitions(4), serde.String()), repartitioned(by.Partitions(8), serde.String())},
		{"repartition-fixed", repartitioned(by, serde.String()), repartitioned(by.Partitions(8), serde.String())},
		{"repartition-freed", repartitioned(by.Partitions(8), serde.String()), repartitioned(by, serde.String())},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ds := topology.Compare(build(t, tt.old).Manifest(), build(t, tt.next).Manifest())
			got := ds.String() + "taken over: yes\n"
			if err := ds.Err(); err != nil {
				incompatible, ok := errors.AsType[*topology.IncompatibleError](err)
				require.True(t, ok)
				for _, d := range incompatible.Differences {
					require.Equal(t, topology.Breaks, d.Effect)
					require.Contains(t, err.Error(), d.String())
				}
				require.NotContains(t, err.Error(), "\n")
				got = ds.String() + "taken over: no\n"
			}
			golden.Equal(t, filepath.Join("testdata", "compare", tt.name+".txt"), got)
		})
	}
}

func TestManifest_HasTheRecordedForm(t *testing.T) {
	t.Parallel()
	for _, tt := range programs {
		m := build(t, tt.program).Manifest()
		b, err := m.Encode()
		require.NoError(t, err)
		golden.Equal(t, filepath.Join("testdata", "manifest", tt.name+".json"), string(b)+"\n")
		for range 10 {
			again, err := build(t, tt.program).Manifest().Encode()
			require.NoError(t, err)
			require.Equal(t, b, again)
		}
		read, err := topology.DecodeManifest(b)
		require.NoError(t, err)
		require.Equal(t, m, read)
		require.Empty(t, topology.Compare(m, read))
	}
}

func TestManifest_IsOfTheSameProgramsAsTheSignature(t *testing.T) {
	t.Parallel()
	for _, a := range programs {
		for _, b := range programs {
			x, y := build(t, a.program), build(t, b.program)
			require.Equal(t, x.Signature() == y.Signature(), len(topology.Compare(x.Manifest(), y.Manifest())) == 0, "%s, %s", a.name, b.name)
		}
	}
}

func TestDecodeManifest_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, b := range []string{"", "{", "[]", "{}", `{"version":2}`, `{"version":-1}`, `{"version":"1"}`} {
		_, err := topology.DecodeManifest([]byte(b))
		require.ErrorContains(t, err, "read manifest: ", b)
	}
	m, err := topology.DecodeManifest([]byte(`{"version":1,"subtopologies":[{"sources":["a"],"more":1}]}`))
	require.NoError(t, err, "fields may be added")
	require.Equal(t, []string{"a"}, m.Subtopologies[0].Sources)
}

func TestDifferences_ThatBreakComeFirst(t *testing.T) {
	t.Parallel()
	kv := state.KeyValue("kv", serde.String(), serde.Int64())
	ds := topology.Compare(build(t, remember("in", kv)).Manifest(),
		build(t, remember("other", state.KeyValue("kv", serde.String(), serde.String()))).Manifest())
	var effects []string
	for l := range strings.Lines(ds.String()) {
		effect, _, _ := strings.Cut(l, ":")
		effects = append(effects, effect)
	}
	require.Equal(t, []string{"breaks", "leaves data", "harmless"}, effects)
	require.NoError(t, ds[1:].Err())
	require.Error(t, ds.Err())
}
