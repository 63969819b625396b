package stream_test

import (
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// streamStreamJoin joins two streams; one whose key was changed is repartitioned.
func (in *interpreter) streamStreamJoin(n *conformanceNode) {
	l, r := in.keyedInput(n, 0), in.keyedInput(n, 1)
	w := stream.Between{Before: millis(n.Before), After: millis(n.After), Grace: millis(*n.Grace)}
	st := state.Join(in.name("join"), texts, texts, texts)
	switch n.Kind {
	case "inner":
		in.put(n, l.Join(r, w, joined, st), false)
	case "left":
		in.put(n, l.LeftJoin(r, w, leftJoined, st), false)
	default:
		in.put(n, l.OuterJoin(r, w, outerJoined, st), false)
	}
}

// keyedInput is an input of the node, partitioned by its key.
func (in *interpreter) keyedInput(n *conformanceNode, i int) textStream {
	s := in.streams[n.In[i]]
	if s.rekeyed {
		return s.Repartition(in.repartition())
	}
	return s.Stream
}

func outerJoined(l, r stream.Opt[text]) text { return joined(l.Value, r.Value) }
