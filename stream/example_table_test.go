package stream_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func ExampleBuilder_Table() {
	priceOf := state.KeyValue("price-of", serde.String(), serde.String())

	b := stream.NewBuilder()
	b.Table(prices, priceOf).ToStream().To(out)
	run(b, "prices pie=5@1", "prices pie=6@2", "prices pie=null@3")
	// Output:
	// out pie=5@1
	// out pie=6@2
	// out pie=null@3
}

func ExampleTable_Filter() {
	b := stream.NewBuilder()
	b.Table(words, state.KeyValue("last", serde.String(), serde.String())).
		Filter(func(_, word string) bool { return len(word) > 2 }).
		ToStream().
		To(out)
	run(b, "words k=an@1", "words k=apple@2", "words k=an@3", "words k=a@4")
	// Output:
	// out k=apple@2
	// out k=null@3
}

func ExampleTable_FilterNot() {
	b := stream.NewBuilder()
	b.Table(words, state.KeyValue("last", serde.String(), serde.String())).
		FilterNot(func(_, word string) bool { return word == "" }).
		ToStream().
		To(out)
	run(b, "words k=apple@1", "words k=@2")
	// Output:
	// out k=apple@1
	// out k=null@2
}

func ExampleTable_MapValues() {
	b := stream.NewBuilder()
	b.Table(words, state.KeyValue("last", serde.String(), serde.String())).
		MapValues(strings.ToUpper).
		ToStream().
		To(out)
	run(b, "words k=apple@1", "words k=null@2")
	// Output:
	// out k=APPLE@1
	// out k=null@2
}

func ExampleTable_MapValuesWithKey() {
	b := stream.NewBuilder()
	b.Table(words, state.KeyValue("last", serde.String(), serde.String())).
		MapValuesWithKey(func(key, word string) string { return key + "-" + word }).
		ToStream().
		To(out)
	run(b, "words k=apple@1")
	// Output:
	// out k=k-apple@1
}

func ExampleTable_Materialize() {
	upper := state.KeyValue("upper", serde.String(), serde.String()) // for queries

	b := stream.NewBuilder()
	b.Table(words, state.KeyValue("last", serde.String(), serde.String())).
		MapValues(strings.ToUpper).
		Materialize(upper).
		ToStream().
		To(out)
	run(b, "words k=apple@1")
	// Output:
	// out k=APPLE@1
}

func ExampleTable_ToStream() {
	b := stream.NewBuilder()
	b.Table(words, state.KeyValue("last", serde.String(), serde.String())).
		ToStream().
		MapValues(strings.ToUpper). // a deleted row passes as a tombstone
		To(out)
	run(b, "words k=apple@1", "words k=null@2")
	// Output:
	// out k=APPLE@1
	// out k=null@2
}

func ExampleStream_GroupByKey() {
	counts := state.KeyValue("counts", serde.String(), serde.Int64())

	b := stream.NewBuilder()
	b.Stream(words).GroupByKey().Count(counts).ToStream().To(sums)
	run(b, "words k=a@1", "words k=b@2")
	// Output:
	// sums k=1@1
	// sums k=2@2
}

func ExampleStream_GroupBy() {
	byWord := stream.NewRepartition("by-word", serde.String(), serde.String())
	counts := state.KeyValue("counts", serde.String(), serde.Int64())

	b := stream.NewBuilder()
	b.Stream(words).
		FlatMapValues(strings.Fields).
		GroupBy(func(_, word string) string { return word }, byWord).
		Count(counts).
		ToStream().
		To(sums)
	run(b, "words k=to be@1", "words l=not to be@2")
	// Output:
	// sums to=1@1
	// sums be=1@1
	// sums not=1@2
	// sums to=2@2
	// sums be=2@2
}

func ExampleGrouped_Count() {
	b := stream.NewBuilder()
	b.Stream(words).GroupByKey().Count(state.KeyValue("counts", serde.String(), serde.Int64())).ToStream().To(sums)
	run(b, "words k=a@1", "words l=b@2", "words k=c@3")
	// Output:
	// sums k=1@1
	// sums l=1@2
	// sums k=2@3
}

func ExampleGrouped_Reduce() {
	b := stream.NewBuilder()
	b.Stream(amounts).
		GroupByKey().
		Reduce(func(sum, n int64) int64 { return sum + n }, state.KeyValue("sums", serde.String(), serde.Int64())).
		ToStream().
		To(sums)
	run(b, "amounts k=3@1", "amounts k=4@2")
	// Output:
	// sums k=3@1
	// sums k=7@2
}

func ExampleGrouped_Aggregate() {
	type stats struct{ N, Sum int64 }
	store := state.KeyValue("stats", serde.String(), serde.JSON[stats]())

	b := stream.NewBuilder()
	b.Stream(amounts).
		GroupByKey().
		Aggregate(
			func() stats { return stats{} },
			func(_ string, n int64, s stats) stats { return stats{s.N + 1, s.Sum + n} },
			store).
		MapValues(func(s stats) int64 { return s.Sum / s.N }).
		ToStream().
		To(sums)
	run(b, "amounts k=3@1", "amounts k=5@2")
	// Output:
	// sums k=3@1
	// sums k=4@2
}

