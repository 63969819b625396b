package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A Cogrouped is several grouped streams, of any value types, that make one aggregate per key together: each has a function that adds its
// records to it.
//
// The streams must be partitioned alike by the key. They are added to in the order in which the task takes their records.
type Cogrouped[K, A any] struct {
	b       *Builder
	members []cogroupMember[K, A]
}

// A cogroupMember is one grouped stream with its function, without the type of its values. Its methods add its node to a table.
type cogroupMember[K, A any] struct {
	port    topology.AnyPort
	attach  func(spec topology.NodeSpec, t *tableNode[K, A], init func() A) topology.Port[K, topology.Change[A]]
	window  func(spec topology.NodeSpec, w windowing, t windowedRows[K, A]) topology.Port[Windowed[K], topology.Change[A]]
	session func(spec topology.NodeSpec, w sessions, t sessionRows[K, A]) topology.Port[Windowed[K], topology.Change[A]]
}

// windowedRows are what the members of a windowed cogroup share.
type windowedRows[K, A any] struct {
	t    *tableNode[Windowed[K], A]
	st   state.WindowSpec[K, A]
	init func() A
}

// sessionRows are what the members of a cogroup in sessions share.
type sessionRows[K, A any] struct {
	t     *tableNode[Windowed[K], A]
	st    state.SessionSpec[K, A]
	init  func() A
	merge func(k K, a, b A) A
}

// Cogroup begins an aggregate of several grouped streams: add makes the next aggregate of one and a record of this stream.
//
// Key: kept; all streams must be partitioned alike by it. Time, State: those of the aggregation that follows. Errors: a panic of add meets the policy.
// Nulls: the aggregation decides.
func (g Grouped[K, V]) Cogroup[A any](add func(k K, v V, a A) A) Cogrouped[K, A] {
	return Cogrouped[K, A]{b: g.b}.With(g, add)
}

// With adds a grouped stream. One that is there already gets another function. Key, Time, State, Errors, Nulls: as Cogroup.
func (c Cogrouped[K, A]) With[V any](g Grouped[K, V], add func(k K, v V, a A) A) Cogrouped[K, A] {
	spec := node("cogroup", nil, add)
	if c.b == nil || !sameBuilder(c.b, g.b, spec) {
		return c
	}
	if spec.Err != nil {
		c.b.report(spec, spec.Err)
	}
	try := func(_ context.Context, k K, v V, a A) (A, error) { return add(k, v, a), nil }
	m := cogroupMember[K, A]{
		port: g.port,
		attach: func(spec topology.NodeSpec, t *tableNode[K, A], init func() A) topology.Port[K, topology.Change[A]] {
			return attachAggregate(g, spec, t, init, try, straight[K, A])
		},
		window: func(spec topology.NodeSpec, w windowing, r windowedRows[K, A]) topology.Port[Windowed[K], topology.Change[A]] {
			return attachWindow(TimeWindowed[K, V]{g: g, windowing: w}, spec, r.t, r.st, r.init, try, straight[Windowed[K], A])
		},
		session: func(spec topology.NodeSpec, w sessions, r sessionRows[K, A]) topology.Port[Windowed[K], topology.Change[A]] {
			return attachSession(SessionWindowed[K, V]{g: g, sessions: w}, spec, r.t, r.st, r.init, try, r.merge, straight[Windowed[K], A])
		},
	}
	members := append([]cogroupMember[K, A](nil), c.members...)
	for i := range members {
		if members[i].port == m.port {
			members[i] = m
			return Cogrouped[K, A]{c.b, members}
		}
	}
	return Cogrouped[K, A]{c.b, append(members, m)}
}

// straight is the outlet of a member's node: what they send together goes through that of the table.
func straight[K, A any](_ *topology.NodeContext, next topology.Processor[K, topology.Change[A]]) topology.Processor[K, topology.Change[A]] {
	return next
}

// Aggregate keeps one aggregate per key: what the streams' functions make of it and each of their records. It starts as init's.
//
// Key: kept; all streams must be partitioned alike by it. Time: the largest of the records added. State: st. Errors: a panic meets the policy. Nulls:
// records without a key or a value are dropped, counted; a nil pointer that a function returns deletes the row, and the next record starts from
// init again.
func (c Cogrouped[K, A]) Aggregate(init func() A, st state.KeyValueSpec[K, A], opts ...TableOption) Table[K, A] {
	if c.b == nil {
		return Table[K, A]{}
	}
	o := gather("cogroup", opts, TableOption.tableOption, init)
	t := &tableNode[K, A]{spec: o.NodeSpec, store: &st}
	t.port = cogroup(c, o.NodeSpec, st, t, func(m cogroupMember[K, A], spec topology.NodeSpec) topology.Port[K, topology.Change[A]] {
		return m.attach(spec, t, init)
	})
	t.coalesce(o, st.Info().Name, st.Serdes)
	return Table[K, A]{b: c.b, t: t}
}

