package stream_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

func ExampleBuilder_Stream() {
	b := stream.NewBuilder()
	b.Stream(words).To(out)
	run(b, "words k=hello@1", "words k=null@2")
	// Output:
	// out k=hello@1
	// out k=null@2
}

func ExampleBuilder_OnError() {
	b := stream.NewBuilder().OnError(dlq.Send())
	b.Stream(amounts).To(sums)
	run(b, "amounts k=1@1", "amounts k=one@2", "amounts k=2@3")
	// Output:
	// amounts.dlq k=one@2
	// sums k=1@1
	// sums k=2@3
}

func ExampleBuilder_Build() {
	b := stream.NewBuilder()
	b.Stream(words).SelectKey(func(_, word string) string { return word }).GroupByKey()
	_, err := b.Build()
	if fault, ok := errors.AsType[*topology.BuildError](err); ok {
		why, _, _ := strings.Cut(fault.Err.Error(), ",")
		fmt.Println(fault.Op, why) // fault.Pos is the file and line of the call
	}
	// Output:
	// group-by-key needs the stream partitioned by its key
}

func ExampleTimestampFrom() {
	b := stream.NewBuilder()
	b.Stream(amounts, stream.TimestampFrom(func(_ string, n int64) time.Time { return time.UnixMilli(n) })).To(sums)
	run(b, "amounts k=1700@1")
	// Output:
	// sums k=1700@1700
}

func ExampleStream_Filter() {
	b := stream.NewBuilder()
	b.Stream(words).Filter(func(_, word string) bool { return len(word) > 2 }).To(out)
	run(b, "words k=an@1", "words k=apple@2")
	// Output:
	// out k=apple@2
}

func ExampleStream_FilterNot() {
	b := stream.NewBuilder()
	b.Stream(words).FilterNot(func(_, word string) bool { return strings.Contains(word, "x") }).To(out)
	run(b, "words k=fox@1", "words k=dog@2")
	// Output:
	// out k=dog@2
}

func ExampleStream_TryFilter() {
	b := stream.NewBuilder()
	b.Stream(words).
		TryFilter(func(_ context.Context, _, word string) (bool, error) {
			n, err := strconv.Atoi(word)
			if err != nil {
				return false, dlq.Reject("not-a-number", err)
			}
			return n > 10, nil
		}).
		To(out)
	run(b, "words k=7@1", "words k=x@2", "words k=12@3")
	// Output:
	// out k=12@3
	// words.dlq k=x@2
}

func ExampleStream_Peek() {
	b := stream.NewBuilder()
	b.Stream(words).Peek(func(key, word string) { fmt.Println("saw", key, word) }).To(out)
	run(b, "words k=hello@1")
	// Output:
	// saw k hello
	// out k=hello@1
}

func ExampleStream_TryPeek() {
	b := stream.NewBuilder()
	b.Stream(words).
		TryPeek(func(ctx context.Context, _, word string) error {
			fmt.Println(word, "at offset", stream.Metadata(ctx).Offset)
			return nil
		}).
		To(out)
	run(b, "words k=hello@1")
	// Output:
	// hello at offset 0
	// out k=hello@1
}

func ExampleStream_ForEach() {
	b := stream.NewBuilder()
	b.Stream(words).ForEach(func(key, word string) { fmt.Println(key, word) })
	run(b, "words k=hello@1")
	// Output:
	// k hello
}

func ExampleStream_TryForEach() {
	b := stream.NewBuilder()
	b.Stream(words).TryForEach(func(_ context.Context, key, word string) error {
		if word == "" {
			return dlq.Reject("empty", nil)
		}
		fmt.Println(key, word)
		return nil
	})
	run(b, "words k=@1", "words k=hello@2")
	// Output:
	// k hello
	// words.dlq k=@1
}

func ExampleStream_Split() {
	b := stream.NewBuilder()
	long, short := b.Stream(words).Split(func(_, word string) bool { return len(word) > 3 })
	long.To(out)
	short.ForEach(func(_, word string) { fmt.Println("short:", word) })
	run(b, "words k=an@1", "words k=apple@2")
	// Output:
	// short: an
	// out k=apple@2
}

func ExampleStream_Branch() {
	b := stream.NewBuilder()
	starts := func(letter string) func(string, string) bool {
		return func(_, word string) bool { return strings.HasPrefix(word, letter) }
	}
	branches, rest := b.Stream(words).Branch(starts("a"), starts("b"))
	branches[0].Merge(branches[1]).To(out)
	rest.ForEach(func(_, word string) { fmt.Println("neither:", word) })
	run(b, "words k=apple@1", "words k=cat@2", "words k=bird@3")
	// Output:
	// neither: cat
	// out k=apple@1
	// out k=bird@3
}

