package stream

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A VersionedJoinOption fits joins with versioned tables: Grace and every Common option.
type VersionedJoinOption interface{ versionedJoinOption(s *settings) }

func (o Common) versionedJoinOption(s *settings) { o.apply.on(s) }

// A Wait is the option that Grace makes.
type Wait struct {
	d      time.Duration
	buffer any
}

func (o Wait) versionedJoinOption(s *settings) { s.grace = o }

// Grace lets a join wait for updates of the table that come late: a record is joined when the time of the stream has passed its own by d, and until then
// kept in the buffer, whose types are those of the stream. d must not be longer than the table's history. 0 joins at once, without the buffer.
func Grace[K, V any](d time.Duration, buffer state.JoinBufferSpec[K, V]) Wait { return Wait{d, buffer} }

// JoinVersioned looks the record's key up in the table as it was at the record's time, and makes one record of both. Records without a row are dropped, not
// counted: that is what an inner join is for. Updates of the table produce nothing.
//
// Without Grace, a record is joined when it comes, with what is known of the table by then. With it, records wait in the buffer and are joined in the
// order of their times, then of their encoded keys; one that comes later than the grace is joined at once.
//
// Key: kept; stream and table must be partitioned alike by it. Time: the record's. State: reads the table's store; the buffer of Grace. Errors: a panic of f
// meets the policy; one behind the buffer stops the task unless a retry helps, and the record that waited stays. Nulls: records without a key or
// a value are dropped, counted.
func (s Stream[K, V]) JoinVersioned[VT, VR any](t VersionedTable[K, VT], f func(V, VT) VR, opts ...VersionedJoinOption) Stream[K, VR] {
	return joinVersioned(s, t, gather("join-versioned", opts, VersionedJoinOption.versionedJoinOption, f), func(v V, row Opt[VT]) (VR, bool) {
		if !row.OK {
			var none VR
			return none, false
		}
		return f(v, row.Value), true
	})
}

// LeftJoinVersioned is JoinVersioned that keeps records without a row: f gets an absent one.
//
// Key, Time, State, Errors: as JoinVersioned. Nulls: records without a value are dropped, counted; one without a key has no row to wait for and is joined at
// once.
func (s Stream[K, V]) LeftJoinVersioned[VT, VR any](t VersionedTable[K, VT], f func(V, Opt[VT]) VR, opts ...VersionedJoinOption) Stream[K, VR] {
	o := gather("left-join-versioned", opts, VersionedJoinOption.versionedJoinOption, f)
	o.NullKeys = true
	return joinVersioned(s, t, o, func(v V, row Opt[VT]) (VR, bool) { return f(v, row), true })
}

func joinVersioned[K, V, VT, VR any](s Stream[K, V], t VersionedTable[K, VT], o settings, f func(V, Opt[VT]) (VR, bool)) Stream[K, VR] {
	spec := o.NodeSpec
	if !sameBuilder(s.b, t.b, spec) {
		return Stream[K, VR]{}
	}
	if t.t.history == nil {
		s.b.report(spec, errors.New("the table has no versions: use one that VersionedTable or ToVersionedTable returned, or derived of it"))
		return Stream[K, VR]{}
	}
	s.rekey.check(s.b, spec, reflect.TypeFor[K]())
	buffer, buffered := joinBuffer(s, t.t.history.store.Info().Retention, &o)
	if buffered {
		spec.Owns = append(spec.Owns, buffer)
	}
	port := s.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, VR]) (topology.Processor[K, V], error) {
		get, err := t.t.history.open(c)
		if err != nil {
			return nil, err
		}
		p := &versionedJoin[K, V, VT, VR]{
			nc: c, get: get, f: f, left: spec.NullKeys, isNil: topology.NilCheck[VR](),
			nullKeys: c.Drops("null-key"), nullValues: c.Drops("null-value"), next: next,
		}
		if !buffered {
			return p, nil
		}
		w := &waitingJoin[K, V]{
			nc: c, buffer: buffer.Open(c), clock: c.Clock("buffer/" + buffer.Info().DurableName()), graceMs: o.grace.d.Milliseconds(),
			drop: p.drop, join: p.join,
		}
		c.OnAdvance(w.advance)
		return w, nil
	})
	port.AddStores(t.t.history.store)
	s.b.graph.Copartition(spec.Op, spec.Pos, s.port, t.t.port)
	return with(s, port)
}

