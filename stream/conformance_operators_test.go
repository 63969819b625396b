package stream_test

import (
	"context"
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// dedup passes a record on unless its value is the last one seen under its key.
func (in *interpreter) dedup(n *conformanceNode) {
	last := state.KeyValue(in.name("dedup"), texts, texts)
	in.put(n, in.stream(n).Process(func(o *stream.Node[text, text]) (func(context.Context, textRecord) error, error) {
		st := last.Open(o)
		return func(_ context.Context, r textRecord) error {
			if r.Key == nil {
				return nil
			}
			before, _, err := st.Get(r.Key)
			if err != nil || equal(before, r.Value) {
				return err
			}
			if r.Value == nil {
				err = st.Delete(r.Key)
			} else {
				err = st.Put(r.Key, r.Value)
			}
			if err != nil {
				return err
			}
			return o.Forward(r)
		}, nil
	}, stream.Stores(last)), true)
}

type textRecord = stream.Record[text, text]

// punctuate counts records by key, and passes on all counts, in the order of the keys, each time its clock reaches the
// next step.
func (in *interpreter) punctuate(n *conformanceNode) {
	counts := state.KeyValue(in.name("counts"), texts, serde.Int64())
	every := millis(n.Every)
	in.put(n, in.stream(n).Process(func(o *stream.Node[text, text]) (func(context.Context, textRecord) error, error) {
		st := counts.Open(o)
		all := func(now time.Time) error {
			for e, err := range st.All() {
				if err != nil {
					return err
				}
				if err := o.Forward(textRecord{Key: e.Key, Value: number(e.Value), Timestamp: now}); err != nil {
					return err
				}
			}
			return nil
		}
		if n.Clock == "wall" {
			o.EveryWallTime(every, all)
		} else {
			o.EveryStreamTime(every, all)
		}
		return func(_ context.Context, r textRecord) error {
			if r.Key == nil {
				return nil
			}
			c, _, err := st.Get(r.Key)
			if err != nil {
				return err
			}
			return st.Put(r.Key, c+1)
		}, nil
	}, stream.Stores(counts)), true)
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func (in *interpreter) streamTableJoin(n *conformanceNode) {
	if _, ok := in.versioned[n.In[1]]; ok {
		in.versionedJoin(n)
		return
	}
	s, t := in.keyed(n), in.tables[n.In[1]]
	if n.Kind == "inner" {
		in.put(n, s.JoinTable(t, joined), false)
	} else {
		in.put(n, s.LeftJoinTable(t, leftJoined), false)
	}
}

func (in *interpreter) grouped(n *conformanceNode) stream.Grouped[text, text] {
	if n.By == "key" {
		return in.keyed(n).GroupByKey()
	}
	return in.stream(n).GroupBy(firstOf, in.repartition())
}

// cogroup aggregates two streams by key.
func (in *interpreter) cogroup(n *conformanceNode) {
	second := *n
	second.In = n.In[1:]
	starred := func(_, v, a text) text { return textOf(show(a) + "*" + show(v)) }
	in.tables[n.ID] = in.grouped(n).Cogroup(added).With(in.grouped(&second), starred).Aggregate(zeroText, in.keyValue())
}

func (in *interpreter) aggregate(n *conformanceNode) {
	g := in.grouped(n)
	switch n.Fn {
	case "count":
		in.tables[n.ID] = g.Count(state.KeyValue(in.name("store"), texts, serde.Int64())).MapValues(number)
	case "reduce":
		in.tables[n.ID] = g.Reduce(reduced, in.keyValue())
	default:
		in.tables[n.ID] = g.Aggregate(zeroText, addedUnlessX, in.keyValue())
	}
}

func (in *interpreter) windowAggregate(n *conformanceNode) {
	var windows stream.TimeWindows = stream.Tumbling{Size: millis(n.Size), Grace: millis(*n.Grace)}
	if n.Window == "hopping" {
		windows = stream.Hopping{Size: millis(n.Size), Advance: millis(n.Advance), Grace: millis(*n.Grace)}
	}
	emit := stream.OnUpdate
	if n.Emit == "on-close" {
		emit = stream.OnCloseWithinRetention
	}
	w := in.grouped(n).Window(windows, emit)
	var t stream.WindowedTable[text, text]
	switch n.Fn {
	case "count":
		t = w.Count(state.Window(in.name("store"), texts, serde.Int64())).MapValues(number)
	case "reduce":
		t = w.Reduce(reduced, state.Window(in.name("store"), texts, texts))
	default:
		t = w.Aggregate(zeroText, added, state.Window(in.name("store"), texts, texts))
	}
	in.putWindowed(n, t)
}

// putWindowed makes the stream that windowed results are in the cases.
func (in *interpreter) putWindowed(n *conformanceNode, t stream.WindowedTable[text, text]) {
	if n.Emit == "suppress" {
		t = t.Suppress(state.Buffer(in.name("buffer"), texts, texts), stream.UntilWindowCloses{})
	}
	in.put(n, t.ToStream(windowText), true)
}
