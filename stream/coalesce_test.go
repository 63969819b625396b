package stream_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func TestCoalesce_SendsTheLastUpdateOfACommit(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("in"), stream.Coalesce()).ToStream().To(lines("out"))
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "l=1@4", "k=2@1", "k=3@2", "m=came@3", "m=null@5", "n=null@6")
	require.Equal(t, []string{"k=3@2", "l=1@4"}, rows(t, d, lineStore("in")), "the rows are there at once")
	d.Commit()
	require.Equal(t, []string{"k=3@2", "l=1@4"}, read(d, "out"), "by key; what came and went is not mentioned")
	feed(t, d, "in", "k=null@7", "k=4@8", "l=null@9", "m=5@10", "m=null@11", "m=6@12")
	d.Commit()
	require.Equal(t, []string{"k=4@8", "l=null@9", "m=6@12"}, read(d, "out"))
	d.Commit()
	require.Empty(t, read(d, "out"))
	require.NotContains(t, d.Topics(), "test-in-pending-changelog")
}

// Every operator that keeps a table takes it.
func TestCoalesce_FitsEveryTable(t *testing.T) {
	t.Parallel()
	window := stream.Tumbling{Size: in(10)}
	latest := func(_, v string) string { return v }
	initial := func() string { return "0" }
	coalesce := stream.Coalesce()
	for _, test := range []struct {
		name    string
		program func(b *stream.Builder)
		want    []string
	}{
		{"ToTable", func(b *stream.Builder) {
			b.Stream(lines("in")).ToTable(lineStore("st"), coalesce).ToStream().To(lines("out"))
		}, []string{"k=a@3"}},
		{"Count", func(b *stream.Builder) {
			b.Stream(lines("in")).GroupByKey().Count(numberStore("st"), coalesce).ToStream().To(numbers("out"))
		}, []string{"k=3@3"}},
		{"Reduce", func(b *stream.Builder) {
			b.Stream(lines("in")).GroupByKey().Reduce(plus, lineStore("st"), coalesce).ToStream().To(lines("out"))
		}, []string{"k=a+ab+a@3"}},
		{"Aggregate", func(b *stream.Builder) {
			b.Stream(lines("in")).GroupByKey().Aggregate(initial, trail.add, lineStore("st"), coalesce).ToStream().To(lines("out"))
		}, []string{"k=0+a+ab+a@3"}},
		{"windows", func(b *stream.Builder) {
			b.Stream(lines("in")).GroupByKey().Window(window).Count(windowStore("st"), coalesce).ToStream(windowLabel).To(numbers("out"))
		}, []string{"k[0-10]=3@3"}},
		{"windows that are reduced", func(b *stream.Builder) {
			b.Stream(lines("in")).GroupByKey().Window(window).Reduce(plus, state.Window("st", serde.String(), serde.String()), coalesce).
				ToStream(windowLabel).To(lines("out"))
		}, []string{"k[0-10]=a+ab+a@3"}},
		{"Table.Filter", func(b *stream.Builder) {
			b.Table(lines("in"), lineStore("in")).Filter(hasA).Materialize(lineStore("st"), coalesce).ToStream().To(lines("out"))
		}, []string{"k=a@3"}},
		{"a join", func(b *stream.Builder) {
			table := b.Table(lines("in"), lineStore("in"))
			table.Join(table, plus).Materialize(lineStore("st"), coalesce).ToStream().To(lines("out"))
		}, []string{"k=a+a@3"}},
		{"ProcessValues", func(b *stream.Builder) {
			b.Table(lines("in"), lineStore("in")).ProcessValues(numbered, stream.Stores(numberStore("numbers"))).
				Materialize(lineStore("st"), coalesce).ToStream().To(lines("out"))
		}, []string{"k=atrue/3/2@3"}},
		{"a grouped table", func(b *stream.Builder) {
			b.Table(lines("in"), lineStore("in")).GroupBy(byInitial, through("groups")).Reduce(plus, latest, lineStore("st"), coalesce).
				ToStream().To(lines("out"))
		}, []string{"a=ab+a@3"}},
		{"a grouped table's count", func(b *stream.Builder) {
			b.Table(lines("in"), lineStore("in")).GroupBy(byInitial, through("groups")).Count(numberStore("st"), coalesce).
				ToStream().To(numbers("out"))
		}, []string{"a=1@3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			test.program(b)
			d := start(t, b, streamtest.ManualCommit())
			feed(t, d, "in", "k=a@1", "k=ab@2", "k=a@3")
			d.Commit()
			d.Commit()
			require.Equal(t, test.want, read(d, "out"))
		})
	}
}

func TestCoalesce_HasNothingToDoForWindowsThatAreSentOnce(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}, stream.OnClose).Count(windowStore("st"), stream.Coalesce()).
		ToStream(windowLabel).To(numbers("out"))
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "k=a@1", "l=b@2", "k=c@25", "k=d@35")
	d.Commit()
	require.Equal(t, []string{"k[0-10]=1@1", "l[0-10]=1@2", "k[20-30]=1@25"}, read(d, "out"))
}

func TestCoalesce_GoesOnInTheSameCommit(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Reduce(plus, lineStore("first"), stream.Coalesce()).
		Filter(func(_, v string) bool { return len(v) > 2 }).Materialize(lineStore("second"), stream.Coalesce()).
		ToStream().To(lines("out"))
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "k=a@1", "k=b@2", "l=c@3")
	d.Commit()
	require.Equal(t, []string{"k=a+b@2"}, read(d, "out"))
	require.Equal(t, []string{"k=a+b@2"}, rows(t, d, lineStore("second")))
}

