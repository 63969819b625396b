package stream_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// A processor that remembers the last two keys alone.
func ExampleStream_Process_lru() {
	recent := state.LRU("recent", serde.String(), serde.String(), 2)

	b := stream.NewBuilder()
	b.Stream(words).ProcessValues(func(n *stream.ValueNode[string, string]) (func(context.Context, stream.Record[string, string]) error, error) {
		last := recent.Open(n)
		return func(_ context.Context, r stream.Record[string, string]) error {
			before, ok, err := last.Get(r.Key)
			if err != nil {
				return err
			}
			if err := last.Put(r.Key, r.Value); err != nil {
				return err
			}
			if !ok {
				before = "something unknown"
			}
			return n.Forward(r.Value + " after " + before)
		}, nil
	}, stream.Stores(recent)).To(out)
	run(b, "words a=1@1", "words b=2@2", "words a=3@3", "words c=4@4", "words b=5@5")
	// Output:
	// out a=1 after something unknown@1
	// out b=2 after something unknown@2
	// out a=3 after 1@3
	// out c=4 after something unknown@4
	// out b=5 after something unknown@5
}

// A processor that answers each word with the keys which begin with it, the last first.
func ExampleStream_Process_range() {
	seen := state.KeyValue("seen", serde.String(), serde.String())

	b := stream.NewBuilder()
	b.Stream(words).ProcessValues(func(n *stream.ValueNode[string, string]) (func(context.Context, stream.Record[string, string]) error, error) {
		st := seen.Open(n)
		return func(_ context.Context, r stream.Record[string, string]) error {
			if _, had, err := st.PutIfAbsent(r.Key, r.Value); err != nil || had {
				return err
			}
			var keys []string
			for e, err := range st.Prefix(r.Value, serde.String()) {
				if err != nil {
					return err
				}
				keys = append([]string{e.Key}, keys...)
			}
			for e, err := range st.RangeReverse("x", "z") {
				if err != nil {
					return err
				}
				keys = append(keys, e.Key)
			}
			return n.Forward(strings.Join(keys, " "))
		}, nil
	}, stream.Stores(seen)).To(out)
	run(b, "words xa=x@1", "words pie=p@2", "words plum=p@3", "words plum=twice@4")
	// Output:
	// out xa=xa xa@1
	// out pie=pie xa@2
	// out plum=plum pie xa@3
}

// A processor that keeps a sum per ten milliseconds, and tells the last three.
func ExampleStream_Process_window() {
	perStep := state.Window("per-step", serde.String(), serde.Int64()).Retention(time.Second)
	const step = 10 * time.Millisecond

	b := stream.NewBuilder()
	b.Stream(amounts).ProcessValues(func(n *stream.ValueNode[string, string]) (func(context.Context, stream.Record[string, int64]) error, error) {
		sums := perStep.Open(n)
		return func(_ context.Context, r stream.Record[string, int64]) error {
			start := r.Timestamp.Truncate(step)
			row, _, err := sums.Get(r.Key, start)
			if err != nil {
				return err
			}
			if err := sums.Put(r.Key, start, row.Value+r.Value); err != nil {
				return err
			}
			var last []string
			for e, err := range sums.Fetch(r.Key, start.Add(-2*step), start) {
				if err != nil {
					return err
				}
				last = append(last, fmt.Sprintf("%d from %d", e.Value, e.Key.Start.UnixMilli()))
			}
			return n.Forward(strings.Join(last, ", "))
		}, nil
	}, stream.Stores(perStep)).To(out)
	run(b, "amounts k=1@1", "amounts k=2@5", "amounts k=3@12", "amounts k=4@35")
	// Output:
	// out k=1 from 0@1
	// out k=3 from 0@5
	// out k=3 from 0, 3 from 10@12
	// out k=3 from 10, 4 from 30@35
}
