package stream_test

import (
	"context"
	"fmt"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func ExampleTable_Join() {
	b := stream.NewBuilder()
	names := b.Table(words, state.KeyValue("names", serde.String(), serde.String()))
	costs := b.Table(prices, state.KeyValue("costs", serde.String(), serde.String()))
	names.Join(costs, func(name, cost string) string { return name + " costs " + cost }).
		Materialize(state.KeyValue("menu", serde.String(), serde.String())).
		ToStream().
		To(out)
	run(b, "words p=pie@1", "prices p=5@2", "prices p=6@3", "words p=null@4")
	// Output:
	// out p=pie costs 5@2
	// out p=pie costs 6@3
	// out p=null@4
}

func ExampleTable_LeftJoin() {
	b := stream.NewBuilder()
	names := b.Table(words, state.KeyValue("names", serde.String(), serde.String()))
	costs := b.Table(prices, state.KeyValue("costs", serde.String(), serde.String()))
	names.LeftJoin(costs, func(name string, cost stream.Opt[string]) string {
		if !cost.OK {
			return name + " is free"
		}
		return name + " costs " + cost.Value
	}).ToStream().To(out)
	run(b, "words p=pie@1", "prices p=5@2", "prices p=null@3")
	// Output:
	// out p=pie is free@1
	// out p=pie costs 5@2
	// out p=pie is free@3
}

func ExampleTable_OuterJoin() {
	b := stream.NewBuilder()
	names := b.Table(words, state.KeyValue("names", serde.String(), serde.String()))
	costs := b.Table(prices, state.KeyValue("costs", serde.String(), serde.String()))
	names.OuterJoin(costs, func(name, cost stream.Opt[string]) string {
		return fmt.Sprintf("name %q, cost %q", name.Value, cost.Value)
	}).ToStream().To(out)
	run(b, "prices p=5@1", "words p=pie@2", "prices p=null@3", "words p=null@4")
	// Output:
	// out p=name "", cost "5"@1
	// out p=name "pie", cost "5"@2
	// out p=name "pie", cost ""@3
	// out p=null@4
}

func ExampleTable_ProcessValues() {
	versions := state.KeyValue("versions", serde.String(), serde.Int64())

	b := stream.NewBuilder()
	b.Table(words, state.KeyValue("last", serde.String(), serde.String())).
		ProcessValues(func(n *stream.RowNode) (func(context.Context, string, stream.Opt[string]) (stream.Opt[string], error), error) {
			st := versions.Open(n)
			return func(_ context.Context, key string, word stream.Opt[string]) (stream.Opt[string], error) {
				version, _, err := st.Get(key)
				if err != nil || !word.OK {
					return stream.Opt[string]{}, err
				}
				text := fmt.Sprintf("%s, version %d", word.Value, version+1)
				return stream.Opt[string]{Value: text, OK: true}, st.Put(key, version+1)
			}, nil
		}, stream.Stores(versions)).
		ToStream().
		To(out)
	run(b, "words k=apple@1", "words k=pear@2", "words k=null@3", "words k=plum@4")
	// Output:
	// out k=apple, version 1@1
	// out k=pear, version 2@2
	// out k=null@3
	// out k=plum, version 3@4
}
