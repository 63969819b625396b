package topology_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// The words that the tests build graphs with. Positions are made up, so that tests can ask for them.

type order struct {
	City  string
	Cents int64
}

var (
	orders = topology.NewTopic("orders", serde.String(), serde.JSON[order]())
	counts = topology.NewTopic("counts", serde.String(), serde.Int64())
)

func text(name string) topology.Topic[string, string] {
	return topology.NewTopic(name, serde.String(), serde.String())
}

func rekey(name string) topology.Repartition[string, string] {
	return topology.NewRepartition(name, serde.String(), serde.String())
}

func node(op, name string, stores ...state.Spec) topology.NodeSpec {
	return topology.NodeSpec{Op: op, Name: name, Pos: name + ".go:1", Stores: stores}
}

func via(op, name string) topology.RepartitionSpec[string, string] {
	return topology.RepartitionSpec[string, string]{NodeSpec: node(op, name)}
}

func read[K, V any](b *topology.Builder, t topology.Topic[K, V]) topology.Port[K, V] {
	return b.Source(t, topology.SourceSpec[K, V]{NodeSpec: topology.NodeSpec{Op: "stream", Pos: t.Name() + ".go:1"}})
}

func write[K, V any](p topology.Port[K, V], t topology.Topic[K, V]) {
	p.Sink(t, topology.SinkSpec[K, V]{NodeSpec: topology.NodeSpec{Op: "to", Pos: t.Name() + "-to.go:1"}})
}

// pass adds a node that passes its records on.
func pass[K, V any](p topology.Port[K, V], s topology.NodeSpec) topology.Port[K, V] {
	return p.Attach(s, func(_ *topology.NodeContext, next topology.Processor[K, V]) (topology.Processor[K, V], error) {
		return next, nil
	})
}

// split adds a node that sends each record to one of its children.
func split[K, V any](p topology.Port[K, V], s topology.NodeSpec) topology.Port[K, V] {
	return p.AttachEach(s, func(_ *topology.NodeContext, kids []topology.Processor[K, V]) (
		topology.Processor[K, V], error,
	) {
		n := 0
		return topology.ProcessorFunc[K, V](func(r *topology.Record[K, V]) error {
			n++
			return kids[n%len(kids)].Process(r)
		}), nil
	})
}

// count adds a processor that counts the records of each key.
func count[V any](
	p topology.Port[string, V], name string, store state.KeyValueSpec[string, int64],
) topology.Port[string, int64] {
	return p.Process(node("count", name, store), func(n *topology.Node[string, int64]) (
		func(context.Context, topology.Record[string, V]) error, error,
	) {
		rows := store.Open(n)
		return func(_ context.Context, r topology.Record[string, V]) error {
			sum, _, err := rows.Get(r.Key)
			if err != nil {
				return err
			}
			if err := rows.Put(r.Key, sum+1); err != nil {
				return err
			}
			return n.Forward(topology.Record[string, int64]{Key: r.Key, Value: sum + 1})
		}, nil
	})
}

func build(t *testing.T, program func(b *topology.Builder)) *topology.Topology {
	t.Helper()
	var b topology.Builder
	program(&b)
	out, err := b.Build()
	require.NoError(t, err)
	return out
}

// The programs of the golden files.

func stateless(b *topology.Builder) {
	p := pass(read(b, orders), node("filter", "only-large"))
	write(pass(p, node("map-values", "")), topology.NewTopic("large-orders", serde.String(), serde.JSON[order]()))
	p.Sink(orders, topology.SinkSpec[string, order]{
		NodeSpec: node("to-dynamic", "by-city"),
		Topic:    func(r *topology.Record[string, order]) string { return "orders-" + r.Value.City },
	})
}

func counted(b *topology.Builder) {
	b.OnError(dlq.Send())
	r := topology.NewRepartition("by-city", serde.String(), serde.JSON[order]()).Partitions(12)
	p := pass(read(b, orders), node("select-key", "city"))
	p = p.Through(r, topology.RepartitionSpec[string, order]{NodeSpec: node("repartition", "by-city")})
	write(count(p, "per-city", state.KeyValue("per-city", serde.String(), serde.Int64())), counts)
	recent := state.Window("recent", serde.String(), serde.Int64()).InMemory().Retention(90 * time.Minute)
	write(count(pass(p, node("window", "recent", recent)), "total", state.KeyValue("total", serde.String(), serde.Int64()).
		WithoutChangelog().InMemory()), topology.NewTopic("recent-counts", serde.String(), serde.Int64()))
}

func joined(b *topology.Builder) {
	left := state.Window("left", serde.String(), serde.String()).Retention(time.Hour)
	right := state.Window("right", serde.String(), serde.String()).Retention(time.Hour)
	clicks := read(b, text("clicks"))
	views := read(b, text("views")).Through(rekey("views-by-user"), via("repartition", "views-by-user"))
	b.Copartition("join", "join.go:1", clicks, views)
	p := topology.Merge(node("join", "join"),
		pass(clicks, node("join-left", "join-left", left, right)), pass(views, node("join-right", "join-right", right, left)))
	write(p, text("visits"))
}

// branched has names of types that mean something to Mermaid and Graphviz.
func branched(b *topology.Builder) {
	type tagged = struct {
		//lint:ignore SA5008 the tag is there to need escaping
		N map[string][]int `json:"n <b>#1;</b> \\N"`
	}
	in := topology.NewTopic("events", serde.String(), serde.JSON[tagged]())
	p := split(read(b, in), node("branch", "kind"))
	small, large := pass(p, node("filter", "small")), pass(p, node("filter", "large"))
	store := state.KeyValue("last-event", serde.String(), serde.JSON[tagged]())
	all := topology.Merge(node("merge", "all"), small, pass(large, node("remember", "last", store)))
	write(all, topology.NewTopic("all-events", serde.String(), serde.JSON[tagged]()))
	write(large, topology.NewTopic("all-events", serde.String(), serde.JSON[tagged]()))
}
