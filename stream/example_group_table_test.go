package stream_test

import (
	"context"
	"errors"
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// itself puts a row into the group of its value.
func itself(_, word string) (string, string) { return word, word }

func ExampleTable_GroupBy() {
	byWord := stream.NewRepartition("by-word", serde.String(), serde.String())

	b := stream.NewBuilder()
	b.Table(words, state.KeyValue("last", serde.String(), serde.String())).
		GroupBy(itself, byWord).
		Count(state.KeyValue("counts", serde.String(), serde.Int64())).
		ToStream().
		To(sums)
	run(b, "words k=tea@1", "words l=tea@2", "words k=milk@3")
	// Output:
	// sums tea=1@1
	// sums tea=2@2
	// sums tea=1@3
	// sums milk=1@3
}

func ExampleWindowedTable_GroupBy() {
	byCount := stream.NewRepartition("by-count", serde.Int64(), serde.String())

	b := stream.NewBuilder()
	b.Stream(words).GroupByKey().
		Window(stream.Tumbling{Size: 10 * time.Millisecond}).
		Count(state.Window("per-window", serde.String(), serde.Int64())).
		GroupBy(func(w stream.Windowed[string], n int64) (int64, string) { return n, w.Key }, byCount). // how many windows have n records
		Count(state.KeyValue("windows-of", serde.Int64(), serde.Int64())).
		Filter(func(n, _ int64) bool { return n > 0 }).
		ToStream().
		Map(func(n, windows int64) (string, int64) { return "windows with records: " + string(rune('0'+n)), windows }).
		To(sums)
	run(b, "words k=a@1", "words k=b@2", "words l=c@3")
	// Output:
	// sums windows with records: 1=1@1
	// sums windows with records: 1=0@2
	// sums windows with records: 2=1@2
	// sums windows with records: 1=1@3
}

func ExampleGroupedTable_Count() {
	b := stream.NewBuilder()
	b.Table(words, state.KeyValue("last", serde.String(), serde.String())).
		GroupBy(itself, stream.NewRepartition("by-word", serde.String(), serde.String())).
		Count(state.KeyValue("counts", serde.String(), serde.Int64())).
		ToStream().
		To(sums)
	run(b, "words k=tea@1", "words k=null@2")
	// Output:
	// sums tea=1@1
	// sums tea=0@2
}

func ExampleGroupedTable_Reduce() {
	b := stream.NewBuilder()
	b.Table(amounts, state.KeyValue("last", serde.String(), serde.Int64())).
		GroupBy(func(_ string, n int64) (string, int64) { return "all", n }, stream.NewRepartition("all", serde.String(), serde.Int64())).
		Reduce(func(sum, n int64) int64 { return sum + n }, func(sum, n int64) int64 { return sum - n },
			state.KeyValue("total", serde.String(), serde.Int64())).
		ToStream().
		To(sums)
	run(b, "amounts k=3@1", "amounts l=4@2", "amounts k=5@3")
	// Output:
	// sums all=3@1
	// sums all=7@2
	// sums all=9@3
}

func ExampleGroupedTable_Aggregate() {
	b := stream.NewBuilder()
	b.Table(words, state.KeyValue("last", serde.String(), serde.String())).
		GroupBy(func(_, word string) (string, string) { return word[:1], word }, stream.NewRepartition("by-letter", serde.String(), serde.String())).
		Aggregate(func() int64 { return 0 },
			func(_, word string, letters int64) int64 { return letters + int64(len(word)) },
			func(_, word string, letters int64) int64 { return letters - int64(len(word)) },
			state.KeyValue("letters", serde.String(), serde.Int64())).
		ToStream().
		To(sums)
	run(b, "words k=tea@1", "words l=toast@2", "words k=time@3")
	// Output:
	// sums t=3@1
	// sums t=8@2
	// sums t=9@3
}

func ExampleGroupedTable_TryAggregate() {
	errFull := errors.New("the group is full")

	b := stream.NewBuilder()
	b.Table(words, state.KeyValue("last", serde.String(), serde.String())).
		GroupBy(itself, stream.NewRepartition("by-word", serde.String(), serde.String())).
		TryAggregate(func() int64 { return 0 },
			func(_ context.Context, _, _ string, n int64) (int64, error) {
				if n == 2 {
					return 0, errors.Join(errFull, stream.ErrSkip)
				}
				return n + 1, nil
			},
			func(_ context.Context, _, _ string, n int64) (int64, error) { return n - 1, nil },
			state.KeyValue("seats", serde.String(), serde.Int64())).
		ToStream().
		To(sums)
	run(b, "words k=tea@1", "words l=tea@2", "words m=tea@3")
	// Output:
	// sums tea=1@1
	// sums tea=2@2
}

func ExampleCoalesce() {
	b := stream.NewBuilder()
	b.Stream(words).GroupByKey().
		Count(state.KeyValue("counts", serde.String(), serde.Int64()), stream.Coalesce()). // one update per key and commit
		ToStream().
		To(sums)
	run(b, "words k=a@1", "words k=b@2") // here each record is committed
	// Output:
	// sums k=1@1
	// sums k=2@2
}
