package stream_test

import (
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func addWord(_, word, a string) string { return a + " " + word }

func addPrice(_, price, a string) string { return a + " $" + price }

func noWords() string { return "-" }

func ExampleGrouped_Cogroup() {
	b := stream.NewBuilder()
	b.Stream(words).GroupByKey().Cogroup(addWord).
		With(b.Stream(prices).GroupByKey(), addPrice).
		Aggregate(noWords, state.KeyValue("all", serde.String(), serde.String())).
		ToStream().
		To(out)
	run(b, "words k=apple@1", "prices k=3@2", "words k=pie@3")
	// Output:
	// out k=- apple@1
	// out k=- apple $3@2
	// out k=- apple $3 pie@3
}

func ExampleCogrouped_Window() {
	b := stream.NewBuilder()
	b.Stream(words).GroupByKey().Cogroup(addWord).
		With(b.Stream(prices).GroupByKey(), addPrice).
		Window(stream.Tumbling{Size: 10 * time.Millisecond}).
		Aggregate(noWords, state.Window("all", serde.String(), serde.String())).
		ToStream(func(w stream.Windowed[string]) string { return w.Key }).
		To(out)
	run(b, "words k=apple@1", "prices k=3@2", "words k=pie@13")
	// Output:
	// out k=- apple@1
	// out k=- apple $3@2
	// out k=- pie@13
}

func ExampleCogrouped_SessionWindow() {
	b := stream.NewBuilder()
	b.Stream(words).GroupByKey().Cogroup(addWord).
		With(b.Stream(prices).GroupByKey(), addPrice).
		SessionWindow(stream.Session{Gap: 5 * time.Millisecond}).
		Aggregate(noWords, func(_, x, y string) string { return x + y }, state.Session("all", serde.String(), serde.String())).
		ToStream(func(w stream.Windowed[string]) string { return w.Key }).
		To(out)
	run(b, "words k=apple@1", "prices k=3@13")
	// Output:
	// out k=- apple@1
	// out k=- $3@13
}
