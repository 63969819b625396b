package stream_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func versionedStore(history int64) state.VersionedSpec[string, string] {
	return state.Versioned("versions", serde.String(), serde.String(), in(history))
}

// versionsOf returns the versions of a row.
func versionsOf(tb testing.TB, d *streamtest.Driver, history int64, key string) []string {
	tb.Helper()
	out := []string{}
	for v, err := range streamtest.Versioned(d, versionedStore(history), 0).History(key, at(0), at(1<<40)) {
		require.NoError(tb, err)
		end := ""
		if !v.To.IsZero() {
			end = fmt.Sprint(v.To.UnixMilli())
		}
		out = append(out, fmt.Sprintf("%s@%d-%s", v.Value, v.From.UnixMilli(), end))
	}
	return out
}

func TestVersionedTable_KeepsTheVersionsOfARow(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.VersionedTable(lines("in"), versionedStore(50)).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@10", "k=c@30", "k=b@20", "null=x@30", "k=null@40", "l=z@100", "k=late@49", "k=d@50")
	require.Equal(t, []string{"k=a@10", "k=c@30", "k=b@20", "k=null@40", "l=z@100", "k=d@50"}, read(d, "out"),
		"what is late is sent on, what is too late is not")
	require.EqualValues(t, 1, d.Dropped("late"))
	require.EqualValues(t, 1, d.Dropped("null-key"))
	require.Equal(t, []string{"d@50-"}, versionsOf(t, d, 50, "k"), "the others have expired")
}

func TestVersionedTable_PassesItsVersionsThroughFilterAndMapValues(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.VersionedTable(lines("table"), versionedStore(1000)).
		Filter(func(_, v string) bool { return !strings.HasPrefix(v, "-") }).
		FilterNot(func(_, v string) bool { return v == "no" }).
		MapValues(strings.ToUpper).
		MapValuesWithKey(func(k, v string) string { return k + v })
	table.ToStream().To(lines("changes"))
	b.Stream(lines("in")).LeftJoinVersioned(table, leftPlus).To(lines("out"))
	d := start(t, b)
	feed(t, d, "table", "k=a@10", "k=-b@20", "k=c@30", "k=no@40", "k=-x@15", "m=no@1")
	require.Equal(t, []string{"k=kA@10", "k=null@20", "k=kC@30", "k=null@40", "k=null@15", "m=null@1"}, read(d, "changes"),
		"a late delete ends a version that was sent")
	feed(t, d, "in", "k=1@10", "k=2@15", "k=3@20", "k=4@30", "k=5@40", "k=6@5")
	require.Equal(t, []string{"k=1+kA@10", "k=2+none@15", "k=3+none@20", "k=4+kC@30", "k=5+none@40", "k=6+none@5"}, read(d, "out"))
}

func TestVersionedTable_IsATableOfTheNewestRows(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.VersionedTable(lines("table"), versionedStore(1000))
	upper := lineStore("upper")
	table.MapValues(strings.ToUpper).Materialize(upper)
	b.Stream(lines("in")).JoinTable(table.Table, plus).To(lines("out"))
	d := start(t, b)
	feed(t, d, "table", "k=b@20", "k=a@10")
	feed(t, d, "in", "k=1@5", "k=2@15")
	require.Equal(t, []string{"k=1+b@5", "k=2+b@15"}, read(d, "out"))
	require.Equal(t, []string{"k=A@10"}, rows(t, d, upper), "a store without versions keeps what came last")
}

func TestToVersionedTable_MakesATableOfAStream(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.Stream(lines("table")).MapValues(strings.ToUpper).ToVersionedTable(versionedStore(1000))
	b.Stream(lines("in")).JoinVersioned(table, plus).To(lines("out"))
	d := start(t, b)
	feed(t, d, "table", "k=a@10", "k=b@20")
	feed(t, d, "in", "k=1@15", "k=2@25", "k=3@5")
	require.Equal(t, []string{"k=1+A@15", "k=2+B@25"}, read(d, "out"))
	require.Equal(t, []string{"A@10-20", "B@20-"}, versionsOf(t, d, 1000, "k"))
}