func ExampleStream_MapValues() {
	b := stream.NewBuilder()
	b.Stream(words).MapValues(strings.ToUpper).To(out)
	run(b, "words k=hello@1")
	// Output:
	// out k=HELLO@1
}

func ExampleStream_MapValuesWithKey() {
	b := stream.NewBuilder()
	b.Stream(words).MapValuesWithKey(func(key, word string) string { return key + "-" + word }).To(out)
	run(b, "words k=hello@1")
	// Output:
	// out k=k-hello@1
}

func ExampleStream_TryMapValues() {
	b := stream.NewBuilder()
	b.Stream(words).
		TryMapValues(func(_ context.Context, _, word string) (int64, error) { return strconv.ParseInt(word, 10, 64) },
			stream.OnError(dlq.Skip())).
		To(sums)
	run(b, "words k=7@1", "words k=seven@2")
	// Output:
	// sums k=7@1
}

func ExampleStream_Map() {
	b := stream.NewBuilder()
	b.Stream(words).Map(func(key, word string) (string, string) { return word, key }).To(out)
	run(b, "words k=hello@1")
	// Output:
	// out hello=k@1
}

func ExampleStream_TryMap() {
	b := stream.NewBuilder()
	b.Stream(words).
		TryMap(func(_ context.Context, key, word string) (string, string, error) {
			if word == "" {
				return "", "", stream.ErrSkip
			}
			return word, key, nil
		}).
		To(out)
	run(b, "words k=@1", "words k=hello@2")
	// Output:
	// out hello=k@2
}

func ExampleStream_FlatMap() {
	b := stream.NewBuilder()
	b.Stream(words).
		FlatMap(func(key, line string) iter.Seq2[string, string] {
			return func(yield func(string, string) bool) {
				for word := range strings.FieldsSeq(line) {
					if !yield(word, key) {
						return
					}
				}
			}
		}).
		To(out)
	run(b, "words k=to be@1")
	// Output:
	// out to=k@1
	// out be=k@1
}

func ExampleStream_TryFlatMap() {
	b := stream.NewBuilder()
	b.Stream(words).
		TryFlatMap(func(_ context.Context, key, pairs string) (iter.Seq2[string, string], error) {
			name, value, ok := strings.Cut(pairs, ":")
			if !ok {
				return nil, dlq.Reject("no-pair", nil)
			}
			return func(yield func(string, string) bool) { _ = yield(key, name) && yield(key, value) }, nil
		}).
		To(out)
	run(b, "words k=a:b@1", "words k=c@2")
	// Output:
	// out k=a@1
	// out k=b@1
	// words.dlq k=c@2
}

func ExampleStream_FlatMapValues() {
	b := stream.NewBuilder()
	b.Stream(words).FlatMapValues(strings.Fields).To(out)
	run(b, "words k=to be or not@1")
	// Output:
	// out k=to@1
	// out k=be@1
	// out k=or@1
	// out k=not@1
}

func ExampleStream_TryFlatMapValues() {
	b := stream.NewBuilder()
	b.Stream(words).
		TryFlatMapValues(func(_ context.Context, _, line string) ([]string, error) {
			if strings.Contains(line, "?") {
				return nil, errors.New("no questions")
			}
			return strings.Fields(line), nil
		}, stream.OnError(dlq.Send())).
		To(out)
	run(b, "words k=not to be?@1", "words k=to be@2")
	// Output:
	// out k=to@2
	// out k=be@2
	// words.dlq k=not to be?@1
}

func ExampleStream_SelectKey() {
	b := stream.NewBuilder()
	b.Stream(words).SelectKey(func(_, word string) string { return word[:1] }).To(out)
	run(b, "words k=apple@1")
	// Output:
	// out a=apple@1
}

func ExampleStream_Repartition() {
	byLetter := stream.NewRepartition("words-by-letter", serde.String(), serde.String())
	counts := state.KeyValue("counts", serde.String(), serde.Int64())

	b := stream.NewBuilder()
	b.Stream(words).
		SelectKey(func(_, word string) string { return word[:1] }).
		Repartition(byLetter). // each letter in a partition of its own
		GroupByKey().
		Count(counts).
		ToStream().
		To(sums)
	run(b, "words k=apple@1", "words l=ant@2")
	// Output:
	// sums a=1@1
	// sums a=2@2
}

