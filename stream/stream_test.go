package stream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
	"github.com/weirstream/weir/topology"
)

func TestStream_ReadsEachPartitionInItsOwnTask(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).To(lines("out"))
	d := start(t, b, streamtest.Partitions("in", 4), streamtest.Partitions("out", 4))
	for _, k := range strings.Split("abcdefgh", "") {
		feed(t, d, "in", k+"=1@1")
	}
	for _, r := range d.ReadRaw("out") {
		require.Equal(t, topology.PartitionFor(r.Key, 4), r.Partition, "the same partition as in the source")
	}
}

func TestStream_HasOneSourceForATopicThatIsReadTwice(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).MapValues(strings.ToUpper).To(lines("out"))
	b.Stream(lines("in")).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1")
	require.Equal(t, []string{"k=A@1", "k=a@1"}, read(d, "out"))
}

func TestTimestampFrom_TakesTheTimeFromTheRecord(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(numbers("in"), stream.TimestampFrom(func(_ string, n int64) time.Time { return at(n) })).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=7@1", "k=null@2")
	require.Equal(t, []string{"k=7@7", "k=null@2"}, read(d, "out"), "a tombstone keeps the broker's time")
	require.ErrorContains(t, tryFeed(t, d, "in", "k=-1@3"), "is before 1970")
}

func TestTimestampFrom_RefusesTheZeroTime(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in"), stream.TimestampFrom(func(string, string) time.Time { return time.Time{} })).To(lines("out"))
	d := start(t, b)
	require.ErrorContains(t, tryFeed(t, d, "in", "k=1@1"), "TimestampFrom must return one")
}

func TestMerge_PassesTheRecordsOfAllOn(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	one, two, three := b.Stream(lines("one")), b.Stream(lines("two")), b.Stream(lines("three"))
	one.Merge(two, three).To(lines("out"))
	one.Merge().To(lines("alone"))
	two.Merge(two).To(lines("twice"))
	d := start(t, b)
	feed(t, d, "two", "k=2@5")
	feed(t, d, "one", "k=1@1", "null=1@2", "k=null@3")
	feed(t, d, "three", "k=3@3")
	require.Equal(t, []string{"k=2@5", "k=1@1", "null=1@2", "k=null@3", "k=3@3"}, read(d, "out"))
	require.Equal(t, []string{"k=1@1", "null=1@2", "k=null@3"}, read(d, "alone"))
	require.Equal(t, []string{"k=2@5", "k=2@5"}, read(d, "twice"))
}

func TestRepartition_BringsEachKeyToItsPartition(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).
		SelectKey(func(_, v string) string { return v }).
		Repartition(through("by-value").Partitions(5)).
		To(lines("out"))
	d := start(t, b, streamtest.Application("shop"), streamtest.Partitions("in", 2), streamtest.Partitions("out", 3))
	feed(t, d, "in", "k=a@1", "l=b@2", "m=a@3", "n=c@4")
	for _, r := range d.ReadRaw("shop-by-value-repartition") {
		require.Equal(t, topology.PartitionFor(r.Key, 5), r.Partition)
	}
	require.ElementsMatch(t, []string{"a=a@1", "b=b@2", "a=a@3", "c=c@4"}, read(d, "out"))
}

func TestRepartition_DropsRecordsWithoutAKey(t *testing.T) {
	t.Parallel()
	runLines(t, []lineCase{
		{"and passes tombstones", func(s lineStream) lineStream { return s.Repartition(through("again")) },
			[]string{"k=1@1", "null=2@2", "k=null@3", "null=null@4", "=5@5"}, []string{"k=1@1", "k=null@3", "=5@5"},
			map[string]int64{"null-key": 2}},
	})
}

func TestRepartition_KeepsRecordsWithoutAKeyForALeftJoin(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.Table(lines("table"), state.KeyValue("table", serde.String(), serde.String()))
	b.Stream(lines("in")).
		Repartition(through("again")).
		Filter(func(string, string) bool { return true }).
		LeftJoinTable(table, func(v string, _ stream.Opt[string]) string { return v }).
		To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "null=1@1", "k=2@2")
	require.Equal(t, []string{"null=1@1", "k=2@2"}, read(d, "out"))
	require.Zero(t, d.Dropped(""))
}

func TestTo_WritesNullKeysAndValues(t *testing.T) {
	t.Parallel()
	runLines(t, []lineCase{
		{"To", func(s lineStream) lineStream { return s },
			[]string{"null=1@1", "k=null@2", "null=null@3", "=@4"}, []string{"null=1@1", "k=null@2", "null=null@3", "=@4"}, nil},
	})
}

func TestTo_KeepsRecordsWithoutAKeyTogetherForAWhile(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).To(lines("out"))
	d := start(t, b, streamtest.Partitions("out", 3), streamtest.ManualCommit())
	partitions := map[int32]int{}
	for range 3 {
		feed(t, d, "in", "null=1@1", "null=2@2", "null=3@3")
		d.Commit()
		got := map[int32]bool{}
		for _, r := range d.ReadRaw("out") {
			partitions[r.Partition]++
			got[r.Partition] = true
		}
		require.Len(t, got, 1, "one partition per commit interval")
	}
	require.Equal(t, map[int32]int{0: 3, 1: 3, 2: 3}, partitions)
}

func TestPartitionBy_ChoosesThePartition(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(numbers("in")).To(numbers("out"), stream.PartitionBy(func(_ string, v int64, n int32) int32 { return int32(v) % n }))
	d := start(t, b, streamtest.Partitions("out", 3))
	feed(t, d, "in", "k=0@1", "k=1@2", "k=2@3", "null=4@4")
	require.Equal(t, []string{"k=0@1", "k=1@2", "null=4@4", "k=2@3"}, read(d, "out"), "partition by partition")
	require.ErrorContains(t, tryFeed(t, d, "in", "k=-1@5"), `partition -1 of topic "out": PartitionBy must return one of 0 to 2`)
}

func TestToDynamic_WritesToTheTopicOfEachRecord(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).ToDynamic(func(k, _ string) string { return "out-" + k }, lines("any"),
		stream.PartitionBy(func(_, _ string, n int32) int32 { return n - 1 }))
	d := start(t, b, streamtest.Partitions("out-b", 2))
	feed(t, d, "in", "a=1@1", "b=2@2", "null=3@3", "a=null@4")
	require.Equal(t, []string{"a=1@1", "a=null@4"}, read(d, "out-a"))
	raws := d.ReadRaw("out-b")
	require.Len(t, raws, 1)
	require.EqualValues(t, 1, raws[0].Partition)
	require.Equal(t, []string{"null=3@3"}, read(d, "out-"))
	require.ErrorContains(t, tryFeed(t, d, "in", "no/topic=1@5"), `topic name "out-no/topic"`)
}

func TestToTable_KeepsTheLastValueOfEachKey(t *testing.T) {
	t.Parallel()
	store := state.KeyValue("last", serde.String(), serde.String())
	b := stream.NewBuilder()
	b.Stream(lines("in")).ToTable(store).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=1@5", "l=2@6", "k=3@2", "l=null@7", "null=4@8", "m=null@9")
	require.Equal(t, []string{"k=1@5", "l=2@6", "k=3@2", "l=null@7", "m=null@9"}, read(d, "out"))
	require.Equal(t, []string{"k=3@2"}, rows(t, d, store), "the later record wins, whatever its time")
	require.EqualValues(t, 1, d.Dropped("null-key"))
}
