package stream_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func empty() string { return "0" }

func addPlus(_, v, a string) string { return a + "+" + v }

func addStar(_ string, v int64, a string) string { return a + "*" + string(rune('0'+v)) }

// cogrouped adds the texts of "in" and the numbers of "other".
func cogrouped(b *stream.Builder) stream.Cogrouped[string, string] {
	return b.Stream(lines("in")).GroupByKey().Cogroup(addPlus).With(b.Stream(numbers("other")).GroupByKey(), addStar)
}

func TestCogroup_MakesOneAggregateOfStreamsOfSeveralTypes(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	cogrouped(b).Aggregate(empty, lineStore("together")).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@5")
	feed(t, d, "other", "k=1@3", "l=2@4", "k=null@9", "null=3@9")
	feed(t, d, "in", "k=b@7", "null=c@8")
	require.Equal(t, []string{"k=0+a@5", "k=0+a*1@5", "l=0*2@4", "k=0+a*1+b@7"}, read(d, "out"))
	require.EqualValues(t, 2, d.Dropped("null-key"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
	require.Equal(t, []string{"k=0+a*1+b@7", "l=0*2@4"}, rows(t, d, lineStore("together")))
}

func TestCogroup_GivesAStreamThatIsThereAnotherFunction(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	g := b.Stream(lines("in")).GroupByKey()
	g.Cogroup(func(_, _, _ string) string { return "never" }).With(g, addPlus).Aggregate(empty, lineStore("together")).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2")
	require.Equal(t, []string{"k=0+a@1", "k=0+a+b@2"}, read(d, "out"))
}

func TestCogroup_InWindows(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	st := state.Window("together", serde.String(), serde.String())
	cogrouped(b).Window(stream.Tumbling{Size: in(10)}).Aggregate(empty, st).ToStream(windowLabel).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@5", "k=b@12")
	feed(t, d, "other", "k=1@7", "k=2@17", "k=3@25")
	feed(t, d, "in", "k=c@13")
	require.Equal(t, []string{"k[0-10]=0+a@5", "k[10-20]=0+b@12", "k[10-20]=0+b*2@17", "k[20-30]=0*3@25"}, read(d, "out"))
	require.EqualValues(t, 2, d.Dropped("late"), "windows close for all streams")
}

func TestCogroup_InSlidingWindows(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	st := state.Window("together", serde.String(), serde.String())
	cogrouped(b).Window(stream.Sliding{Difference: in(10), Grace: in(100)}).Aggregate(empty, st).ToStream(windowLabel).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@10")
	feed(t, d, "other", "k=1@15")
	require.Equal(t, []string{"k[0-10]=0+a@10", "k[11-21]=0*1@15", "k[5-15]=0+a*1@15"}, read(d, "out"))
}

func TestCogroup_InSessions(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	st := state.Session("together", serde.String(), serde.String())
	cogrouped(b).SessionWindow(stream.Session{Gap: in(5), Grace: in(50)}).
		Aggregate(empty, func(_, x, y string) string { return x + "|" + y }, st).ToStream(windowLabel).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1")
	feed(t, d, "other", "k=1@11")
	feed(t, d, "in", "k=b@6")
	require.Equal(t, []string{
		"k[1-1]=0+a@1", "k[11-11]=0*1@11", "k[1-1]=null@1", "k[11-11]=null@11", "k[1-11]=0|0+a|0*1+b@11",
	}, read(d, "out"))
}

func TestCogroup_SurvivesCrashes(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	st := state.Window("together", serde.String(), serde.String())
	cogrouped(b).Window(stream.Tumbling{Size: in(10)}).Aggregate(empty, st).ToStream(windowLabel).To(lines("out"))
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "k=a@5", "k=b@12")
	d.Commit()
	feed(t, d, "other", "k=1@17")
	d.Crash()
	d.LoseDisk()
	d.Restart()
	feed(t, d, "in", "k=late@6", "k=c@13")
	d.Commit()
	require.Equal(t, []string{"k[0-10]=0+a@5", "k[10-20]=0+b@12", "k[10-20]=0+b*1@17", "k[10-20]=0+b*1+c@17"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("late"), "the time survived")
}

func TestCogroup_CoalescesWhatAllStreamsDo(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	cogrouped(b).Aggregate(empty, lineStore("together"), stream.Coalesce()).ToStream().To(lines("out"))
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "k=a@5")
	feed(t, d, "other", "k=1@7", "l=2@8")
	d.Commit()
	require.Equal(t, []string{"k=0+a*1@7", "l=0*2@8"}, read(d, "out"))
}

func TestCogroup_IsRefused(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	g := stream.NewBuilder().Stream(lines("elsewhere")).GroupByKey()
	b.Stream(lines("in")).GroupByKey().Cogroup(addPlus).With(g, addPlus).Aggregate(empty, lineStore("together"))
	_, err := b.Build()
	require.ErrorContains(t, err, "belongs to another builder")
	b = stream.NewBuilder()
	cogrouped(b).Window(nil).Aggregate(empty, state.Window("a", serde.String(), serde.String()))
	cogrouped(b).SessionWindow(stream.Session{}).Aggregate(empty, func(_, x, _ string) string { return x }, state.Session("b", serde.String(), serde.String()))
	_, err = b.Build()
	require.ErrorContains(t, err, "no windows: use Tumbling")
	require.ErrorContains(t, err, "Gap is 0s")
	require.NotPanics(t, func() {
		var none stream.Cogrouped[string, string]
		none.Aggregate(empty, lineStore("x"))
		none.Window(stream.Tumbling{Size: in(1)}).Aggregate(empty, state.Window("y", serde.String(), serde.String()))
		none.SessionWindow(stream.Session{Gap: in(1)}).Aggregate(empty, nil, state.Session("z", serde.String(), serde.String()))
	})
}

func TestCogroup_NeedsItsStreamsPartitionedAlike(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	cogrouped(b).Aggregate(empty, lineStore("together"))
	top, err := b.Build()
	require.NoError(t, err)
	_, err = top.Plan("app", func(topic string) (int32, bool) { return int32(len(topic)), true })
	require.ErrorContains(t, err, "not co-partitioned")
}
