package runtime_test

import (
	"context"
	"log"
	"os"
	"os/signal"
	"strings"

	"github.com/weirstream/weir/runtime"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

var (
	Lines  = stream.NewTopic("lines", serde.String(), serde.String())
	ByWord = stream.NewRepartition("by-word", serde.String(), serde.String())
	Words  = state.KeyValue("words", serde.String(), serde.Int64())
	Counts = stream.NewTopic("counts", serde.String(), serde.Int64())
)

// A program that counts words, exactly once.
func Example() {
	b := stream.NewBuilder()
	b.Stream(Lines).
		FlatMapValues(strings.Fields).
		MapValues(strings.ToLower).
		GroupBy(func(_, word string) string { return word }, ByWord).
		Count(Words).
		ToStream().
		To(Counts)
	top, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}
	app, err := runtime.New(top, runtime.Config{ApplicationID: "word-count", Brokers: []string{"localhost:9092"}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := app.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
