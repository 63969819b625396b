package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

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
	g    Grouped[K, V]
	spec topology.NodeSpec
	windowing
	emit Emit
}

// Window puts the records of each key into windows by their event time. A window takes records until stream time, as this operator sees it, has passed
// its end by the grace; later ones are dropped from it, counted as late.
//
// Key, Time: the aggregation's. State: the window store that it is given; emit says when results are sent, OnUpdate if nothing. Errors: none.
// Nulls: the aggregation decides.
func (g Grouped[K, V]) Window(w TimeWindows, emit ...Emit) TimeWindowed[K, V] {
	if g.b == nil {
		return TimeWindowed[K, V]{}
	}
	out := TimeWindowed[K, V]{g: g, spec: newSettings("window").NodeSpec}
	err := errors.New("no windows: use Tumbling, Hopping, Sliding or Unlimited")
	if w != nil {
		out.windowing, err = w.windowing()
	}
	if err != nil {
		g.b.report(out.spec, err)
		out.windowing, _ = Tumbling{Size: time.Millisecond}.windowing()
	}
	if out.emit, err = oneEmit(emit); err == nil && out.unlimited() && out.emit != OnUpdate {
		err = errors.New("an unlimited window never closes: use OnUpdate")
	}
	if err != nil {
		g.b.report(out.spec, err)
	}
	return out
}

// oneEmit is the Emit of a call that may have one.
func oneEmit(emit []Emit) (Emit, error) {
	switch {
	case len(emit) == 0:
		return OnUpdate, nil
	case len(emit) > 1 || emit[0] > OnCloseWithinRetention:
		return OnUpdate, errors.New("use one of OnUpdate, OnClose and OnCloseWithinRetention")
	}
	return emit[0], nil
}

// Count keeps the number of records per key and window.
//
// Key: in its window. Time: the largest of the records counted. State: st. Errors: none. Nulls: records without a key are dropped, counted, and so are
// tombstones unless the type is nullable.
func (w TimeWindowed[K, V]) Count(st state.WindowSpec[K, int64], opts ...TableOption) WindowedTable[K, int64] {
	return windowAggregate(w, gather("window-count", opts, TableOption.tableOption), zero, count[K, V], st)
}

// Reduce keeps one value per key and window: the first as it is, then what f makes of it and each that follows.
//
// Key, Time, State, Nulls: as Count. Errors: a panic of f meets the policy.
func (w TimeWindowed[K, V]) Reduce(f func(aggregate, value V) V, st state.WindowSpec[K, V], opts ...TableOption) WindowedTable[K, V] {
	return windowAggregate(w, gather("window-reduce", opts, TableOption.tableOption, f), nil,
		func(_ context.Context, _ K, v, a V) (V, error) { return f(a, v), nil }, st)
}

// Aggregate keeps one aggregate per key and window: what add makes of it and each record. It starts as init's.
//
// Key, Time, State, Nulls: as Count. Errors: a panic meets the policy.
func (w TimeWindowed[K, V]) Aggregate[A any](
	init func() A, add func(k K, v V, a A) A, st state.WindowSpec[K, A], opts ...TableOption,
) WindowedTable[K, A] {
	return windowAggregate(w, gather("window-aggregate", opts, TableOption.tableOption, init, add), init,
		func(_ context.Context, k K, v V, a A) (A, error) { return add(k, v, a), nil }, st)
}

// TryAggregate is Aggregate with a function that may fail. Key, Time, State, Nulls: as Count. Errors: an error of add meets the policy.
func (w TimeWindowed[K, V]) TryAggregate[A any](
	init func() A, add func(ctx context.Context, k K, v V, a A) (A, error), st state.WindowSpec[K, A], opts ...TableOption,
) WindowedTable[K, A] {
	o := gather("window-aggregate", opts, TableOption.tableOption, init, add)
	o.Rejects = true
	return windowAggregate(w, o, init, add, st)
}

