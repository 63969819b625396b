package stream_test

import (
	"context"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func ExampleBuilder_GlobalTable() {
	priceOf := state.KeyValue("price-of", serde.String(), serde.String())

	b := stream.NewBuilder()
	b.GlobalTable(prices, priceOf)
	// A processor reads it by any key, wherever that key's partition is.
	b.Stream(words).ProcessValues(func(n *stream.ValueNode[string, string]) (
		func(context.Context, stream.Record[string, string]) error, error,
	) {
		rows := priceOf.View(n)
		return func(_ context.Context, r stream.Record[string, string]) error {
			price, ok, err := rows.Get(r.Value)
			if err != nil || !ok {
				return err
			}
			return n.Forward(r.Value + " for " + price)
		}, nil
	}, stream.Globals(priceOf)).To(out)
	run(b, "prices pie=5@1", "words ann=pie@2", "words ann=cake@3")
	// Output:
	// out ann=pie for 5@2
}

func ExampleBuilder_GlobalStore() {
	// Who sells what, by the thing that is sold.
	sellerOf := state.KeyValue("seller-of", serde.String(), serde.String())

	b := stream.NewBuilder()
	sellers := b.GlobalStore(more, sellerOf, func(n *stream.GlobalNode) (
		func(context.Context, stream.Record[string, string]) error, error,
	) {
		rows := sellerOf.Open(n)
		return func(_ context.Context, r stream.Record[string, string]) error { return rows.Put(r.Value, r.Key) }, nil
	})
	b.Stream(words).JoinGlobal(sellers,
		func(_, word string) string { return word },
		func(word, seller string) string { return word + " of " + seller },
	).To(out)
	run(b, "more bob=pie@1", "words ann=pie@2")
	// Output:
	// out ann=pie of bob@2
}

func ExampleStream_JoinGlobal() {
	b := stream.NewBuilder()
	table := b.GlobalTable(prices, state.KeyValue("price-of", serde.String(), serde.String()))
	b.Stream(words).JoinGlobal(table,
		func(_, word string) string { return word },
		func(word, price string) string { return word + " for " + price },
	).To(out)
	run(b, "prices pie=5@1", "words ann=pie@2", "words ann=cake@3", "words bob=pie@4")
	// Output:
	// out ann=pie for 5@2
	// out bob=pie for 5@4
}

func ExampleStream_TryJoinGlobal() {
	b := stream.NewBuilder()
	table := b.GlobalTable(prices, state.KeyValue("price-of", serde.String(), serde.String()))
	b.Stream(words).TryJoinGlobal(table,
		func(_, word string) string { return word },
		func(_ context.Context, name, word, price string) (string, error) {
			if price == "" {
				return "", stream.ErrSkip
			}
			return name + " pays " + price + " for " + word, nil
		},
	).To(out)
	run(b, "prices pie=5@1", "prices air=@1", "words ann=pie@2", "words ann=air@3")
	// Output:
	// out ann=ann pays 5 for pie@2
}

func ExampleStream_LeftJoinGlobal() {
	b := stream.NewBuilder()
	table := b.GlobalTable(prices, state.KeyValue("price-of", serde.String(), serde.String()))
	b.Stream(words).LeftJoinGlobal(table,
		func(_, word string) string { return word },
		func(word string, price stream.Opt[string]) string {
			if !price.OK {
				return word + ", no price"
			}
			return word + " for " + price.Value
		},
	).To(out)
	run(b, "prices pie=5@1", "words ann=pie@2", "words ann=cake@3")
	// Output:
	// out ann=pie for 5@2
	// out ann=cake, no price@3
}
