package stream_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
)

// since tells a record's value before.
func since(n *lineNode) (lineFunc, error) {
	last := lineStore("last").Open(n)
	return func(_ context.Context, r lineRecord) error {
		switch {
		case r.NullKey:
			return n.Forward(r)
		case r.Tombstone:
			return errors.Join(last.Delete(r.Key), n.Forward(r))
		}
		before, ok, err := last.Get(r.Key)
		if err = errors.Join(err, last.Put(r.Key, r.Value)); err != nil {
			return err
		}
		if r.Value == "bad" {
			return errBad
		}
		if ok {
			err = n.Forward(lineRecord{Key: r.Key, Value: before + " to " + r.Value})
		}
		return err
	}, nil
}

// clocks sends a record whenever one of its timers fires, with what it counted since.
func clocks(n *lineNode) (lineFunc, error) {
	counted := numberStore("counted").Open(n)
	fire := func(name string) func(time.Time) error {
		return func(now time.Time) error {
			seen, _, err := counted.Get(name)
			if err = errors.Join(err, counted.Put(name, 0)); err != nil {
				return err
			}
			return n.Forward(lineRecord{Key: name, Value: fmt.Sprint(seen), Timestamp: now})
		}
	}
	n.EveryStreamTime(in(10), fire("stream"))
	n.EveryWallTime(time.Second, fire("wall"))
	return func(context.Context, lineRecord) error {
		for _, name := range []string{"stream", "wall"} {
			seen, _, err := counted.Get(name)
			if err = errors.Join(err, counted.Put(name, seen+1)); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

var processorPrograms = map[string]scriptProgram{
	"process": func(b *stream.Builder) views {
		b.OnError(dlq.Send()).Stream(lines("in")).Process(since, stream.Stores(lineStore("last"))).To(lines("out"))
		return keyValueRows(lineStore("last"))
	},
	"process-timers": func(b *stream.Builder) views {
		b.Stream(lines("in")).Process(clocks, stream.Stores(numberStore("counted")), stream.Named("clocks")).To(lines("out"))
		return keyValueRows(numberStore("counted"))
	},
	"process-values": func(b *stream.Builder) views {
		b.OnError(dlq.Send()).Stream(lines("in")).ProcessValues(
			func(n *stream.ValueNode[string, string]) (lineFunc, error) {
				numbers := numberStore("numbers").Open(n)
				return func(ctx context.Context, r lineRecord) error {
					if r.Tombstone || r.NullKey {
						return n.Forward("nothing")
					}
					i, _, err := numbers.Get(r.Key)
					if err = errors.Join(err, numbers.Put(r.Key, i+1), n.Forward(fmt.Sprintf("%s %d", r.Value, i+1))); err != nil {
						return err
					}
					return failOnBad(ctx, r.Key, r.Value)
				}, nil
			}, stream.Stores(numberStore("numbers"))).
			GroupByKey().Reduce(plus, lineStore("reduced")).ToStream().To(lines("out"))
		return keyValueRows(numberStore("numbers"))
	},
}
