package stream_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// byInitial groups rows by the first letter of their value.
func byInitial(_, v string) (string, string) { return v[:1], v }

// trail is an aggregation that shows what was done.
var trail = struct{ add, subtract func(k, v, a string) string }{
	func(_, v, a string) string { return a + "+" + v },
	func(_, v, a string) string { return a + "-" + v },
}

func TestTableGroupBy_SubtractsBeforeItAdds(t *testing.T) {
	t.Parallel()
	records := []string{"k=a@5", "l=ab@3", "k=ac@4", "k=b@9", "l=null@1", "l=null@2", "m=b@6", "m=b@7"}
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("in")).GroupBy(byInitial, through("groups")).
		Aggregate(func() string { return "0" }, trail.add, trail.subtract, lineStore("trail")).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", records...)
	require.Equal(t, []string{
		"a=0+a@5", "a=0+a+ab@5", "a=0+a+ab-a+ac@5", // one update within the group
		"a=0+a+ab-a+ac-ac@9", "b=0+b@9", // two where the group changes, the old one first
		"a=0+a+ab-a+ac-ac-ab@9", // nothing is known of l then: its second delete is no message
		"b=0+b+b@9", "b=0+b+b-b+b@9",
	}, read(d, "out"))
	require.Equal(t, []string{"a=0+a+ab-a+ac-ac-ab@9", "b=0+b+b-b+b@9"}, rows(t, d, lineStore("trail")))
	require.Equal(t, []string{
		"a=a\x01@5", "a=ab\x01@3", "a=\x04aca\x02@4", "a=ac\x00@9", "b=b\x01@9", "a=ab\x00@1", "b=b\x01@6", "b=\x02bb\x02@7",
	}, read(d, "test-groups-repartition"), "in Kafka Streams' format")
}

func TestGroupedTable_CountsDownToZero(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("in")).GroupBy(byInitial, through("groups")).Count(numberStore("counts")).ToStream().To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2", "k=b@3", "k=null@4")
	require.Equal(t, []string{"a=1@1", "a=0@2", "b=1@2", "b=1@3", "b=0@4"}, read(d, "out"))
}

func TestGroupedTable_ReducesFromTheFirstValue(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("in")).GroupBy(byInitial, through("groups")).
		Reduce(func(a, v string) string { return a + "+" + v }, func(a, v string) string { return a + "-" + v }, lineStore("reduced")).
		ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "l=ab@2", "k=null@3")
	require.Equal(t, []string{"a=a@1", "a=a+ab@2", "a=a+ab-a@3"}, read(d, "out"))
}

func TestGroupedTable_StartsAgainBehindADeletedRow(t *testing.T) {
	t.Parallel()
	type text = *string
	store := state.KeyValue[string, text]("acc", serde.String(), serde.Nullable(serde.String()))
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("in")).GroupBy(byInitial, through("groups")).
		Aggregate(func() text { return new("0") }, func(_, v string, a text) text { return new(*a + "+" + v) },
			func(_, _ string, _ text) text { return nil }, store).
		ToStream().MapValues(orNil).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@5", "k=ab@3", "k=null@4", "l=ac@1")
	require.Equal(t, []string{"a=0+a@5", "a=0+ab@5", "a=nil@5", "a=0+ac@1"}, read(d, "out"), "the time of the deleted row is gone too")
}

// What leaves a group that has no aggregate changes nothing, and is mentioned all the same.
func TestGroupedTable_IgnoresWhatLeavesNothing(t *testing.T) {
	t.Parallel()
	d := startGroup(t, func(g stream.GroupedTable[string, string]) lineTable {
		return g.TryAggregate(func() string { return "0" }, func(_ context.Context, _, v, a string) (string, error) {
			switch v {
			case "askip":
				return "", stream.ErrSkip
			case "areject":
				return "", dlq.Reject("no-good", nil)
			}
			return a + "+" + v, nil
		}, func(_ context.Context, _, v, a string) (string, error) { return a + "-" + v, nil }, lineStore("acc"))
	})
	feed(t, d, "in", "k=askip@1", "l=areject@2", "k=null@3", "m=a@4")
	require.Equal(t, []string{"a=null@3", "a=0+a@4"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("skipped"))
	require.Len(t, d.DeadLetters("in"), 1, "under the topic where the record came in")
	require.Equal(t, []string{"a=0+a@4"}, read(d, "test-acc-changelog"), "no delete of nothing")
}

func startGroup(t *testing.T, program func(g stream.GroupedTable[string, string]) lineTable, opts ...streamtest.Option) *streamtest.Driver {
	t.Helper()
	b := stream.NewBuilder()
	program(b.Table(lines("in"), lineStore("in")).GroupBy(byInitial, through("groups"))).ToStream().To(lines("out"))
	return start(t, b, opts...)
}

func TestTableGroupBy_TakesANilKeyOrValueForNoGroup(t *testing.T) {
	t.Parallel()
	via := stream.NewRepartition[*string, *string]("groups", serde.Nullable(serde.String()), serde.Nullable(serde.String()))
	group := func(_, v string) (key, value *string) {
		if !strings.HasPrefix(v, "-") {
			key = new(v[:1])
		}
		if !strings.HasSuffix(v, "-") {
			value = new(v)
		}
		return key, value
	}
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("in")).GroupBy(group, via).
		Count(state.KeyValue[*string, int64]("counts", serde.Nullable(serde.String()), decimal())).
		ToStream().Map(func(k *string, n int64) (string, int64) { return orNil(k), n }).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=-a@2", "k=-b@3", "k=a-@4", "k=ab@5", "k=ac@6")
	require.Equal(t, []string{"a=1@1", "a=0@2", "a=1@5", "a=1@6"}, read(d, "out"))
	require.EqualValues(t, 2, d.Dropped("null-key"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
}

func TestWindowedTableGroupBy_GroupsWindows(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10), Grace: in(10)}).
		Reduce(func(_, v string) string { return v }, state.Window("last", serde.String(), serde.String())).
		GroupBy(func(w stream.Windowed[string], v string) (string, string) { return v, windowLabel(w) }, through("groups")).
		Reduce(func(a, v string) string { return a + "+" + v }, func(a, v string) string { return a + "-" + v }, lineStore("acc")).
		ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "l=a@11", "k=b@2")
	require.Equal(t, []string{"a=k[0-10]@1", "a=k[0-10]+l[10-20]@11", "a=k[0-10]+l[10-20]-k[0-10]@11", "b=k[0-10]@2"}, read(d, "out"))
}

