package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// TimeWindows are windows of a fixed size: Tumbling or Hopping.
type TimeWindows interface {
	// shape returns size, advance and grace.
	shape() (size, advance, grace time.Duration)
}

// Tumbling windows follow one another without overlap, aligned to 1970: [0, Size), [Size, 2*Size), ...
type Tumbling struct {
	// Size is the length of a window. The end is not part of it.
	Size time.Duration
	// Grace is how long, in stream time behind its end, a window still takes records. None means that it closes at its end.
	Grace time.Duration
}

func (w Tumbling) shape() (size, advance, grace time.Duration) { return w.Size, w.Size, w.Grace }

// Hopping windows begin every Advance, aligned to 1970, and overlap: a record is in Size/Advance of them.
type Hopping struct {
	// Size is the length of a window. The end is not part of it.
	Size time.Duration
	// Advance is the distance between the starts of two windows, at most Size.
	Advance time.Duration
	// Grace is how long, in stream time behind its end, a window still takes records. None means that it closes at its end.
	Grace time.Duration
}

func (w Hopping) shape() (size, advance, grace time.Duration) { return w.Size, w.Advance, w.Grace }

// An Emit says when a windowed aggregation sends its results.
type Emit uint8

const (
	// OnUpdate sends each change of a window as it happens. It is the default.
	OnUpdate Emit = iota
	// OnClose sends each window once, when it closes. No result is lost, however far stream time jumps.
	OnClose
	// OnCloseWithinRetention is OnClose with Kafka Streams' rule: a window is lost if stream time jumps past the store's retention before it was
	// sent.
	OnCloseWithinRetention
)

// A TimeWindowed is a grouped stream in windows.
type TimeWindowed[K, V any] struct {
	g                      Grouped[K, V]
	spec                   topology.NodeSpec
	sizeMs, hopMs, graceMs int64
	emit                   Emit
}

// Window puts the records of each key into windows by their event time. A window takes records until stream time, as this operator sees it, has passed
// its end by the grace; later ones are dropped from it, counted as late.
func (g Grouped[K, V]) Window(w TimeWindows, emit ...Emit) TimeWindowed[K, V] {
	if g.b == nil {
		return TimeWindowed[K, V]{}
	}
	out := TimeWindowed[K, V]{g: g, spec: newSettings("window").NodeSpec}
	if w == nil {
		g.b.report(out.spec, errors.New("no windows: use Tumbling or Hopping"))
		return out
	}
	size, advance, grace := w.shape()
	for _, d := range []struct {
		name  string
		value time.Duration
		low   time.Duration
		high  time.Duration
	}{{"Size", size, 1, 1 << 62}, {"Advance", advance, 1, max(size, 1)}, {"Grace", grace, 0, 1 << 62}} {
		if d.value < d.low || d.value > d.high || d.value%time.Millisecond != 0 {
			g.b.report(out.spec, fmt.Errorf("%s is %v: use whole milliseconds; Size above 0, Advance above 0 and at most Size, Grace not negative",
				d.name, d.value))
			size, advance = time.Millisecond, time.Millisecond
			break
		}
	}
	out.sizeMs, out.hopMs, out.graceMs = size.Milliseconds(), advance.Milliseconds(), grace.Milliseconds()
	if len(emit) > 0 {
		out.emit = emit[0]
	}
	if len(emit) > 1 || out.emit > OnCloseWithinRetention {
		g.b.report(out.spec, errors.New("use one of OnUpdate, OnClose and OnCloseWithinRetention"))
	}
	return out
}

// Count keeps the number of records per key and window.
//
// Key: in its window. Time: the largest of the records counted. State: st. Errors: none. Nulls: records without a key are dropped, counted, and so are
// tombstones unless the type is nullable.
func (w TimeWindowed[K, V]) Count(st state.WindowSpec[K, int64], opts ...Option) WindowedTable[K, int64] {
	return windowAggregate(w, node("window-count", opts), zero, count[K, V], st)
}

// Reduce keeps one value per key and window: the first as it is, then what f makes of it and each that follows.
//
// Key, Time, State, Nulls: as Count. Errors: a panic of f meets the policy.
func (w TimeWindowed[K, V]) Reduce(f func(aggregate, value V) V, st state.WindowSpec[K, V], opts ...Option) WindowedTable[K, V] {
	return windowAggregate(w, node("window-reduce", opts), nil,
		func(_ context.Context, _ K, v, a V) (V, error) { return f(a, v), nil }, st)
}

// Aggregate keeps one aggregate per key and window: what add makes of it and each record. It starts as init's.
//
// Key, Time, State, Nulls: as Count. Errors: a panic meets the policy.
func (w TimeWindowed[K, V]) Aggregate[A any](
	init func() A, add func(k K, v V, a A) A, st state.WindowSpec[K, A], opts ...Option,
) WindowedTable[K, A] {
	return windowAggregate(w, node("window-aggregate", opts), init,
		func(_ context.Context, k K, v V, a A) (A, error) { return add(k, v, a), nil }, st)
}

// TryAggregate is Aggregate with a function that may fail. Key, Time, State, Nulls: as Count. Errors: an error of add meets the policy.
func (w TimeWindowed[K, V]) TryAggregate[A any](
	init func() A, add func(ctx context.Context, k K, v V, a A) (A, error), st state.WindowSpec[K, A], opts ...Option,
) WindowedTable[K, A] {
	spec := node("window-aggregate", opts)
	spec.Rejects = true
	return windowAggregate(w, spec, init, add, st)
}

func windowAggregate[K, V, A any](
	w TimeWindowed[K, V], spec topology.NodeSpec, init func() A, add adder[K, V, A], st state.WindowSpec[K, A],
) WindowedTable[K, A] {
	b := w.g.b
	if b == nil {
		return WindowedTable[K, A]{}
	}
	if spec.Name == "" {
		spec.Name = st.Info().Name
	}
	least := time.Duration(w.sizeMs+w.graceMs) * time.Millisecond
	switch r := st.Info().Retention; {
	case r == 0:
		st = st.Retention(least)
	case r < least:
		b.report(spec, fmt.Errorf("store %q keeps windows for %v: their size and grace take %v", st.Info().Name, r, least))
	}
	if w.emit != OnUpdate {
		st = st.TimeFirst()
	}
	spec.Stores = append(spec.Stores, st)
	grace := time.Duration(w.graceMs) * time.Millisecond
	t := &tableNode[Windowed[K], A]{spec: spec, closes: &grace}
	t.port = w.g.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[Windowed[K], topology.Change[A]]) (
		topology.Processor[K, V], error) {
		return newWindower(c, w, st.Open(c), fold[K, V, A]{nc: c, init: init, add: add, isNil: topology.NilCheck[A]()}, t.old, next), nil
	})
	return WindowedTable[K, A]{b: b, t: t}
}
