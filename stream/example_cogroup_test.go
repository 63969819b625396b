package stream_test

import (
	"strings"
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

// Each stream has values and a function of its own.
func ExampleCogrouped_With() {
	b := stream.NewBuilder()
	b.Stream(words).GroupByKey().Cogroup(addWord).
		With(b.Stream(amounts).GroupByKey(), func(_ string, n int64, a string) string { return strings.Repeat(a, int(n)) }).
		Aggregate(noWords, state.KeyValue("all", serde.String(), serde.String())).
		ToStream().
		To(out)
	run(b, "words k=apple@1", "amounts k=2@2")
	// Output:
	// out k=- apple@1
	// out k=- apple- apple@2
}

func ExampleCogrouped_Aggregate() {
	b := stream.NewBuilder()
	b.Stream(words).GroupByKey().Cogroup(addWord).
		Aggregate(noWords, state.KeyValue("all", serde.String(), serde.String())).
		ToStream().
		To(out)
	run(b, "words k=apple@1", "words k=null@2", "words k=pie@3")
	// Output:
	// out k=- apple@1
	// out k=- apple pie@3
}

// A word of later closes the window for prices too.
func ExampleTimeWindowedCogroup_Aggregate() {
	b := stream.NewBuilder()
	b.Stream(words).GroupByKey().Cogroup(addWord).
		With(b.Stream(prices).GroupByKey(), addPrice).
		Window(stream.Tumbling{Size: 10 * time.Millisecond}).
		Aggregate(noWords, state.Window("all", serde.String(), serde.String())).
		ToStream(func(w stream.Windowed[string]) string { return w.Key }).
		To(out)
	run(b, "words k=apple@11", "prices k=3@2")
	// Output:
	// out k=- apple@11
}

// A price between two words makes one session of them.
func ExampleSessionWindowedCogroup_Aggregate() {
	b := stream.NewBuilder()
	b.Stream(words).GroupByKey().Cogroup(addWord).
		With(b.Stream(prices).GroupByKey(), addPrice).
		SessionWindow(stream.Session{Gap: 5 * time.Millisecond, Grace: time.Second}).
		Aggregate(noWords, func(_, x, y string) string { return x + y }, state.Session("all", serde.String(), serde.String())).
		ToStream(func(w stream.Windowed[string]) string { return w.Key }).
		To(out)
	run(b, "words k=apple@1", "words k=pie@9", "prices k=3@5")
	// Output:
	// out k=- apple@1
	// out k=- pie@9
	// out k=null@1
	// out k=null@9
	// out k=-- apple- pie $3@9
}