func TestTableGroupBy_PlacesByThePartitionerAndKeepsItsOptions(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	var seen []string
	b.Table(lines("in"), lineStore("in")).
		GroupBy(byInitial, through("groups").Partitions(3), stream.Named("grouping"), stream.PartitionBy(func(k, v string, n int32) int32 {
			seen = append(seen, k+v)
			return n - 1
		})).Count(numberStore("counts"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2")
	require.Equal(t, []string{"aa", "aa", "bb"}, seen, "the old value where there is no new one")
	_, ok, err := streamtest.KeyValue(d, numberStore("counts"), 2).Get("a")
	require.NoError(t, err)
	require.True(t, ok)
}

func TestGroupedTable_TakesAValueThatItCannotReadToThePolicy(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "x", "\x07", "\x02", "\x05\x02", "\x08ab\x02", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"} {
		b := stream.NewBuilder().OnError(dlq.Skip())
		b.Table(lines("in"), lineStore("in")).GroupBy(byInitial, through("groups")).Count(numberStore("counts")).ToStream().To(numbers("out"))
		d := start(t, b)
		require.NoError(t, d.TrySendRaw("test-groups-repartition", []byte("a"), []byte(value), at(1)))
		require.EqualValues(t, 1, d.Dropped("failed"), "%q", value)
		require.NoError(t, d.TrySendRaw("test-groups-repartition", []byte("a"), nil, at(1)))
		require.EqualValues(t, 1, d.Dropped("null-value"))
		require.NoError(t, d.TrySendRaw("test-groups-repartition", nil, []byte("a\x01"), at(1)))
		require.EqualValues(t, 1, d.Dropped("null-key"))
		require.NoError(t, d.TrySendRaw("test-groups-repartition", []byte("a"), []byte("a\x01"), at(1)))
		require.Equal(t, []string{"a=1@1"}, read(d, "out"))
	}
}

func TestBuild_RefusesARepartitionWithoutSerdesBehindATable(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("in")).GroupBy(byInitial, stream.Repartition[string, string]{}).Count(numberStore("counts"))
	require.Contains(t, faults(t, b), "the topic's descriptor is empty")

	b = stream.NewBuilder()
	b.Table(lines("in"), lineStore("in")).GroupBy(byInitial, through("groups"), stream.PartitionBy(func(int, int, int32) int32 { return 0 })).
		Count(numberStore("counts"))
	require.Contains(t, faults(t, b), "table-group-by: PartitionBy is given a func(int, int, int32) int32 here")

	require.Equal(t, lineTable{}, lineTable{}.GroupBy(byInitial, through("groups")).Reduce(plus, plus, lineStore("acc")))
}

func TestGroupedTable_SurvivesACrash(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{false, true} {
		d := startGroup(t, func(g stream.GroupedTable[string, string]) lineTable {
			return g.Aggregate(func() string { return "0" }, trail.add, trail.subtract, lineStore("acc"))
		}, streamtest.ManualCommit())
		feed(t, d, "in", "k=a@1")
		d.Commit()
		feed(t, d, "in", "k=ab@2")
		d.Crash()
		if lose {
			d.LoseDisk()
		}
		d.Restart()
		for range 3 {
			d.Commit()
		}
		require.Equal(t, []string{"a=0+a@1", "a=0+a-a+ab@2"}, read(d, "out"))
		require.Equal(t, []string{"a=0+a-a+ab@2"}, rows(t, d, lineStore("acc")))
	}
}
