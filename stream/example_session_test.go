package stream_test

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// spanName is a key of text for a key in a session.
func spanName(w stream.Windowed[string]) string {
	return fmt.Sprintf("%s from %s to %s", w.Key, w.Start.Format("15:04:05"), w.End.Format("15:04:05"))
}

var visit = stream.Session{Gap: 30 * time.Second}

// A session that grows deletes the row of the one before.
func ExampleGrouped_SessionWindow() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		SessionWindow(visit).
		Count(state.Session("visits", serde.String(), serde.Int64())).
		ToStream(spanName).
		To(sums)
	run(b, "words k=a@1000", "words k=b@20000", "words k=c@60000")
	// Output:
	// sums k from 00:00:01 to 00:00:01=1@1000
	// sums k from 00:00:01 to 00:00:01=null@1000
	// sums k from 00:00:01 to 00:00:20=2@20000
	// sums k from 00:01:00 to 00:01:00=1@60000
}

// One result per session, when it closes.
func ExampleSessionWindowed_Count() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		SessionWindow(visit, stream.OnClose).
		Count(state.Session("visits", serde.String(), serde.Int64())).
		ToStream(spanName).
		To(sums)
	run(b, "words k=a@1000", "words k=b@20000", "words k=c@60000")
	// Output:
	// sums k from 00:00:01 to 00:00:20=2@20000
}

func ExampleSessionWindowed_Reduce() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		SessionWindow(visit, stream.OnClose).
		Reduce(func(a, word string) string { return a + "+" + word }, state.Session("joined", serde.String(), serde.String())).
		ToStream(spanName).
		To(out)
	run(b, "words k=a@1000", "words k=b@20000", "words k=c@60000")
	// Output:
	// out k from 00:00:01 to 00:00:20=a+b@20000
}

func ExampleSessionWindowed_Aggregate() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		SessionWindow(visit, stream.OnClose).
		Aggregate(
			func() int64 { return 0 },
			func(_, word string, letters int64) int64 { return letters + int64(len(word)) },
			func(_ string, a, b int64) int64 { return a + b },
			state.Session("letters", serde.String(), serde.Int64())).
		ToStream(spanName).
		To(sums)
	run(b, "words k=to@1000", "words k=be@20000", "words k=or@60000")
	// Output:
	// sums k from 00:00:01 to 00:00:20=4@20000
}

func ExampleSessionWindowed_TryAggregate() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		SessionWindow(visit, stream.OnClose).
		TryAggregate(
			func() int64 { return 0 },
			func(_ context.Context, _, word string, letters int64) (int64, error) {
				if word == "" {
					return 0, stream.ErrSkip
				}
				return letters + int64(len(word)), nil
			},
			func(_ string, a, b int64) int64 { return a + b },
			state.Session("letters", serde.String(), serde.Int64())).
		ToStream(spanName).
		To(sums)
	run(b, "words k=to@1000", "words k=@20000", "words k=be@60000")
	// Output:
	// sums k from 00:00:01 to 00:00:01=2@1000
}

// The largest number of records within ten seconds is the largest of these counts.
func ExampleSliding() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		Window(stream.Sliding{Difference: 10 * time.Second}, stream.OnClose).
		Count(state.Window("burst", serde.String(), serde.Int64())).
		ToStream(spanName).
		To(sums)
	run(b, "words k=a@20000", "words k=b@25000", "words k=c@60000")
	// Output:
	// sums k from 00:00:10 to 00:00:20=1@20000
	// sums k from 00:00:15 to 00:00:25=2@25000
	// sums k from 00:00:20 to 00:00:30=1@25000
}

func ExampleUnlimited() {
	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		Window(stream.Unlimited{From: time.UnixMilli(60000)}).
		Count(state.Window("since", serde.String(), serde.Int64())).
		ToStream(func(w stream.Windowed[string]) string { return w.Key }).
		To(sums)
	run(b, "words k=early@1", "words k=a@60000", "words k=b@900000000")
	// Output:
	// sums k=1@60000
	// sums k=2@900000000
}

// How often did the count of each minute change?
func ExampleWindowedAsTable() {
	minute := serde.TimeWindowed(serde.String(), time.Minute)

	b := stream.NewBuilder()
	perMinute := stream.WindowedAsTable(countsPerMinute(b))
	perMinute.
		ToStream().
		GroupByKey().
		Count(state.KeyValue("updates", minute, serde.Int64())).
		ToStream().
		Map(func(w stream.Windowed[string], updates int64) (string, int64) { return windowName(w), updates }).
		To(sums)
	run(b, "words k=a@1", "words k=b@2")
	// Output:
	// sums k from 00:00=1@1
	// sums k from 00:00=2@2
}