func ExampleGrouped_TryAggregate() {
	b := stream.NewBuilder()
	b.Stream(amounts).
		GroupByKey().
		TryAggregate(
			func() int64 { return 0 },
			func(_ context.Context, _ string, n, sum int64) (int64, error) {
				if n < 0 {
					return 0, dlq.Reject("negative", nil)
				}
				return sum + n, nil
			},
			state.KeyValue("sums", serde.String(), serde.Int64())).
		ToStream().
		To(sums)
	run(b, "amounts k=3@1", "amounts k=-1@2", "amounts k=4@3")
	// Output:
	// amounts.dlq k=-1@2
	// sums k=3@1
	// sums k=7@3
}

// windowName is a key of text for a key in a window.
func windowName(w stream.Windowed[string]) string {
	return fmt.Sprintf("%s from %s", w.Key, w.Start.Format("15:04"))
}

func ExampleGrouped_Window() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		Window(stream.Hopping{Size: 2 * time.Minute, Advance: time.Minute}).
		Count(state.Window("counts", serde.String(), serde.Int64())).
		ToStream(windowName).
		To(sums)
	run(b, "words k=a@60000", "words k=b@119999")
	// Output:
	// sums k from 00:00=1@60000
	// sums k from 00:01=1@60000
	// sums k from 00:00=2@119999
	// sums k from 00:01=2@119999
}

// One result per window, when it closes: at its end and the grace for late records.
func ExampleTimeWindowed_Count() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		Window(stream.Tumbling{Size: time.Minute, Grace: 10 * time.Second}, stream.OnClose).
		Count(state.Window("counts", serde.String(), serde.Int64())).
		ToStream(windowName).
		To(sums)
	run(b, "words k=a@1", "words k=b@61000", "words k=in time@59000", "words k=c@70000", "words k=late@59000")
	// Output:
	// sums k from 00:00=2@59000
}

func ExampleTimeWindowed_Reduce() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		Window(stream.Tumbling{Size: time.Minute}).
		Reduce(func(a, word string) string { return a + "+" + word }, state.Window("joined", serde.String(), serde.String())).
		ToStream(windowName).
		To(out)
	run(b, "words k=a@1", "words k=b@2", "words k=c@60000")
	// Output:
	// out k from 00:00=a@1
	// out k from 00:00=a+b@2
	// out k from 00:01=c@60000
}

func ExampleTimeWindowed_Aggregate() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		Window(stream.Tumbling{Size: time.Minute}).
		Aggregate(
			func() int64 { return 0 },
			func(_, word string, letters int64) int64 { return letters + int64(len(word)) },
			state.Window("letters", serde.String(), serde.Int64())).
		ToStream(windowName).
		To(sums)
	run(b, "words k=to@1", "words k=be@2")
	// Output:
	// sums k from 00:00=2@1
	// sums k from 00:00=4@2
}

func ExampleTimeWindowed_TryAggregate() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		Window(stream.Tumbling{Size: time.Minute}).
		TryAggregate(
			func() int64 { return 0 },
			func(_ context.Context, _, word string, letters int64) (int64, error) {
				if word == "" {
					return 0, stream.ErrSkip
				}
				return letters + int64(len(word)), nil
			},
			state.Window("letters", serde.String(), serde.Int64())).
		ToStream(windowName).
		To(sums)
	run(b, "words k=to@1", "words k=@2", "words k=be@3")
	// Output:
	// sums k from 00:00=2@1
	// sums k from 00:00=4@3
}

// countsPerMinute is what the examples of windowed tables begin with.
func countsPerMinute(b *stream.Builder) stream.WindowedTable[string, int64] {
	return b.Stream(words).GroupByKey().Window(stream.Tumbling{Size: time.Minute}).
		Count(state.Window("counts", serde.String(), serde.Int64()))
}

func ExampleWindowedTable_Filter() {
	b := stream.NewBuilder()
	countsPerMinute(b).
		Filter(func(_ stream.Windowed[string], n int64) bool { return n > 1 }).
		ToStream(windowName).
		To(sums)
	run(b, "words k=a@1", "words k=b@2")
	// Output:
	// sums k from 00:00=2@2
}

func ExampleWindowedTable_MapValues() {
	b := stream.NewBuilder()
	countsPerMinute(b).
		MapValues(func(n int64) string { return strings.Repeat("*", int(n)) }).
		ToStream(windowName).
		To(out)
	run(b, "words k=a@1", "words k=b@2")
	// Output:
	// out k from 00:00=*@1
	// out k from 00:00=**@2
}

func ExampleWindowedTable_MapValuesWithKey() {
	b := stream.NewBuilder()
	countsPerMinute(b).
		MapValuesWithKey(func(w stream.Windowed[string], n int64) string { return fmt.Sprint(n, " of ", w.Key) }).
		ToStream(windowName).
		To(out)
	run(b, "words k=a@1")
	// Output:
	// out k from 00:00=1 of k@1
}

func ExampleWindowedTable_ToStream() {
	b := stream.NewBuilder()
	countsPerMinute(b).
		ToStream(func(w stream.Windowed[string]) string { return w.Key }).
		To(sums)
	run(b, "words k=a@1", "words k=b@60000")
	// Output:
	// sums k=1@1
	// sums k=1@60000
}

func ExampleWindowedTable_To() {
	perMinute := stream.NewTopic("per-minute", serde.TimeWindowed(serde.String(), time.Minute), serde.JSON[int64]())

	b := stream.NewBuilder()
	countsPerMinute(b).To(perMinute)
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(top.SinkTopics())
	// Output:
	// [per-minute]
}
