package stream_test

import (
	"testing"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func ExampleBuilder_StreamAll() {
	b := stream.NewBuilder()
	b.StreamAll([]stream.Topic[string, string]{words, more}).To(out)
	run(b, "words k=hello@1", "more k=world@2")
	// Output:
	// out k=hello@1
	// out k=world@2
}

func ExampleBuilder_StreamPattern() {
	orders := stream.NewTopicPattern("orders-[a-z]+", serde.String(), serde.String())
	_ = func(t *testing.T) { // a test declares the topics that there are
		b := stream.NewBuilder()
		b.StreamPattern(orders).To(out)
		top, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		d := streamtest.New(t, top, streamtest.Partitions("orders-eu", 4), streamtest.Partitions("orders-us", 4))
		d.SendRaw("orders-eu", []byte("k"), []byte("tea"), at(1))
	}
}
