package stream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// A programFault is a program that Build refuses.
type programFault struct {
	name    string
	program func(b *stream.Builder, s, other lineStream)
	want    string
}

func requireFaults(t *testing.T, faults []programFault) {
	t.Helper()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			f.program(b, b.Stream(lines("in")), b.Stream(lines("other")))
			_, err := b.Build()
			require.ErrorContains(t, err, f.want)
			require.ErrorContains(t, err, "handles_test.go:")
		})
	}
}

func ownValue(v string) (string, bool) { return v, true }

func textVersions(name string) state.VersionedSpec[string, string] {
	return state.Versioned(name, serde.String(), serde.String(), time.Hour)
}

func TestBuild_RefusesAnEmptyHandleOnEitherSide(t *testing.T) {
	t.Parallel()
	const empty = "a handle is empty or belongs to another builder"
	text := serde.String()
	first := func(k, _ string) string { return k }
	concat := func(_, v, a string) string { return a + v }
	requireFaults(t, []programFault{
		{"JoinTable", func(_ *stream.Builder, s, _ lineStream) { lineStream{}.JoinTable(s.ToTable(lineStore("t")), plus) }, empty},
		{"Join of tables", func(_ *stream.Builder, s, _ lineStream) { lineTable{}.Join(s.ToTable(lineStore("t")), plus) }, empty},
		{"JoinForeign", func(_ *stream.Builder, s, _ lineStream) {
			lineTable{}.JoinForeign(s.ToTable(lineStore("t")), ownValue, plus, stream.NewForeignJoin("j", text, text, text, text))
		}, empty},
		{"JoinVersioned", func(_ *stream.Builder, s, _ lineStream) {
			lineStream{}.JoinVersioned(s.ToVersionedTable(textVersions("v")), plus)
		}, empty},
		{"JoinGlobal", func(b *stream.Builder, _, _ lineStream) {
			lineStream{}.JoinGlobal(b.GlobalTable(lines("g"), lineStore("g")), first, plus)
		}, empty},
		{"Cogroup", func(_ *stream.Builder, s, _ lineStream) {
			stream.Grouped[string, string]{}.Cogroup(concat).With(s.GroupByKey(), concat)
		}, empty},
		{"Merge", func(_ *stream.Builder, s, _ lineStream) { lineStream{}.Merge(s) }, empty},
		{"a table without versions", func(_ *stream.Builder, s, other lineStream) {
			s.JoinVersioned(stream.VersionedTable[string, string]{Table: other.ToTable(lineStore("t"))}, plus)
		}, "the table has no versions"},
		{"a nil pointer to windows", func(_ *stream.Builder, s, _ lineStream) {
			s.GroupByKey().Window((*stream.Tumbling)(nil)).Count(windowStore("w"))
		}, "no windows: use Tumbling"},
		{"a buffer of no name", func(_ *stream.Builder, s, other lineStream) {
			s.JoinVersioned(other.ToVersionedTable(textVersions("v")), plus, stream.Grace(in(1), state.JoinBufferSpec[string, string]{}))
		}, `store ""`},
	})
}

// What two operators keep in one store, each would take for its own.
func TestBuild_RefusesOneStoreForTwoOperators(t *testing.T) {
	t.Parallel()
	text := serde.String()
	requireFaults(t, []programFault{
		{"ToTable", func(_ *stream.Builder, s, other lineStream) {
			s.ToTable(lineStore("x"))
			other.ToTable(lineStore("x"))
		}, `store "x" is kept by the to-table at handles_test.go:`},
		{"Materialize", func(_ *stream.Builder, s, _ lineStream) {
			for range 2 {
				s.ToTable(lineStore("t")).MapValues(strings.ToUpper).Materialize(lineStore("x"))
			}
		}, `store "x" is kept by the table-map-values at`},
		{"Aggregate under two names", func(_ *stream.Builder, s, other lineStream) {
			s.GroupByKey().Count(numberStore("x"), stream.Named("a"))
			other.GroupByKey().Count(numberStore("x"), stream.Named("b"))
		}, `store "x" is kept by the count at`},
		{"ToVersionedTable", func(_ *stream.Builder, s, other lineStream) {
			s.ToVersionedTable(textVersions("x"))
			other.ToVersionedTable(textVersions("x"))
		}, `store "x" is kept by the to-versioned-table at`},
		{"Grace", func(b *stream.Builder, s, other lineStream) {
			v := b.VersionedTable(lines("v"), textVersions("v"))
			for _, s := range []lineStream{s, other} {
				s.JoinVersioned(v, plus, stream.Grace(in(10), state.JoinBuffer("x", text, text)))
			}
		}, `store "x" is kept by the join-versioned at`},
		{"Join of streams under two names", func(_ *stream.Builder, s, other lineStream) {
			for _, name := range []string{"a", "b"} {
				s.Join(other, stream.Between{After: in(1)}, plus, state.Join("x", text, text, text), stream.Named(name))
			}
		}, `store "x-left" is kept by the join-stream at`},
		{"Suppress under two names", func(_ *stream.Builder, s, _ lineStream) {
			for _, name := range []string{"a", "b"} {
				s.ToTable(lineStore(name)).Suppress(state.Buffer("x", text, text), stream.UntilTimeLimit{}, stream.Named(name))
			}
		}, `store "x" is kept by the suppress at`},
	})
}

func TestBuild_RefusesToSuppressWhatIsDerivedOfVersions(t *testing.T) {
	t.Parallel()
	buffer := state.Buffer("buffer", serde.String(), serde.String())
	requireFaults(t, []programFault{{"MapValues", func(_ *stream.Builder, s, _ lineStream) {
		s.ToVersionedTable(textVersions("v")).MapValues(strings.ToUpper).Suppress(buffer, stream.UntilTimeLimit{})
	}, "the table is versioned"}})

	b := stream.NewBuilder()
	b.VersionedTable(lines("in"), textVersions("v")).MapValues(strings.ToUpper).Materialize(lineStore("newest")).
		Suppress(buffer, stream.UntilTimeLimit{}).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@5")
	require.Equal(t, []string{"k=A@5"}, read(d, "out"), "a store without versions ends them")
}

// The rows that a suppressed table reads through are those of the table that coalesces.
func TestBuild_RefusesToJoinASuppressedTableThatCoalesces(t *testing.T) {
	t.Parallel()
	requireFaults(t, []programFault{{"Join", func(_ *stream.Builder, s, other lineStream) {
		s.ToTable(lineStore("a"), stream.Coalesce()).
			Suppress(state.Buffer("buffer", serde.String(), serde.String()), stream.UntilTimeLimit{Limit: in(10)}).
			Join(other.ToTable(lineStore("b")), plus)
	}, "coalesces its updates"}})
}
