package stream_test

import (
	"context"
	"strings"
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

var priceHistory = state.Versioned("price-history", serde.String(), serde.String(), 24*time.Hour)

func at2(word, price string) string { return word + " at " + price }

func ExampleBuilder_VersionedTable() {
	b := stream.NewBuilder()
	b.VersionedTable(prices, priceHistory).ToStream().To(out)
	run(b, "prices pie=5@10", "prices pie=7@30", "prices pie=6@20")
	// Output:
	// out pie=5@10
	// out pie=7@30
	// out pie=6@20
}

func ExampleStream_ToVersionedTable() {
	b := stream.NewBuilder()
	table := b.Stream(prices).MapValues(func(p string) string { return p + " EUR" }).ToVersionedTable(priceHistory)
	b.Stream(words).JoinVersioned(table, at2).To(out)
	run(b, "prices pie=5@10", "prices pie=7@30", "words pie=sold@25")
	// Output:
	// out pie=sold at 5 EUR@25
}

func ExampleStream_JoinVersioned() {
	b := stream.NewBuilder()
	table := b.VersionedTable(prices, priceHistory)
	b.Stream(words).JoinVersioned(table, at2).To(out)
	run(b, "prices pie=5@10", "prices pie=7@30", "words pie=sold@25", "words pie=sold@35")
	// Output:
	// out pie=sold at 5@25
	// out pie=sold at 7@35
}

func ExampleStream_LeftJoinVersioned() {
	b := stream.NewBuilder()
	table := b.VersionedTable(prices, priceHistory)
	b.Stream(words).
		LeftJoinVersioned(table, func(word string, price stream.Opt[string]) string {
			if !price.OK {
				return word + " for free"
			}
			return at2(word, price.Value)
		}).
		To(out)
	run(b, "prices pie=5@10", "words pie=sold@8", "words pie=sold@12")
	// Output:
	// out pie=sold for free@8
	// out pie=sold at 5@12
}

// The price of 20 comes after the sale of 25, and in time.
func ExampleGrace() {
	waiting := state.JoinBuffer("waiting", serde.String(), serde.String())

	b := stream.NewBuilder()
	table := b.VersionedTable(prices, priceHistory)
	b.Stream(words).JoinVersioned(table, at2, stream.Grace(10*time.Millisecond, waiting)).To(out)
	run(b, "prices pie=5@10", "words pie=sold@25", "prices pie=6@20", "words pie=sold@40")
	// Output:
	// out pie=sold at 6@25
}

func ExampleVersionedTable_Filter() {
	b := stream.NewBuilder()
	table := b.VersionedTable(prices, priceHistory).Filter(func(_, price string) bool { return price != "free" })
	b.Stream(words).JoinVersioned(table, at2).To(out)
	run(b, "prices pie=5@10", "prices pie=free@20", "words pie=sold@15", "words pie=sold@25")
	// Output:
	// out pie=sold at 5@15
}

func ExampleVersionedTable_FilterNot() {
	b := stream.NewBuilder()
	table := b.VersionedTable(prices, priceHistory).FilterNot(func(_, price string) bool { return price == "free" })
	b.Stream(words).JoinVersioned(table, at2).To(out)
	run(b, "prices pie=5@10", "prices pie=free@20", "words pie=sold@15", "words pie=sold@25")
	// Output:
	// out pie=sold at 5@15
}

func ExampleVersionedTable_MapValues() {
	b := stream.NewBuilder()
	table := b.VersionedTable(prices, priceHistory).MapValues(func(price string) string { return price + " EUR" })
	b.Stream(words).JoinVersioned(table, at2).To(out)
	run(b, "prices pie=5@10", "prices pie=7@20", "words pie=sold@15")
	// Output:
	// out pie=sold at 5 EUR@15
}

func ExampleVersionedTable_MapValuesWithKey() {
	b := stream.NewBuilder()
	table := b.VersionedTable(prices, priceHistory).MapValuesWithKey(func(what, price string) string { return price + " a " + what })
	b.Stream(words).JoinVersioned(table, at2).To(out)
	run(b, "prices pie=5@10", "prices pie=7@20", "words pie=sold@15")
	// Output:
	// out pie=sold at 5 a pie@15
}

// A processor that tells how a price changed over the ten milliseconds before a word.
func ExampleStream_Process_versions() {
	b := stream.NewBuilder()
	b.VersionedTable(prices, priceHistory).Table.ToStream().Process(
		func(n *stream.Node[string, string]) (func(context.Context, stream.Record[string, string]) error, error) {
			history := priceHistory.Open(n)
			return func(_ context.Context, r stream.Record[string, string]) error {
				var seen []string
				for v, err := range history.History(r.Key, r.Timestamp.Add(-10*time.Millisecond), r.Timestamp) {
					if err != nil {
						return err
					}
					seen = append(seen, v.Value)
				}
				r.Value = strings.Join(seen, ", then ")
				return n.Forward(r)
			}, nil
		}, stream.Stores(priceHistory)).To(out)
	run(b, "prices pie=5@10", "prices pie=7@30", "prices pie=8@35")
	// Output:
	// out pie=5@10
	// out pie=5, then 7@30
	// out pie=5, then 7, then 8@35
}
