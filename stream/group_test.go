package stream_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func TestCount_CountsTheRecordsOfEachKey(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Count(numberStore("counts")).ToStream().To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@5", "l=a@1", "k=b@3", "null=c@4", "k=null@9", "k=c@7")
	require.Equal(t, []string{"k=1@5", "l=1@1", "k=2@5", "k=3@7"}, read(d, "out"), "the time is the largest so far")
	require.Equal(t, []string{"k=3@7", "l=1@1"}, rows(t, d, numberStore("counts")))
	require.EqualValues(t, 1, d.Dropped("null-key"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
}

func TestCount_DropsNullsOfTypesThatHaveThem(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(optional("in")).GroupByKey().Count(numberStore("counts")).ToStream().To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=null@2")
	require.Equal(t, []string{"k=1@1"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
}

func TestGroupBy_GoesThroughItsRepartition(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).
		GroupBy(func(_, v string) string { return v }, through("by-value")).
		Count(numberStore("counts")).ToStream().To(numbers("out"))
	d := start(t, b, streamtest.Partitions("in", 3))
	feed(t, d, "in", "k=a@1", "l=a@2", "m=a@3", "n=null@4", "null=a@5")
	require.Equal(t, map[string]int64{"a": 4}, streamtest.Table(streamtest.Output(d, numbers("out"))))
	require.Contains(t, d.Topics(), "test-by-value-repartition")
	require.EqualValues(t, 1, d.Dropped("null-value"))
}

func TestReduce_TakesTheFirstValueAsItIs(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().
		Reduce(func(a, v string) string { return a + "+" + v }, lineStore("reduced")).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2", "l=c@3", "k=d@1", "k=null@4")
	require.Equal(t, []string{"k=a@1", "k=a+b@2", "l=c@3", "k=a+b+d@2"}, read(d, "out"))
}

func TestReduce_DeletesTheRowForANilPointer(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	store := state.KeyValue[string, *string]("reduced", serde.String(), serde.Nullable(serde.String()))
	b.Stream(optional("in")).GroupByKey().
		Reduce(func(a, v *string) *string {
			if *v == "reset" {
				return nil
			}
			sum := *a + *v
			return &sum
		}, store).ToStream().To(optional("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2", "k=reset@3", "k=c@4")
	require.Equal(t, []string{"k=a@1", "k=ab@2", "k=null@3", "k=c@4"}, read(d, "out"), "it starts over")
}

func TestAggregate_StartsFromItsInitialValue(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(numbers("in")).GroupByKey().
		Aggregate(func() int64 { return 100 }, func(_ string, v, a int64) int64 { return a + v }, numberStore("sums")).
		ToStream().To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=1@1", "k=2@2", "l=5@1")
	require.Equal(t, []string{"k=101@1", "k=103@2", "l=105@1"}, read(d, "out"))
}

func TestAggregate_DeletesTheRowForANilPointerAndStartsOver(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	store := state.KeyValue[string, *string]("aggregate", serde.String(), serde.Nullable(serde.String()))
	init := func() *string { s := "!"; return &s }
	b.Stream(lines("in")).GroupByKey().
		Aggregate(init, func(_, v string, a *string) *string {
			if v == "reset" {
				return nil
			}
			*a += v
			return a
		}, store).ToStream().To(optional("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2", "k=reset@3", "k=reset@4", "k=c@5")
	require.Equal(t, []string{"k=!a@1", "k=!ab@2", "k=null@3", "k=null@4", "k=!c@5"}, read(d, "out"))
}

func TestTryAggregate_MayDropOrRejectARecord(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().
		TryAggregate(func() string { return "" }, func(ctx context.Context, _, v, a string) (string, error) {
			switch v {
			case "skip":
				return a + v, stream.ErrSkip
			case "reject":
				return a + v, dlq.Reject("no-good", nil)
			}
			return a + v + stream.Metadata(ctx).Topic, nil
		}, lineStore("sums")).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=skip@2", "k=reject@3", "k=b@4")
	require.Equal(t, []string{"k=ain@1", "k=ainbin@4"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("skipped"))
	letters := d.DeadLetters("in")
	require.Len(t, letters, 1)
	require.Equal(t, "no-good", letters[0].Reason)
	require.Equal(t, "sums", letters[0].Node, "an aggregation is named after its store")
}

// A derived table of an aggregate asks it for old values: the filter mentions a row that passed before.
func TestAggregate_SendsOldValuesToTheTablesThatAskForThem(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(numbers("in")).GroupByKey().
		Aggregate(func() map[string]int64 { return map[string]int64{} }, func(_ string, v int64, m map[string]int64) map[string]int64 {
			m["sum"] += v // in place
			return m
		}, state.KeyValue("sums", serde.String(), serde.JSON[map[string]int64]())).
		Filter(func(_ string, m map[string]int64) bool { return m["sum"] > 2 }).
		MapValues(func(m map[string]int64) int64 { return m["sum"] }).
		ToStream().To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=1@1", "k=1@2", "k=1@3", "k=-2@4", "k=-2@5", "k=9@6")
	require.Equal(t, []string{"k=3@3", "k=null@4", "k=8@6"}, read(d, "out"))
}
