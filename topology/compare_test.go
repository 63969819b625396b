package topology_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

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

// patterned is a program that reads topics by a pattern.
func patterned(expression string, stores ...state.Spec) func(b *topology.Builder) {
	return func(b *topology.Builder) {
		p := topology.NewTopicPattern(expression, serde.String(), serde.String())
		pass(b.SourcePattern(p, topology.SourceSpec[string, string]{NodeSpec: node("stream-pattern", "read")}), node("remember", "memory", stores...))
	}
}

// globally is the part of a program that has global stores, all of one topic.
func globally(topic string, stores ...state.Spec) func(b *topology.Builder) {
	return func(b *topology.Builder) {
		for _, st := range stores {
			b.Global(text(topic), st, node("global-table", ""), func(*topology.NodeContext) (topology.Processor[string, string], error) {
				return topology.ProcessorFunc[string, string](func(*topology.Record[string, string]) error { return nil }), nil
			})
		}
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
	numbers := func(name string) state.KeyValueSpec[string, int64] {
		return state.KeyValue(name, serde.String(), serde.Int64())
	}
	for _, tt := range []struct {
		name      string
		old, next func(b *topology.Builder)
	}{
		{"same", counted, counted},
		{"renamed-from", remember("in", kv), remember("in", state.KeyValue("kv-2", serde.String(), serde.Int64()).RenamedFrom("kv"))},
		{"retention-grows-unlogged", remember("in", hourly.WithoutChangelog()), remember("in", hourly.WithoutChangelog().Retention(3*time.Hour))},
		{"other-special-kinds",
			remember("in", state.LRU("lru", serde.String(), serde.String(), 5), state.Versioned("versions", serde.String(), serde.String(), time.Hour),
				state.Buffer("buffer", serde.String(), serde.String()), state.Window("records", serde.String(), serde.String()).Retention(time.Hour).Duplicates()),
			remember("in", state.LRU("buffer", serde.String(), serde.String(), 5), state.Versioned("lru", serde.String(), serde.String(), time.Hour),
				state.Buffer("versions", serde.String(), serde.String()), state.Window("records", serde.String(), serde.String()).Retention(time.Hour))},
		{"lru-shrinks", remember("in", state.LRU("lru", serde.String(), serde.String(), 5)), remember("in", state.LRU("lru", serde.String(), serde.String(), 4))},
		{"lru-grows", remember("in", state.LRU("lru", serde.String(), serde.String(), 5)), remember("in", state.LRU("lru", serde.String(), serde.String(), 6))},
		{"pattern-comes", remember("in", kv), patterned("in.*", kv)},
		{"pattern-changes", patterned("in.*", kv), patterned("in-.*", kv)},
		{"globals", both(stateless, globally("gone", kv), globally("t1", numbers("moves"), numbers("memory").InMemory(), numbers("retyped"), numbers("brief").InMemory())),
			both(stateless, globally("new", numbers("new")), globally("t2", numbers("moves"), numbers("memory")),
				globally("t1", state.KeyValue("retyped", serde.Int64(), serde.Int64())))},
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

// Whatever two manifests are: programs of another signature are told what is different.
func TestCompare_FindsADifferenceWhereTheSignatureHasOne(t *testing.T) {
	t.Parallel()
	few := func(t *rapid.T, what string, names ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID[string]).Draw(t, what)
	}
	draw := func(t *rapid.T) topology.Manifest {
		one := func(what string) string { return rapid.SampledFrom([]string{"x", "y"}).Draw(t, what) }
		m := topology.Manifest{Version: 1}
		taken := map[string]bool{}
		for range rapid.IntRange(1, 2).Draw(t, "subtopologies") {
			var s topology.SubtopologyManifest
			for _, name := range few(t, "sources", "a", "b", "c") {
				if !taken["source "+name] {
					taken["source "+name] = true
					s.Sources = append(s.Sources, name)
				}
			}
			for _, name := range few(t, "patterns", "a.*", "b.*") {
				if !taken["pattern "+name] {
					taken["pattern "+name] = true
					s.Patterns = append(s.Patterns, name)
				}
			}
			for _, name := range few(t, "repartitions", "r", "s") {
				if !taken["repartition "+name] {
					taken["repartition "+name] = true
					s.Repartitions = append(s.Repartitions, topology.RepartitionManifest{
						Name: name, KeyType: one("key"), ValueType: one("value"), Partitions: rapid.Int32Range(0, 2).Draw(t, "partitions"),
					})
				}
			}
			for _, name := range few(t, "stores", "s", "t") {
				if !taken["store "+name] {
					taken["store "+name] = true
					s.Stores = append(s.Stores, topology.StoreManifest{
						Name: name, Kind: one("kind"), KeyType: one("key"), ValueType: one("value"), MaxRows: rapid.IntRange(0, 1).Draw(t, "rows"),
						RetentionMs: rapid.Int64Range(0, 2).Draw(t, "retention"), Changelog: rapid.Bool().Draw(t, "logged"),
						InMemory: rapid.Bool().Draw(t, "memory"), Layout: one("layout"),
					})
				}
			}
			if len(s.Sources)+len(s.Patterns)+len(s.Repartitions) == 0 {
				continue // there is no such thing
			}
			slices.Sort(s.Sources)
			slices.Sort(s.Patterns)
			slices.SortFunc(s.Repartitions, func(a, b topology.RepartitionManifest) int { return strings.Compare(a.Name, b.Name) })
			slices.SortFunc(s.Stores, func(a, b topology.StoreManifest) int { return strings.Compare(a.Name, b.Name) })
			m.Subtopologies = append(m.Subtopologies, s)
		}
		names := few(t, "globals", "g", "h")
		slices.Sort(names)
		for _, name := range names {
			m.Globals = append(m.Globals, topology.GlobalManifest{
				Name: name, Topic: one("topic"), Kind: one("kind"), KeyType: one("key"), ValueType: one("value"), InMemory: rapid.Bool().Draw(t, "memory"),
			})
		}
		return m
	}
	rapid.Check(t, func(t *rapid.T) {
		a := draw(t)
		encoded, err := a.Encode()
		require.NoError(t, err)
		again, err := topology.DecodeManifest(encoded)
		require.NoError(t, err)
		require.Equal(t, a.Signature(), again.Signature())
		require.Empty(t, topology.Compare(a, again))
		b := draw(t)
		if a.Signature() != b.Signature() {
			require.NotEmpty(t, topology.Compare(a, b))
		}
	})
}

func TestManifest_NamesTheInternalTopics(t *testing.T) {
	t.Parallel()
	top := build(t, repartitioned(rekey("by"), serde.String(), state.KeyValue("kv", serde.String(), serde.Int64()).RenamedFrom("old"),
		state.KeyValue("local", serde.String(), serde.Int64()).WithoutChangelog()))
	require.Equal(t, []string{"app-by-repartition", "app-old-changelog"}, top.Manifest().InternalTopics("app"))
	plan, err := top.Plan("app", func(string) (int32, bool) { return 1, true })
	require.NoError(t, err)
	for _, i := range plan.Internal {
		require.Contains(t, top.Manifest().InternalTopics("app"), i.Name)
		require.True(t, topology.IsInternalTopic("app", i.Name))
		require.False(t, topology.IsInternalTopic("ap", i.Name))
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
