package stream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func ExampleNamed() {
	b := stream.NewBuilder()
	b.Stream(words).MapValues(strings.ToUpper, stream.Named("shout")).To(out)
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(top.Describe().String()) {
		if strings.Contains(line, "shout") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// shout [map-values]
}

func ExampleOnError() {
	checked := func(_ context.Context, _, word string) error {
		if word == "" {
			return errors.New("nothing was said")
		}
		return nil
	}
	b := stream.NewBuilder()
	b.Stream(words).
		TryPeek(checked, stream.OnError(dlq.Send())). // other operators stop at their failures
		To(out)
	run(b, "words k=@1", "words k=hello@2")
	// Output:
	// out k=hello@2
	// words.dlq k=@1
}

func ExampleMetadata() {
	b := stream.NewBuilder()
	b.Stream(words).
		TryMapValues(func(ctx context.Context, _, word string) (string, error) {
			m := stream.Metadata(ctx)
			return fmt.Sprintf("%s from %s, offset %d", word, m.Topic, m.Offset), nil
		}).
		To(out)
	run(b, "words k=a@1", "words k=b@2")
	// Output:
	// out k=a from words, offset 0@1
	// out k=b from words, offset 1@2
}

// A key with a suffix that does not move it: the topic is partitioned by what is before the slash.
func ExampleKeepsPartitioning() {
	b := stream.NewBuilder()
	b.Stream(words).
		SelectKey(func(key, word string) string { return key + "/" + word }, stream.KeepsPartitioning()).
		GroupByKey(). // without a repartition
		Count(state.KeyValue("counts", serde.String(), serde.Int64())).
		ToStream().
		To(sums)
	run(b, "words k=a@1", "words k=b@2", "words k=a@3")
	// Output:
	// sums k/a=1@1
	// sums k/b=1@2
	// sums k/a=2@3
}

// The window closes although no later record comes.
func ExampleIdleAfter() {
	b := stream.NewBuilder()
	b.Stream(words, stream.IdleAfter(time.Second)).
		GroupByKey().
		Window(stream.Tumbling{Size: 10 * time.Millisecond}, stream.OnClose).
		Count(state.Window("counts", serde.String(), serde.Int64())).
		ToStream(func(w stream.Windowed[string]) string { return w.Key }).
		To(sums)
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	tb := &exampleTB{}
	defer tb.close()
	d := streamtest.New(tb, top)
	streamtest.Input(d, words).Send("k", "a", time.UnixMilli(1))
	fmt.Println(streamtest.Table(streamtest.Output(d, sums)))
	d.Advance(2 * time.Second)
	fmt.Println(streamtest.Table(streamtest.Output(d, sums)))
	// Output:
	// map[]
	// map[k:1]
}

// The application begins with what comes, and goes on where it stopped from then on. A test's topics begin empty.
func ExampleStartFrom() {
	b := stream.NewBuilder()
	b.Stream(words, stream.StartFrom(stream.Latest)).To(out)
	run(b, "words k=a@1")
	// Output:
	// out k=a@1
}

func ExampleStores() {
	seen := state.KeyValue("seen", serde.String(), serde.String())

	b := stream.NewBuilder()
	b.Stream(words).ProcessValues(func(n *stream.ValueNode[string, string]) (func(context.Context, stream.Record[string, string]) error, error) {
		rows := seen.Open(n)
		return func(_ context.Context, r stream.Record[string, string]) error {
			if _, again, err := rows.PutIfAbsent(r.Key, r.Value); err != nil || again {
				return err
			}
			return n.Forward(r.Value)
		}, nil
	}, stream.Stores(seen)).To(out)
	run(b, "words k=first@1", "words k=second@2")
	// Output:
	// out k=first@1
}

func ExampleGlobals() {
	priceOf := state.KeyValue("price-of", serde.String(), serde.String())

	b := stream.NewBuilder()
	b.GlobalTable(prices, priceOf)
	b.Stream(words).ProcessValues(func(n *stream.ValueNode[string, string]) (func(context.Context, stream.Record[string, string]) error, error) {
		rows := priceOf.View(n)
		return func(_ context.Context, r stream.Record[string, string]) error {
			for e, err := range rows.All() {
				if err != nil {
					return err
				}
				if err := n.Forward(e.Key + " for " + e.Value); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}, stream.Globals(priceOf)).To(out)
	run(b, "prices cake=7@1", "prices pie=5@2", "words ann=anything@3")
	// Output:
	// out ann=cake for 7@3
	// out ann=pie for 5@3
}

func ExampleConcurrency() {
	lookUp := func(_ context.Context, _, word string) (string, error) { return strings.ToUpper(word), nil }

	b := stream.NewBuilder()
	b.Stream(words).MapValuesAsync(lookUp, stream.Concurrency(64)).To(out) // in each task
	run(b, "words k=a@1")
	// Output:
	// out k=A@1
}

func ExampleTimeout() {
	lookUp := func(ctx context.Context, _, word string) (string, error) {
		return strings.ToUpper(word), ctx.Err() // a real one hands ctx to its client
	}

	b := stream.NewBuilder()
	b.Stream(words).
		MapValuesAsync(lookUp, stream.Timeout(5*time.Second), stream.OnError(dlq.Retry(3, dlq.Constant(time.Second)).Then(dlq.Send()))).
		To(out)
	run(b, "words k=a@1")
	// Output:
	// out k=A@1
}
