package stream_test

import (
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// At most one price per item and second.
func ExampleTable_Suppress() {
	waiting := state.Buffer("waiting", serde.String(), serde.String()).MaxRecords(10_000)

	b := stream.NewBuilder()
	b.Table(prices, state.KeyValue("price-of", serde.String(), serde.String())).
		Suppress(waiting, stream.UntilTimeLimit{Limit: time.Second}).
		ToStream().
		To(out)
	run(b, "prices pie=5@1", "prices pie=6@2", "prices pie=7@3", "prices tea=1@1001")
	// Output:
	// out pie=7@3
}

// One result per window, when it is final.
func ExampleWindowedTable_Suppress() {
	counts := state.Window("counts", serde.String(), serde.JSON[int64]())
	final := state.Buffer("final-counts", serde.String(), serde.JSON[int64]())

	b := stream.NewBuilder()
	b.Stream(words).
		GroupByKey().
		Window(stream.Tumbling{Size: time.Minute, Grace: 10 * time.Second}).
		Count(counts).
		Suppress(final, stream.UntilWindowCloses{}).
		ToStream(windowName).
		To(sums)
	run(b, "words k=a@1000", "words k=b@61000", "words k=late@2000", "words k=c@70000")
	// Output:
	// sums k from 00:00=2@2000
}
