package stream_test

import (
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func ExampleSourceIsChangelog() {
	priceOf := state.KeyValue("price-of", serde.String(), serde.String())

	b := stream.NewBuilder()
	b.Table(prices, priceOf, stream.SourceIsChangelog()).ToStream().To(out)
	run(b, "prices pie=5@1", "prices pie=6@2")
	// Output:
	// out pie=5@1
	// out pie=6@2
}