// cogroup attaches a node per member, and one behind them all that sends what they do. All keep the store, which the first owns.
func cogroup[K, A, K2 any](
	c Cogrouped[K, A], spec topology.NodeSpec, st state.Spec, t *tableNode[K2, A],
	attach func(m cogroupMember[K, A], spec topology.NodeSpec) topology.Port[K2, topology.Change[A]],
) topology.Port[K2, topology.Change[A]] {
	if spec.Name == "" {
		spec.Name = st.Info().Name
	}
	var inputs []topology.AnyPort
	var results []topology.Port[K2, topology.Change[A]]
	for i, m := range c.members {
		own := spec
		own.Name = fmt.Sprintf("%s-%d", spec.Name, i+1)
		if i == 0 {
			own.Owns = []state.Spec{st}
		} else {
			own.Stores = []state.Spec{st}
		}
		inputs = append(inputs, m.port)
		results = append(results, attach(m, own))
	}
	c.b.graph.Copartition(spec.Op, spec.Pos, inputs...)
	return topology.AttachAll(topology.NodeSpec{Op: "cogroup-merge", Name: spec.Name, Pos: spec.Pos}, results,
		func(c *topology.NodeContext, next topology.Processor[K2, topology.Change[A]]) (topology.Processor[K2, topology.Change[A]], error) {
			return t.outlet(c, next), nil
		})
}

// A TimeWindowedCogroup is a Cogrouped in windows.
type TimeWindowedCogroup[K, A any] struct {
	c Cogrouped[K, A]
	windowing
}

// Window puts the records of all streams into windows: see Grouped.Window. The windows are the streams' together: one that is ahead
// closes them for the others too. Results are sent as they change. Key, Time, State, Errors, Nulls: as Grouped.Window.
func (c Cogrouped[K, A]) Window(w TimeWindows) TimeWindowedCogroup[K, A] {
	if c.b == nil {
		return TimeWindowedCogroup[K, A]{}
	}
	out := TimeWindowedCogroup[K, A]{c: c}
	err := errors.New("no windows: use Tumbling, Hopping, Sliding or Unlimited")
	if w != nil {
		out.windowing, err = w.windowing()
	}
	if err != nil {
		c.b.report(newSettings("window").NodeSpec, err)
		out.windowing, _ = Tumbling{Size: 1e6}.windowing()
	}
	return out
}

// Aggregate keeps one aggregate per key and window: what the streams' functions make of it and each of their records. It starts as init's.
//
// Key: in its window. Time: the largest of the records added. State: st. Errors: a panic meets the policy. Nulls: as TimeWindowed.Aggregate.
func (w TimeWindowedCogroup[K, A]) Aggregate(init func() A, st state.WindowSpec[K, A], opts ...TableOption) WindowedTable[K, A] {
	if w.c.b == nil {
		return WindowedTable[K, A]{}
	}
	return windowTable(w.c.b, w.windowing, OnUpdate, gather("window-cogroup", opts, TableOption.tableOption, init), st,
		func(spec topology.NodeSpec, t *tableNode[Windowed[K], A], st state.WindowSpec[K, A]) topology.Port[Windowed[K], topology.Change[A]] {
			return cogroup(w.c, spec, st, t,
				func(m cogroupMember[K, A], own topology.NodeSpec) topology.Port[Windowed[K], topology.Change[A]] {
					return m.window(own, w.windowing, windowedRows[K, A]{t, st, init})
				})
		})
}

// A SessionWindowedCogroup is a Cogrouped in sessions.
type SessionWindowedCogroup[K, A any] struct {
	c Cogrouped[K, A]
	sessions
}

// SessionWindow puts the records of all streams into sessions: see Grouped.SessionWindow, and Window. Key, Time, State, Errors, Nulls: as
// Grouped.SessionWindow.
func (c Cogrouped[K, A]) SessionWindow(w Session) SessionWindowedCogroup[K, A] {
	if c.b == nil {
		return SessionWindowedCogroup[K, A]{}
	}
	return SessionWindowedCogroup[K, A]{c, w.sessions(c.b, newSettings("session-window").NodeSpec)}
}

// Aggregate keeps one aggregate per key and session: what the streams' functions make of it and each of their records. It starts as init's; sessions that a
// record joins are merged into that first.
//
// Key: in its session. Time: the session's end. State: st. Errors: a panic meets the policy. Nulls: as SessionWindowed.Aggregate.
func (w SessionWindowedCogroup[K, A]) Aggregate(
	init func() A, merge func(k K, a, b A) A, st state.SessionSpec[K, A], opts ...TableOption,
) WindowedTable[K, A] {
	if w.c.b == nil {
		return WindowedTable[K, A]{}
	}
	return sessionTable(w.c.b, w.sessions, OnUpdate, gather("session-cogroup", opts, TableOption.tableOption, init, merge), st,
		func(spec topology.NodeSpec, t *tableNode[Windowed[K], A], st state.SessionSpec[K, A]) topology.Port[Windowed[K], topology.Change[A]] {
			return cogroup(w.c, spec, st, t,
				func(m cogroupMember[K, A], own topology.NodeSpec) topology.Port[Windowed[K], topology.Change[A]] {
					return m.session(own, w.sessions, sessionRows[K, A]{t, st, init, merge})
				})
		})
}