// joinBuffer returns the buffer that the options name, for whole records, and false if there is no wait.
func joinBuffer[K, V any](s Stream[K, V], history time.Duration, o *settings) (buffer state.JoinBufferSpec[K, held[V]], ok bool) {
	spec := typed[state.JoinBufferSpec[K, V]](s.b, o, "Grace", o.grace.buffer)
	_, fits := o.grace.buffer.(state.JoinBufferSpec[K, V])
	key, value := spec.Serdes()
	switch d := o.grace.d; {
	case d < 0 || d > 0 && d < time.Millisecond:
		s.b.report(o.NodeSpec, fmt.Errorf("a grace of %v: use 0, or a millisecond at least", d))
		return buffer, false
	case d > history:
		s.b.report(o.NodeSpec, fmt.Errorf("a grace of %v is longer than the table's history of %v: rows would be forgotten before they are "+
			"looked up; give the store of the table a longer history", d, history))
		return buffer, false
	case d == 0 || !fits: // one of other types is reported
		return buffer, false
	case key == nil || value == nil:
		s.b.report(o.NodeSpec, fmt.Errorf("store %q has no serde for its key or its value", spec.Info().Name))
		return buffer, false
	}
	return spec.Rows(key, heldSerde[V]{value}), true
}

// versionedJoin joins a record with the row that was valid at its time.
type versionedJoin[K, V, VT, VR any] struct {
	nc                   *topology.NodeContext
	get                  lookupAsOf[K, VT]
	f                    func(V, Opt[VT]) (VR, bool)
	left                 bool
	isNil                func(VR) bool
	nullKeys, nullValues *state.Counter
	next                 topology.Processor[K, VR]
	out                  Record[K, VR]
}

func (p *versionedJoin[K, V, VT, VR]) Process(r *Record[K, V]) error {
	if p.drop(r) {
		return nil
	}
	return p.join(r)
}

// drop tells whether the join has no use for the record, and counts it then.
func (p *versionedJoin[K, V, VT, VR]) drop(r *Record[K, V]) bool {
	switch {
	case r.Tombstone:
		p.nullValues.Add(1)
		return true
	case r.NullKey && !p.left:
		p.nullKeys.Add(1)
		return true
	}
	return false
}

func (p *versionedJoin[K, V, VT, VR]) join(r *Record[K, V]) error {
	var row Opt[VT]
	p.nc.Enter()
	if !r.NullKey {
		found, ok, err := p.get(r.Key, r.Timestamp)
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
		row = Opt[VT]{found, ok}
	}
	v, ok := p.f(r.Value, row)
	if !ok {
		return nil
	}
	p.out = Record[K, VR]{
		Key: r.Key, NullKey: r.NullKey, Value: v, Timestamp: r.Timestamp, Headers: r.Headers, Tombstone: p.isNil != nil && p.isNil(v),
	}
	return p.next.Process(&p.out)
}

// waitingJoin keeps records until its clock has passed them by the grace. The clock is the largest time of the records that were kept, and goes on while the
// inputs are idle. What it has passed by the grace is out: nothing in the buffer is due between two records.
type waitingJoin[K, V any] struct {
	nc      *topology.NodeContext
	buffer  *state.JoinBufferStore[K, held[V]]
	clock   *state.Clock
	graceMs int64
	drop    func(r *Record[K, V]) bool
	join    func(r *Record[K, V]) error
	due     Record[K, V]
}

func (p *waitingJoin[K, V]) Process(r *Record[K, V]) error {
	if p.drop(r) {
		return nil
	}
	ts, before := r.Timestamp.UnixMilli(), p.clock.Now()
	if r.NullKey || before != state.NoTime && ts <= before-p.graceMs {
		return p.join(r)
	}
	p.nc.Enter()
	if err := p.buffer.Add(r.Timestamp, r.Key, hold(r)); err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	return p.advance(ts)
}

// advance moves the clock and joins what is due, in the order of times, keys and arrival.
func (p *waitingJoin[K, V]) advance(now int64) error {
	if now <= p.clock.Now() {
		return nil
	}
	p.clock.Advance(now)
	for e, err := range p.buffer.Until(time.UnixMilli(now - p.graceMs)) {
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
		p.buffer.Remove(e)
		e.Value.release(e.Key, &p.due)
		outer := p.nc.EnterHeld()
		if err := p.join(&p.due); err != nil {
			return err
		}
		p.nc.LeaveHeld(outer)
	}
	return nil
}
