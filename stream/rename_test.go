package stream_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
	"github.com/weirstream/weir/topology"
)

// stores are one of each kind.
type stores struct {
	rows     state.KeyValueSpec[string, int64]
	windows  state.WindowSpec[string, int64]
	versions state.VersionedSpec[string, string]
	recent   state.LRUSpec[string, string]
	waiting  state.JoinBufferSpec[string, string]
}

func storesNamed(suffix string) stores {
	return stores{
		numberStore("rows" + suffix), windowStore("windows" + suffix),
		state.Versioned("versions"+suffix, serde.String(), serde.String(), in(100)),
		state.LRU("recent"+suffix, serde.String(), serde.String(), 2),
		state.JoinBuffer("waiting"+suffix, serde.String(), serde.String()),
	}
}

// renamed are the stores under new names.
func renamed() stores {
	s := storesNamed("-now")
	return stores{
		s.rows.RenamedFrom("rows"), s.windows.RenamedFrom("windows"), s.versions.RenamedFrom("versions"), s.recent.RenamedFrom("recent"),
		s.waiting.RenamedFrom("waiting"),
	}
}

func (s stores) build(t *testing.T) *topology.Topology {
	t.Helper()
	b := stream.NewBuilder()
	source := b.Stream(lines("in"))
	source.GroupByKey().Count(s.rows).ToStream().To(numbers("rows"))
	source.GroupByKey().Window(stream.Tumbling{Size: in(10)}, stream.OnClose).Count(s.windows).ToStream(windowLabel).To(numbers("windows"))
	table := source.ToVersionedTable(s.versions)
	source.JoinVersioned(table, plus, stream.Grace(in(20), s.waiting)).To(lines("joined"))
	source.Process(func(n *lineNode) (lineFunc, error) {
		st := s.recent.Open(n)
		return func(_ context.Context, r lineRecord) error { return st.Put(r.Key, r.Value) }, nil
	}, stream.Stores(s.recent))
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

func TestRenamedFrom_GoesOnWithTheStateOfTheOldName(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{false, true} {
		d := streamtest.New(t, storesNamed("").build(t), streamtest.ManualCommit())
		feed(t, d, "in", "k=a@1", "l=b@12", "k=c@14")
		d.Commit()
		topics := d.Topics()
		feed(t, d, "in", "k=lost@15")
		d.Crash()
		if lose {
			d.LoseDisk()
		}
		s := renamed()
		d.RestartWith(s.build(t))
		require.Equal(t, []string{"k=3@15", "l=1@12"}, rows(t, d, s.rows))
		feed(t, d, "in", "k=d@40", "l=late@3")
		d.Commit()
		require.ElementsMatch(t, append(topics, "joined"), d.Topics(), "changelogs keep their names")
		require.Equal(t, []string{"k=1@1", "l=1@12", "k=2@14", "k=3@15", "k=4@40", "l=2@12"}, read(d, "rows"))
		require.Equal(t, []string{"k[0-10]=1@1", "k[10-20]=2@15", "l[10-20]=1@12"}, read(d, "windows"))
		require.Equal(t, []string{"k=a+a@1", "l=b+b@12", "k=c+c@14", "k=lost+lost@15", "l=late+late@3"}, read(d, "joined"))
		_, ok, err := streamtest.LRU(d, s.recent, 0).Peek("k")
		require.NoError(t, err)
		require.True(t, ok)
		v, ok, err := streamtest.Versioned(d, s.versions, 0).GetAsOf("k", at(10))
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, state.Version[string]{Value: "a", From: at(1), To: at(14)}, v)
	}
}

func TestRenamedFrom_KeepsTheSignatureAndTheChangelogs(t *testing.T) {
	t.Parallel()
	before, now := storesNamed("").build(t), renamed().build(t)
	require.Equal(t, before.Signature(), now.Signature())
	require.Empty(t, topology.Compare(before.Manifest(), now.Manifest()))
	names := func(top *topology.Topology) (out []string) {
		plan, err := top.Plan("app", func(string) (int32, bool) { return 1, true })
		require.NoError(t, err)
		for _, i := range plan.Internal {
			out = append(out, i.Name)
		}
		return out
	}
	require.ElementsMatch(t, names(before), names(now))
	require.Contains(t, now.Describe().String(), "rows-now")
}

func TestRenamedFrom_RefusesANameThatAnotherStoreHas(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	s := b.Stream(lines("in"))
	s.GroupByKey().Count(numberStore("rows"))
	s.GroupByKey().Count(numberStore("others").RenamedFrom("rows"))
	_, err := b.Build()
	require.ErrorContains(t, err, `both keep their state under the durable name "rows"`)
}

// What an operator knows of time goes by the store's durable name, as its rows do.
func TestRenamedFrom_GoesOnWithTheClocksOfOperators(t *testing.T) {
	t.Parallel()
	build := func(sessions state.SessionSpec[string, int64], waiting state.BufferSpec[string, string], pairs lineJoin) *topology.Topology {
		b := stream.NewBuilder()
		s := b.Stream(lines("in"))
		s.GroupByKey().SessionWindow(stream.Session{Gap: in(5)}, stream.OnClose).Count(sessions).ToStream(windowLabel).To(numbers("sessions"))
		s.ToTable(lineStore("rows")).Suppress(waiting, stream.UntilTimeLimit{Limit: in(20)}).ToStream().To(lines("latest"))
		left.of(s, b.Stream(lines("right")), window(5, 5, 0), pairs).To(lines("pairs"))
		top, err := b.Build()
		require.NoError(t, err)
		return top
	}
	d := streamtest.New(t, build(sessionStore("sessions"), lineBuffer("waiting"), lineJoinOf("pairs")))
	feed(t, d, "in", "k=a@1", "k=b@100")
	require.Equal(t, []string{"k[1-1]=1@1"}, read(d, "sessions"))
	require.Equal(t, []string{"k=b@100"}, read(d, "latest"))
	require.Equal(t, []string{"k=a+none@1"}, read(d, "pairs"))
	d.Crash()
	d.LoseDisk()
	d.RestartWith(build(sessionStore("sessions-now").RenamedFrom("sessions"), lineBuffer("waiting-now").RenamedFrom("waiting"),
		lineJoinOf("pairs-now").RenamedFrom("pairs")))
	feed(t, d, "in", "l=late@2")
	require.Equal(t, int64(2), d.Dropped("late"), "by the sessions, and for later partners")
	require.Equal(t, []string{"l=late@2"}, read(d, "latest"), "its time is over")
	require.Equal(t, []string{"l=late+none@2"}, read(d, "pairs"), "no partner is waited for")
}