func windowAggregate[K, V, A any](
	w TimeWindowed[K, V], o settings, init func() A, add adder[K, V, A], st state.WindowSpec[K, A],
) WindowedTable[K, A] {
	if w.g.b == nil {
		return WindowedTable[K, A]{}
	}
	return windowTable(w.g.b, w.windowing, w.emit, o, st,
		func(spec topology.NodeSpec, t *tableNode[Windowed[K], A], st state.WindowSpec[K, A]) topology.Port[Windowed[K], topology.Change[A]] {
			spec.Owns = append(spec.Owns, st)
			return attachWindow(w, spec, t, st, init, add, t.outlet)
		})
}

// windowTable is the table of a windowed aggregation; attach adds the nodes that keep its rows in the store, as the windows need it.
func windowTable[K, A any](
	b *Builder, w windowing, emit Emit, o settings, st state.WindowSpec[K, A],
	attach func(topology.NodeSpec, *tableNode[Windowed[K], A], state.WindowSpec[K, A]) topology.Port[Windowed[K], topology.Change[A]],
) WindowedTable[K, A] {
	spec := o.NodeSpec
	if spec.Name == "" {
		spec.Name = st.Info().Name
	}
	switch r := st.Info().Retention; {
	case r == 0:
		st = st.Retention(w.retention)
	case r < w.leastRetention():
		b.report(spec, fmt.Errorf("store %q keeps windows for %v: their size and grace take %v", st.Info().Name, r, w.leastRetention()))
	}
	st = st.Size(w.size())
	switch {
	case emit == OnUpdate:
	case w.sliding:
		st = st.TimeIndex()
	default:
		st = st.TimeFirst()
	}
	t := windowedNode(spec, w.closes(), []state.Spec{st}, func(c *topology.NodeContext) lookup[Windowed[K], A] {
		rows := st.Open(c)
		return func(k Windowed[K]) (state.Row[A], bool, error) { return rows.Get(k.Key, k.Start) }
	})
	t.port = attach(spec, t, st)
	if emit == OnUpdate { // else each window is sent once anyway
		key, value := st.Serdes()
		t.coalesce(o, st.Info().Name, func() (serde.Serde[Windowed[K]], serde.Serde[A]) {
			return serde.TimeWindowed(key, time.Duration(w.sizeMs)*time.Millisecond), value
		})
	}
	return WindowedTable[K, A]{b: b, t: t}
}

// An outlet is where the changes of a table's node go: see tableNode.outlet.
type outlet[K, A any] = func(c *topology.NodeContext, next topology.Processor[K, topology.Change[A]]) topology.Processor[K, topology.Change[A]]

// attachWindow adds the node that keeps t's rows, or one of several that do. spec says so.
func attachWindow[K, V, A any](
	w TimeWindowed[K, V], spec topology.NodeSpec, t *tableNode[Windowed[K], A], st state.WindowSpec[K, A],
	init func() A, add adder[K, V, A], out outlet[Windowed[K], A],
) topology.Port[Windowed[K], topology.Change[A]] {
	return w.g.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[Windowed[K], topology.Change[A]]) (
		topology.Processor[K, V], error) {
		f := fold[K, V, A]{nc: c, init: init, add: add, isNil: topology.NilCheck[A]()}
		p := newWindower(c, w, st.Open(c), f, t.keepsOld(), out(c, next))
		if w.sliding {
			return &slider[K, V, A]{windower: p}, nil
		}
		return p, nil
	})
}

// windowedNode is the table of a windowed aggregation: read looks a window up in stores.
func windowedNode[K, A any](
	spec topology.NodeSpec, closes time.Duration, stores []state.Spec, read func(c *topology.NodeContext) lookup[Windowed[K], A],
) *tableNode[Windowed[K], A] {
	return &tableNode[Windowed[K], A]{
		spec: spec, closes: &closes,
		stores: func() []state.Spec { return stores },
		read:   func(c *topology.NodeContext) (lookup[Windowed[K], A], error) { return read(c), nil },
	}
}