func ExampleStream_Merge() {
	b := stream.NewBuilder()
	b.Stream(words).Merge(b.Stream(more)).To(out)
	run(b, "words k=one@1", "more k=two@2")
	// Output:
	// out k=one@1
	// out k=two@2
}

func ExampleStream_To() {
	b := stream.NewBuilder()
	b.Stream(words).To(out, stream.Named("to-out"))
	run(b, "words k=hello@1")
	// Output:
	// out k=hello@1
}

func ExamplePartitionBy() {
	b := stream.NewBuilder()
	b.Stream(words).To(out, stream.PartitionBy(func(_, word string, n int32) int32 { return int32(len(word)) % n }))
	run(b, "words k=hello@1")
	// Output:
	// out k=hello@1
}

func ExampleStream_ToDynamic() {
	b := stream.NewBuilder()
	b.Stream(words).ToDynamic(func(key, _ string) string { return "out-" + key }, out)
	run(b, "words a=one@1", "words b=two@2")
	// Output:
	// out-a a=one@1
	// out-b b=two@2
}

func ExampleStream_ToTable() {
	last := state.KeyValue("last-word", serde.String(), serde.String())

	b := stream.NewBuilder()
	table := b.Stream(words).Filter(func(_, word string) bool { return word != "um" }).ToTable(last)
	table.ToStream().To(out)
	run(b, "words k=hello@1", "words k=um@2", "words k=null@3")
	// Output:
	// out k=hello@1
	// out k=null@3
}

func ExampleStream_JoinTable() {
	priceOf := state.KeyValue("price-of", serde.String(), serde.String())

	b := stream.NewBuilder()
	table := b.Table(prices, priceOf)
	b.Stream(words).JoinTable(table, func(word, price string) string { return word + " for " + price }).To(out)
	run(b, "prices pie=5@1", "words pie=one@2", "words jam=two@3", "prices pie=6@4", "words pie=three@5")
	// Output:
	// out pie=one for 5@2
	// out pie=three for 6@5
}

func ExampleStream_TryJoinTable() {
	priceOf := state.KeyValue("price-of", serde.String(), serde.String())

	b := stream.NewBuilder()
	table := b.Table(prices, priceOf)
	b.Stream(amounts).
		TryJoinTable(table, func(_ context.Context, _ string, n int64, price string) (int64, error) {
			p, err := strconv.ParseInt(price, 10, 64)
			if err != nil {
				return 0, dlq.Reject("odd-price", err)
			}
			return n * p, nil
		}).
		To(sums)
	run(b, "prices pie=5@1", "prices jam=free@1", "amounts pie=2@2", "amounts jam=2@3")
	// Output:
	// amounts.dlq jam=2@3
	// sums pie=10@2
}

func ExampleStream_LeftJoinTable() {
	priceOf := state.KeyValue("price-of", serde.String(), serde.String())

	b := stream.NewBuilder()
	table := b.Table(prices, priceOf)
	b.Stream(words).
		LeftJoinTable(table, func(word string, price stream.Opt[string]) string {
			if !price.OK {
				return word + " without a price"
			}
			return word + " for " + price.Value
		}).
		To(out)
	run(b, "prices pie=5@1", "words pie=one@2", "words jam=two@3")
	// Output:
	// out pie=one for 5@2
	// out jam=two without a price@3
}

func ExampleStream_Process() {
	type (
		record = stream.Record[string, string]
		node   = stream.Node[string, string]
	)
	last := state.KeyValue("last", serde.String(), serde.String())

	b := stream.NewBuilder()
	changes := b.Stream(words).Process(func(n *node) (func(context.Context, record) error, error) {
		store := last.Open(n) // typed
		return func(_ context.Context, r record) error {
			before, ok, err := store.Get(r.Key)
			if err != nil || ok && before == r.Value {
				return err
			}
			return errors.Join(store.Put(r.Key, r.Value), n.Forward(r))
		}, nil
	}, stream.Stores(last), stream.Named("changes"))
	changes.To(out)
	run(b, "words k=a@1", "words k=a@2", "words k=b@3")
	// Output:
	// out k=a@1
	// out k=b@3
}

func ExampleStream_ProcessValues() {
	type record = stream.Record[string, string]

	b := stream.NewBuilder()
	b.Stream(words).
		ProcessValues(func(n *stream.ValueNode[string, string]) (func(context.Context, record) error, error) {
			seen := 0 // since the task began
			return func(_ context.Context, r record) error {
				seen++
				return n.Forward(fmt.Sprintf("%d. %s", seen, r.Value))
			}, nil
		}).
		To(out)
	run(b, "words k=a@1", "words l=b@2")
	// Output:
	// out k=1. a@1
	// out l=2. b@2
}
