package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A Session is a stretch of records of a key in which no two neighbours are further apart than the gap. It is from its first record to its last,
// both part of it: a record that falls between two sessions may make one of them.
type Session struct {
	// Gap is the largest distance of two records that are neighbours in a session.
	Gap time.Duration
	// Grace is how long, in stream time behind its end and the gap, a session still takes records. None means that it closes behind the gap.
	Grace time.Duration
}

func (w Session) check() error {
	for _, s := range []span{{"Gap", w.Gap, 1, longest}, {"Grace", w.Grace, 0, longest}} {
		if s.wrong() {
			return fmt.Errorf("%s is %v: use whole milliseconds; Gap above 0, Grace not negative", s.name, s.value)
		}
	}
	return nil
}

// A SessionWindowed is a grouped stream in sessions.
type SessionWindowed[K, V any] struct {
	g Grouped[K, V]
	sessions
	emit Emit
}

// sessions are a Session in milliseconds.
type sessions struct{ gapMs, graceMs int64 }

// SessionWindow puts the records of each key into sessions by their event time. A session takes records until stream time, as this operator sees it,
// has passed its end by more than gap and grace; later ones are dropped, counted as late.
//
// When a session grows or merges, its result moves: the tables that come of it delete the rows of the sessions before, and have one for the new one.
//
// Key, Time: the aggregation's. State: the session store that it is given; emit says when results are sent, OnUpdate if nothing. Errors: none.
// Nulls: the aggregation decides.
func (g Grouped[K, V]) SessionWindow(w Session, emit ...Emit) SessionWindowed[K, V] {
	if g.b == nil {
		return SessionWindowed[K, V]{}
	}
	spec := newSettings("session-window").NodeSpec
	s := w.sessions(g.b, spec)
	one, err := oneEmit(emit)
	if err != nil {
		g.b.report(spec, err)
	}
	return SessionWindowed[K, V]{g: g, sessions: s, emit: one}
}

// sessions reports what is wrong with the descriptor.
func (w Session) sessions(b *Builder, spec topology.NodeSpec) sessions {
	if err := w.check(); err != nil {
		b.report(spec, err)
		w = Session{Gap: time.Millisecond}
	}
	return sessions{w.Gap.Milliseconds(), w.Grace.Milliseconds()}
}

// Count keeps the number of records per key and session.
//
// Key: in its session. Time: the session's end. State: st. Errors: none. Nulls: records without a key are dropped, counted, and so are
// tombstones unless the type is nullable. A session that became part of another is deleted.
func (w SessionWindowed[K, V]) Count(st state.SessionSpec[K, int64], opts ...TableOption) WindowedTable[K, int64] {
	return sessionAggregate(w, gather("session-count", opts, TableOption.tableOption), zero, count[K, V], func(_ K, a, b int64) int64 { return a + b }, st)
}

// Reduce keeps one value per key and session: the first as it is, then what f makes of it and each that follows. Sessions that merge are reduced with f, in
// the order of their ends, before the record that merged them.
//
// Key, Time, State, Nulls: as Count. Errors: a panic of f meets the policy.
func (w SessionWindowed[K, V]) Reduce(f func(aggregate, value V) V, st state.SessionSpec[K, V], opts ...TableOption) WindowedTable[K, V] {
	return sessionAggregate(w, gather("session-reduce", opts, TableOption.tableOption, f), nil,
		func(_ context.Context, _ K, v, a V) (V, error) { return f(a, v), nil }, func(_ K, a, b V) V { return f(a, b) }, st)
}

// Aggregate keeps one aggregate per key and session: what add makes of it and each record. It starts as init's. Sessions that a record joins are
// merged into init's first, in the order of their ends.
//
// Key, Time, State, Nulls: as Count. Errors: a panic meets the policy.
func (w SessionWindowed[K, V]) Aggregate[A any](
	init func() A, add func(k K, v V, a A) A, merge func(k K, a, b A) A, st state.SessionSpec[K, A], opts ...TableOption,
) WindowedTable[K, A] {
	return sessionAggregate(w, gather("session-aggregate", opts, TableOption.tableOption, init, add, merge), init,
		func(_ context.Context, k K, v V, a A) (A, error) { return add(k, v, a), nil }, merge, st)
}

