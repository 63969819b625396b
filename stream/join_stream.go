package stream

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// Between says which records of two streams are joined: those whose times are close. For a record of the left stream at time T they are the records of
// the right stream from T-Before to T+After, both included. Whole milliseconds, up to 30 years.
//
// Before or After may be negative where the other makes up for it: Between{Before: -time.Second, After: time.Minute} is what comes on the right a second to
// a minute later.
type Between struct {
	Before, After time.Duration
	// Grace is how much later a partner may come, in stream time: records wait that much longer for one.
	Grace time.Duration
}

// check returns what is wrong.
func (w Between) check() error {
	const most = 30 * 365 * 24 * time.Hour
	for _, d := range []time.Duration{w.Before, w.After, w.Grace} {
		if d%time.Millisecond != 0 || d < -most || d > most {
			return fmt.Errorf("a duration of %v: use whole milliseconds, up to 30 years", d)
		}
	}
	switch {
	case w.Before+w.After < 0:
		return fmt.Errorf("from %v before to %v after is nothing: Before and After must not be below 0 together", w.Before, w.After)
	case w.Grace < 0:
		return fmt.Errorf("Grace is %v: it must not be negative", w.Grace)
	}
	return nil
}

// retention is how long the records of a side must be kept, counted from the newest of that side. Kafka Streams keeps them for the span of the window,
// which does not reach to a window that begins later.
func (w Between) retention() time.Duration {
	if min(w.Before, w.After) < 0 {
		return max(w.Before, w.After) + time.Millisecond + w.Grace
	}
	return max(w.Before+w.After+w.Grace, time.Millisecond)
}

// Join makes one record of each pair of records, of this stream and the other, that have the same key and times that are close: see Between. It does so
// when the second of the two comes. The same stream may be on both sides.
//
// A partner is found as long as it is kept: until the newest record of its side is later by Before, After and Grace together. That is the rule of Kafka
// Streams; a retention of a millisecond more, asked for in the descriptor, finds a partner at the far end of the window at the very end of the grace too.
//
// Key: kept; both streams must be partitioned alike by it. Time: the later of the two; the headers of the one that came second. State: st's stores
// <name>-left and <name>-right, the first alone if a stream is joined with itself. Errors: a panic of f meets the policy. Nulls: records without a
// key or a value are dropped, counted.
func (s Stream[K, V]) Join[VO, VR any](other Stream[K, VO], w Between, f func(V, VO) VR, st state.JoinSpec[K, V, VO], opts ...Option) Stream[K, VR] {
	return joinStreams(s, other, w, node("join-stream", opts, f), streamJoin[K, V, VO, VR]{
		stores: st, f: func(l Opt[V], r Opt[VO]) VR { return f(l.Value, r.Value) },
	})
}

// LeftJoin is Join that does not lose records of this stream: one that finds no partner gives a result without, when none can come any more. That is when
// stream time has passed the end of its window by the grace, as a later record of either stream shows it, or a quiet input: see IdleAfter. As in Kafka
// Streams that may take a later record than the first: with Before unlike After, or with several that wait. None is lost or sent twice.
//
// A record that comes when stream time has passed the end of its window does not wait for the grace: if it finds no partner, the result without one is
// sent at once, and a partner that comes within the grace makes a second result.
//
// Key: as Join. Time: as Join; that of the record if it has no partner. State: as Join, and <name>-unmatched. Errors: a panic of f meets the policy.
// Nulls: records without a value are dropped, counted; those without a key too, but on the left they give a result without a partner at once.
func (s Stream[K, V]) LeftJoin[VO, VR any](
	other Stream[K, VO], w Between, f func(V, Opt[VO]) VR, st state.JoinSpec[K, V, VO], opts ...Option,
) Stream[K, VR] {
	return joinStreams(s, other, w, node("left-join-stream", opts, f), streamJoin[K, V, VO, VR]{
		stores: st, f: func(l Opt[V], r Opt[VO]) VR { return f(l.Value, r) }, left: true,
	})
}

// OuterJoin is LeftJoin that loses records of neither stream.
//
// Key, Time, State, Errors: as LeftJoin. Nulls: records without a value are dropped, counted; those without a key give a result without a
// partner at once.
func (s Stream[K, V]) OuterJoin[VO, VR any](
	other Stream[K, VO], w Between, f func(Opt[V], Opt[VO]) VR, st state.JoinSpec[K, V, VO], opts ...Option,
) Stream[K, VR] {
	return joinStreams(s, other, w, node("outer-join-stream", opts, f), streamJoin[K, V, VO, VR]{stores: st, f: f, left: true, right: true})
}

// A streamJoin is what a join says beyond its window.
type streamJoin[K, L, R, VR any] struct {
	stores      state.JoinSpec[K, L, R]
	f           func(Opt[L], Opt[R]) VR
	left, right bool // records of that side without a partner are results
	window      Between
}