func TestCoalesce_TellsOperatorsDownstreamWhatTheRowWas(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.Stream(lines("in")).GroupByKey().Aggregate(func() string { return "0" }, func(_, v, _ string) string { return v }, lineStore("last"), stream.Coalesce())
	table.GroupBy(byInitial, through("groups")).Count(numberStore("counts")).ToStream().To(numbers("out"))
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "k=a@1", "k=b@2", "k=c@3")
	d.Commit()
	d.Commit()
	feed(t, d, "in", "k=d@4", "k=e@5")
	d.Commit()
	d.Commit()
	require.Equal(t, []string{"c=1@3", "c=0@5", "e=1@5"}, read(d, "out"), "the initial aggregate was no row")
	require.Equal(t, []string{"c=0@5", "e=1@5"}, rows(t, d, numberStore("counts")))
}

func TestCoalesce_IsUndoneWithTheRecord(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Skip())
	s := b.Stream(lines("in"))
	s.ToTable(lineStore("last"), stream.Coalesce()).ToStream().To(lines("out"))
	s.TryPeek(failOnBad)
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "k=bad@1", "l=a@2", "l=bad@3")
	d.Commit()
	require.Equal(t, []string{"l=a@2"}, read(d, "out"))
}

func TestCoalesce_IsLostInACrashAlongWithItsRecords(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{false, true} {
		b := stream.NewBuilder()
		b.Stream(lines("in")).GroupByKey().Reduce(plus, lineStore("last"), stream.Coalesce()).ToStream().To(lines("out"))
		d := start(t, b, streamtest.ManualCommit())
		feed(t, d, "in", "k=a@1")
		d.Commit()
		feed(t, d, "in", "k=b@2", "k=c@3")
		d.Crash()
		if lose {
			d.LoseDisk()
		}
		d.Restart()
		d.Commit()
		require.Equal(t, []string{"k=a@1", "k=a+b+c@3"}, read(d, "out"))
	}
}

// There is no record to set aside when a commit fails.
func TestCoalesce_FailsTheTaskWhateverThePolicy(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Skip())
	b.Table(lines("in"), lineStore("in"), stream.Coalesce()).ToStream().TryPeek(failOnBad)
	d := start(t, b)
	require.ErrorIs(t, tryFeed(t, d, "in", "k=bad@1"), errBad)
}

func TestCoalesce_KeepsValuesWithPointersApart(t *testing.T) {
	t.Parallel()
	store := state.KeyValue("counts", serde.String(), serde.JSON[letterCounts]())
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Aggregate(func() letterCounts { return letterCounts{} },
		func(_, v string, c letterCounts) letterCounts { c[v]++; return c }, store, stream.Coalesce()).
		GroupBy(func(_ string, c letterCounts) (string, string) { return "all", c.String() }, through("groups")).
		Reduce(func(a, v string) string { return a + " plus " + v }, func(a, v string) string { return a + " less " + v }, lineStore("acc")).
		ToStream().To(lines("out"))
	d := start(t, b, streamtest.ManualCommit())
	for _, r := range []string{"k=a@1", "k=b@2", "", "k=a@3", "k=a@4", "", ""} {
		if r == "" {
			d.Commit()
			continue
		}
		feed(t, d, "in", r)
	}
	require.Equal(t, []string{"all=a1,b1@2", "all=a1,b1 less a1,b1 plus a3,b1@4"}, read(d, "out"))
}

func TestBuild_RefusesJoinsOfATableThatCoalesces(t *testing.T) {
	t.Parallel()
	for name, derive := range map[string]func(table lineTable) lineTable{
		"itself":       func(table lineTable) lineTable { return table },
		"a view of it": func(table lineTable) lineTable { return table.Filter(hasA) },
	} {
		b := stream.NewBuilder()
		table, other := b.Table(lines("in"), lineStore("in"), stream.Coalesce()), b.Table(lines("other"), lineStore("other"))
		other.LeftJoin(derive(table), leftPlus)
		require.Contains(t, faults(t, b), "a table that is joined coalesces its updates", name)
	}
	b := stream.NewBuilder()
	table, other := b.Table(lines("in"), lineStore("in"), stream.Coalesce()), b.Table(lines("other"), lineStore("other"))
	other.LeftJoin(table.Filter(hasA).Materialize(lineStore("kept")), leftPlus)
	_, err := b.Build()
	require.NoError(t, err)
}

func TestCoalesce_KeepsTheWindowWithoutEnd(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Unlimited{From: at(5)}).Count(windowStore("w"), stream.Coalesce()).
		ToStream(stream.Windowed[string].String).To(numbers("out"))
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "k=a@10", "k=b@11")
	d.Commit()
	require.Equal(t, []string{"[k@5/9223372036854775807]=2@11"}, read(d, "out"))
}

func TestCoalesce_HoldsBackTheResultsOfAForeignJoin(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	left, right := b.Table(lines("left"), lineStore("left")), b.Table(lines("right"), lineStore("right"))
	via := stream.NewForeignJoin("j", serde.String(), serde.String(), serde.String(), serde.String())
	left.JoinForeign(right, ownValue, plus, via).Materialize(lineStore("result"), stream.Coalesce()).ToStream().To(lines("out"))
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "left", "k=f@1")
	feed(t, d, "right", "f=1@2")
	for range 3 { // the way there and back
		d.Commit()
	}
	feed(t, d, "right", "f=2@3", "f=3@4")
	for range 3 {
		d.Commit()
	}
	require.Equal(t, []string{"k=f+1@2", "k=f+3@4"}, read(d, "out"))
}