// TryAggregate is Aggregate with a function that may fail; ErrSkip leaves the sessions as they are. Key, Time, State, Nulls: as Count. Errors: an error of
// add, or a panic, meets the policy.
func (w SessionWindowed[K, V]) TryAggregate[A any](
	init func() A, add func(ctx context.Context, k K, v V, a A) (A, error), merge func(k K, a, b A) A, st state.SessionSpec[K, A], opts ...TableOption,
) WindowedTable[K, A] {
	o := gather("session-aggregate", opts, TableOption.tableOption, init, add, merge)
	o.Rejects = true
	return sessionAggregate(w, o, init, add, merge, st)
}

func sessionAggregate[K, V, A any](
	w SessionWindowed[K, V], o settings, init func() A, add adder[K, V, A], merge func(k K, a, b A) A, st state.SessionSpec[K, A],
) WindowedTable[K, A] {
	if w.g.b == nil {
		return WindowedTable[K, A]{}
	}
	return sessionTable(w.g.b, w.sessions, w.emit, o, st,
		func(spec topology.NodeSpec, t *tableNode[Windowed[K], A], st state.SessionSpec[K, A]) topology.Port[Windowed[K], topology.Change[A]] {
			spec.Owns = append(spec.Owns, st)
			return attachSession(w, spec, t, st, init, add, merge, t.outlet)
		})
}

// sessionTable is the table of an aggregation in sessions; attach adds the nodes that keep its rows in the store, as the sessions need it.
func sessionTable[K, A any](
	b *Builder, w sessions, emit Emit, o settings, st state.SessionSpec[K, A],
	attach func(topology.NodeSpec, *tableNode[Windowed[K], A], state.SessionSpec[K, A]) topology.Port[Windowed[K], topology.Change[A]],
) WindowedTable[K, A] {
	spec := o.NodeSpec
	if spec.Name == "" {
		spec.Name = st.Info().Name
	}
	closes := time.Duration(w.gapMs+w.graceMs) * time.Millisecond
	switch r := st.Info().Retention; {
	case r == 0:
		// A session that ended exactly gap and grace ago is open, and must be found.
		st = st.Retention(closes + time.Millisecond)
	case r < closes:
		b.report(spec, fmt.Errorf("store %q keeps sessions for %v: their gap and grace take %v", st.Info().Name, r, closes))
	}
	if emit != OnUpdate {
		st = st.TimeIndex()
	}
	t := windowedNode(spec, closes, []state.Spec{st}, func(c *topology.NodeContext) lookup[Windowed[K], A] {
		rows := st.Open(c)
		return func(k Windowed[K]) (state.Row[A], bool, error) {
			v, ok, err := rows.Get(k)
			return state.Row[A]{Value: v, Timestamp: k.End}, ok, err
		}
	})
	t.port = attach(spec, t, st)
	if emit == OnUpdate { // else each session is sent once anyway
		key, value := st.Serdes()
		t.coalesce(o, st.Info().Name, func() (serde.Serde[Windowed[K]], serde.Serde[A]) { return serde.SessionWindowed(key), value })
	}
	return WindowedTable[K, A]{b: b, t: t}
}

// attachSession adds the node that keeps t's rows, or one of several that do. spec says so.
func attachSession[K, V, A any](
	w SessionWindowed[K, V], spec topology.NodeSpec, t *tableNode[Windowed[K], A], st state.SessionSpec[K, A],
	init func() A, add adder[K, V, A], merge func(k K, a, b A) A, out outlet[Windowed[K], A],
) topology.Port[Windowed[K], topology.Change[A]] {
	return w.g.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[Windowed[K], topology.Change[A]]) (
		topology.Processor[K, V], error) {
		f := fold[K, V, A]{nc: c, init: init, add: add, isNil: topology.NilCheck[A]()}
		return newSessioner(c, w, st.Open(c), f, merge, t.keepsOld(), out(c, next)), nil
	})
}
