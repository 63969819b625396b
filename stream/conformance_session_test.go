package stream_test

import (
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// emitOf is when a case wants its results.
func emitOf(n *conformanceNode) stream.Emit {
	if n.Emit == "on-close" {
		return stream.OnCloseWithinRetention
	}
	return stream.OnUpdate
}

// Stores have the retention that Kafka Streams gives them: it is a millisecond short of what records at the last moment need.

func (in *interpreter) slidingAggregate(n *conformanceNode) {
	windows := stream.Sliding{Difference: millis(n.Size), Grace: millis(*n.Grace)}
	w := in.grouped(n).Window(windows, emitOf(n))
	keep := 2*windows.Difference + windows.Grace
	var t stream.WindowedTable[text, text]
	switch n.Fn {
	case "count":
		t = w.Count(state.Window(in.name("store"), texts, serde.Int64()).Retention(keep)).MapValues(number)
	case "reduce":
		t = w.Reduce(reduced, state.Window(in.name("store"), texts, texts).Retention(keep))
	default:
		t = w.Aggregate(zeroText, added, state.Window(in.name("store"), texts, texts).Retention(keep))
	}
	in.putWindowed(n, t)
}

func (in *interpreter) sessionAggregate(n *conformanceNode) {
	w := in.grouped(n).SessionWindow(stream.Session{Gap: millis(n.Size), Grace: millis(*n.Grace)}, emitOf(n))
	keep := millis(n.Size) + millis(*n.Grace)
	var t stream.WindowedTable[text, text]
	switch n.Fn {
	case "count":
		t = w.Count(sessionTexts(in, serde.Int64(), keep)).MapValues(number)
	case "reduce":
		t = w.Reduce(reduced, sessionTexts(in, texts, keep))
	default:
		t = w.Aggregate(zeroText, added, mergedText, sessionTexts(in, texts, keep))
	}
	in.putWindowed(n, t)
}

func sessionTexts[V any](in *interpreter, value serde.Serde[V], keep time.Duration) state.SessionSpec[text, V] {
	return state.Session(in.name("store"), texts, value).Retention(keep)
}

func mergedText(_, a, b text) text { return textOf(show(a) + "|" + show(b)) }