func TestVersionedTable_GoesOnAfterACrashAsIfNothingHadHappened(t *testing.T) {
	t.Parallel()
	records := []string{"k=a@10", "l=z@15", "k=c@30", "k=b@20", "k=null@25", "k=x@12", "l=y@90", "k=late@30", "k=e@60", "k=d@50"}
	build := func() *stream.Builder {
		b := stream.NewBuilder()
		b.VersionedTable(lines("in"), versionedStore(50)).ToStream().To(lines("out"))
		return b
	}
	calm := start(t, build())
	feed(t, calm, "in", records...)
	want, wantVersions := read(calm, "out"), versionsOf(t, calm, 50, "k")
	for i := range records {
		for _, lose := range []bool{false, true} {
			d := start(t, build(), streamtest.ManualCommit())
			feed(t, d, "in", records[:i]...)
			d.Commit()
			feed(t, d, "in", records[i:min(i+2, len(records))]...)
			d.Crash()
			if lose {
				d.LoseDisk()
			}
			d.Restart()
			feed(t, d, "in", records[min(i+2, len(records)):]...)
			d.Commit()
			require.Equal(t, want, read(d, "out"), "crash at %d, disk lost: %v", i, lose)
			require.Equal(t, wantVersions, versionsOf(t, d, 50, "k"))
		}
	}
}

func TestVersionedTable_LogsForItsHistory(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.VersionedTable(lines("in"), state.Versioned("versions", serde.String(), serde.String(), time.Hour))
	top, err := b.Build()
	require.NoError(t, err)
	plan, err := top.Plan("app", func(string) (int32, bool) { return 2, true })
	require.NoError(t, err)
	require.Len(t, plan.Internal, 1)
	require.Equal(t, "app-versions-changelog", plan.Internal[0].Name)
	require.Equal(t, map[string]string{
		"cleanup.policy": "compact", "message.timestamp.type": "CreateTime", "min.compaction.lag.ms": "90000000",
		"message.timestamp.before.max.ms": "9223372036854775807", "message.timestamp.after.max.ms": "9223372036854775807",
	}, plan.Internal[0].Config)
}

func TestVersionedTable_ReportsWhatIsWrong(t *testing.T) {
	t.Parallel()
	b, other := stream.NewBuilder(), stream.NewBuilder()
	table := b.VersionedTable(lines("table"), versionedStore(10))
	foreign := other.VersionedTable(lines("table"), versionedStore(10))
	s := b.Stream(lines("in"))
	buffer := state.JoinBuffer("waiting", serde.String(), serde.String())
	s.JoinVersioned(table, plus, stream.Grace(in(11), buffer))
	s.JoinVersioned(table, plus, stream.Grace(in(-1), buffer))
	s.JoinVersioned(table, plus, stream.Grace(in(5), state.JoinBuffer("numbers", serde.String(), serde.Int64())))
	s.JoinVersioned(foreign, plus)
	s.LeftJoinVersioned(stream.VersionedTable[string, string]{}, leftPlus)
	s.SelectKey(func(_, v string) string { return v }).ToVersionedTable(versionedStore(10))
	table.Materialize(lineStore("rows"))
	_, err := b.Build()
	for _, want := range []string{
		"a grace of 11ms is longer than the table's history of 10ms", "a grace of -1ms: use 0", "Grace is given a", "belongs to another builder",
		"needs the stream partitioned by its key", "cannot be kept in a store of its own", "versioned_test.go:",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), `store name ""`)
	var none stream.Stream[string, string]
	require.NotPanics(t, func() {
		none.JoinVersioned(table, plus)
		none.ToVersionedTable(versionedStore(1)).Filter(nil).FilterNot(nil).MapValues(strings.ToUpper).MapValuesWithKey(plus)
	})
}