func joinStreams[K, L, R, VR any](
	s Stream[K, L], other Stream[K, R], w Between, spec topology.NodeSpec, j streamJoin[K, L, R, VR],
) Stream[K, VR] {
	if !sameBuilder(s.b, other.b, spec) {
		return Stream[K, VR]{}
	}
	if spec.Name == "" {
		spec.Name = j.stores.Name()
	}
	if err := w.check(); err != nil {
		s.b.report(spec, err)
		w = Between{}
	}
	j.window = w
	least := w.retention()
	switch r := j.stores.Left().Info().Retention; {
	case r == 0:
		j.stores = j.stores.Retention(least)
	case r < least:
		s.b.report(spec, fmt.Errorf("the stores of join %q keep records for %v: the window and its grace take %v", j.stores.Name(), r, least))
	}
	spec.NullKeys = j.left || j.right
	self := any(s.port) == any(other.port)
	s.rekey.check(s.b, spec, reflect.TypeFor[K]())
	s.b.graph.Copartition(spec.Op, spec.Pos, s.port, other.port)
	if self {
		return Stream[K, VR]{b: s.b, port: j.attachSelf(s.port, spec), nulls: topology.NilCheck[VR]() != nil}
	}
	other.rekey.check(s.b, spec, reflect.TypeFor[K]())
	return Stream[K, VR]{b: s.b, port: j.attach(s.port, other.port, spec), nulls: topology.NilCheck[VR]() != nil}
}

// specs are the stores that the join uses.
func (j streamJoin[K, L, R, VR]) specs(self bool) []state.Spec {
	specs := []state.Spec{j.stores.Left()}
	if !self {
		specs = append(specs, j.stores.Right())
	}
	if j.left || j.right {
		specs = append(specs, j.stores.Unmatched())
	}
	return specs
}

// attach adds a node for each side, and one where their results come together.
func (j streamJoin[K, L, R, VR]) attach(l topology.Port[K, L], r topology.Port[K, R], spec topology.NodeSpec) topology.Port[K, VR] {
	left, right := spec, spec
	left.Name, right.Name = spec.Name+"-left", spec.Name+"-right"
	left.Owns, right.Stores = j.specs(false), j.specs(false)
	results := topology.Merge(spec,
		l.Attach(left, func(c *topology.NodeContext, next topology.Processor[K, VR]) (topology.Processor[K, L], error) {
			return j.leftSide(c, j.stores.Left().Open(c), j.stores.Right().Open(c), j.waiting(c), next), nil
		}),
		r.Attach(right, func(c *topology.NodeContext, next topology.Processor[K, VR]) (topology.Processor[K, R], error) {
			return j.rightSide(c, j.stores.Right().Open(c), j.stores.Left().Open(c), j.waiting(c), next), nil
		}))
	return results
}

// attachSelf adds a node for a stream that is joined with itself. L is R.
func (j streamJoin[K, L, R, VR]) attachSelf(port topology.Port[K, L], spec topology.NodeSpec) topology.Port[K, VR] {
	spec.Owns = j.specs(true)
	return port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, VR]) (topology.Processor[K, L], error) {
		own := j.stores.Left().Open(c)
		other, same := any(own).(*state.WindowStore[K, R])
		if !same {
			return nil, errors.New("a stream that is joined with itself has one type of values")
		}
		room := j.waiting(c)
		left, right := j.leftSide(c, own, other, room, next), j.rightSide(c, nil, own, room, next)
		again, _ := any(right).(topology.Processor[K, L])
		return topology.ProcessorFunc[K, L](func(r *Record[K, L]) error {
			if err := left.Process(r); err != nil || r.Tombstone || r.NullKey && !right.keep {
				return err
			}
			return again.Process(r)
		}), nil
	})
}

func (j streamJoin[K, L, R, VR]) waiting(c *topology.NodeContext) *unmatched[K, L, R, VR] {
	if !j.left && !j.right {
		return nil
	}
	name := j.stores.DurableName()
	u := &unmatched[K, L, R, VR]{
		store: j.stores.Unmatched().Open(c), clock: c.Clock("join/" + name), least: c.Clock("least/" + name), f: j.f,
		leftMs: (j.window.After + j.window.Grace).Milliseconds(), rightMs: (j.window.Before + j.window.Grace).Milliseconds(),
	}
	if u.least.Now() == state.NoTime {
		u.least.Set(math.MaxInt64)
		for range u.store.All() { // the clocks are lost, with the group's offsets: look soon. A broken store shows then
			u.least.Set(0)
			break
		}
	}
	return u
}

func (j streamJoin[K, L, R, VR]) leftSide(c *topology.NodeContext, own *state.WindowStore[K, L], other *state.WindowStore[K, R],
	room *unmatched[K, L, R, VR], next topology.Processor[K, VR]) *joinSide[K, L, R, VR] {
	p := newJoinSide(c, own, other, j.f, next)
	p.left, p.keep, p.backMs, p.aheadMs = true, j.left, j.window.Before.Milliseconds(), j.window.After.Milliseconds()
	if room != nil {
		p.meetIn(room, room.leftMs, func(k K, at time.Time, v L) error {
			return room.add(true, k, at, state.SideValue[L, R]{IsLeft: true, Left: v})
		})
	}
	return p
}

func (j streamJoin[K, L, R, VR]) rightSide(c *topology.NodeContext, own *state.WindowStore[K, R], other *state.WindowStore[K, L],
	room *unmatched[K, L, R, VR], next topology.Processor[K, VR]) *joinSide[K, R, L, VR] {
	p := newJoinSide(c, own, other, func(r Opt[R], l Opt[L]) VR { return j.f(l, r) }, next)
	p.keep, p.backMs, p.aheadMs = j.right, j.window.After.Milliseconds(), j.window.Before.Milliseconds()
	if room != nil {
		p.meetIn(room, room.rightMs, func(k K, at time.Time, v R) error {
			return room.add(false, k, at, state.SideValue[L, R]{Right: v})
		})
	}
	return p
}
