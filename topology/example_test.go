package topology_test

import (
	"fmt"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

func ExampleTopology_Describe() {
	var b topology.Builder
	byCity := topology.NewRepartition("by-city", serde.String(), serde.String())
	perCity := state.KeyValue("per-city", serde.String(), serde.Int64())

	cities := b.Source(text("orders"), topology.SourceSpec[string, string]{NodeSpec: topology.NodeSpec{Op: "stream"}}).
		Through(byCity, topology.RepartitionSpec[string, string]{NodeSpec: topology.NodeSpec{Op: "repartition"}})
	count(cities, "count", perCity).
		Sink(counts, topology.SinkSpec[string, int64]{NodeSpec: topology.NodeSpec{Op: "to"}})

	t, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(t.Describe())
	// Output:
	// Subtopology 0
	//   orders-source [stream] from orders (string, string)
	//     by-city-sink [repartition-sink] to repartition by-city (string, string)
	//
	// Subtopology 1
	//   by-city-source [repartition-source] from repartition by-city (string, string)
	//     count [count] with store per-city
	//       counts-sink [to] to counts (string, int64)
	//
	// Stores
	//   per-city: key-value (string, int64), on disk, changelog
	//
	// Topics
	//   reads orders (string, string)
	//   writes counts (string, int64)
	//   owns repartition by-city (string, string)
	//   may send dead letters of orders
}
