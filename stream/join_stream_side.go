package stream

import (
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A joinSide receives the records of one side of a stream join, in one task: A are its values, B those of the other side.
//
// A record looks for partners in what the other side has kept, from backMs before its time to aheadMs behind it, and is kept for those that
// come later.
type joinSide[K, A, B, VR any] struct {
	nc              *topology.NodeContext
	own             *state.WindowStore[K, A] // nil for the second side of a stream joined with itself: the record is kept already
	other           *state.WindowStore[K, B]
	ownMs           int64 // how long own keeps records
	f               func(Opt[A], Opt[B]) VR
	left            bool
	keep            bool // a record without a partner is a result
	backMs, aheadMs int64

	room   waitingRoom[K, VR] // nil for an inner join
	waitMs int64              // how long a record of this side waits there
	wait   func(k K, at time.Time, v A) error

	nullKeys, nullValues, late *state.Counter
	out                        joinResults[K, VR]
}

// A waitingRoom holds the records of both sides that have found no partner yet. It is the same for both.
type waitingRoom[K, VR any] interface {
	// advance moves the join's stream time to that of a record, if it is later, and returns it.
	advance(ms int64) (now int64)
	// release sends the results of records that no partner can come for any more. waitMs is that of the side which asks.
	release(waitMs int64, headers []Header, out *joinResults[K, VR]) error
	// remove lets the records of that key and time go: they have found a partner.
	remove(left bool, k K, at time.Time) error
	// idle is advance and release without a record.
	idle(now int64, out *joinResults[K, VR]) error
}

func newJoinSide[K, A, B, VR any](c *topology.NodeContext, own *state.WindowStore[K, A], other *state.WindowStore[K, B],
	f func(Opt[A], Opt[B]) VR, next topology.Processor[K, VR]) *joinSide[K, A, B, VR] {
	p := &joinSide[K, A, B, VR]{
		nc: c, own: own, other: other, f: f, ownMs: other.Info().Retention.Milliseconds(),
		nullKeys: c.Drops("null-key"), nullValues: c.Drops("null-value"), late: c.Drops("late"),
		out: joinResults[K, VR]{nc: c, isNil: topology.NilCheck[VR](), next: next},
	}
	return p
}

// meetIn gives the side its waiting room.
func (p *joinSide[K, A, B, VR]) meetIn(room waitingRoom[K, VR], waitMs int64, wait func(k K, at time.Time, v A) error) {
	p.room, p.waitMs, p.wait = room, waitMs, wait
	p.nc.OnAdvance(func(now int64) error { return room.idle(now, &p.out) })
}

func (p *joinSide[K, A, B, VR]) Process(r *Record[K, A]) error {
	ms := r.Timestamp.UnixMilli()
	now := ms
	if p.room != nil {
		now = p.room.advance(ms)
	}
	switch {
	case r.Tombstone:
		p.nullValues.Add(1)
		return nil
	case r.NullKey && !p.keep:
		p.nullKeys.Add(1)
		return nil
	case r.NullKey:
		return p.alone(r)
	}
	if p.room != nil && ms == now {
		if err := p.room.release(p.waitMs, r.Headers, &p.out); err != nil {
			return err
		}
	}
	matched, err := p.match(r, ms)
	if err != nil {
		return err
	}
	switch {
	case matched || !p.keep:
	case ms+p.aheadMs < now:
		if err := p.alone(r); err != nil {
			return err
		}
	default:
		p.nc.Enter()
		if err := p.wait(r.Key, r.Timestamp, r.Value); err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
	}
	return p.store(r, ms)
}

// match sends a result for each partner that is there, by time and then by arrival.
func (p *joinSide[K, A, B, VR]) match(r *Record[K, A], ms int64) (matched bool, err error) {
	p.nc.Enter()
	for e, err := range p.other.Fetch(r.Key, time.UnixMilli(ms-p.backMs), time.UnixMilli(ms+p.aheadMs)) {
		if err != nil {
			return matched, p.nc.FailAt(dlq.Encode, err)
		}
		matched = true
		at := e.Key.Start
		if p.room != nil {
			if err := p.room.remove(!p.left, r.Key, at); err != nil {
				return matched, p.nc.FailAt(dlq.Encode, err)
			}
		}
		if at.UnixMilli() <= ms {
			at = r.Timestamp
		}
		p.nc.Enter()
		v := p.f(Opt[A]{r.Value, true}, Opt[B]{e.Value, true})
		if err := p.out.send(r.Key, false, v, at, r.Headers); err != nil {
			return matched, err
		}
		p.nc.Enter()
	}
	return matched, nil
}

// alone sends the result of a record without a partner.
func (p *joinSide[K, A, B, VR]) alone(r *Record[K, A]) error {
	p.nc.Enter()
	v := p.f(Opt[A]{r.Value, true}, Opt[B]{})
	return p.out.send(r.Key, r.NullKey, v, r.Timestamp, r.Headers)
}

// store keeps the record for partners that come later. One that is too old for that is late.
func (p *joinSide[K, A, B, VR]) store(r *Record[K, A], ms int64) error {
	if p.own == nil {
		return nil
	}
	if newest, ok := p.own.Clock(); ok && ms <= newest.UnixMilli()-p.ownMs {
		p.late.Add(1)
		return nil
	}
	p.nc.Enter()
	if err := p.own.Add(r.Key, r.Timestamp, r.Value); err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	return nil
}

// joinResults is the outlet of a joinSide.
type joinResults[K, VR any] struct {
	nc    *topology.NodeContext
	isNil func(VR) bool
	next  topology.Processor[K, VR]
	out   Record[K, VR]
}

func (o *joinResults[K, VR]) send(k K, nullKey bool, v VR, at time.Time, headers []Header) error {
	o.out = Record[K, VR]{Key: k, NullKey: nullKey, Value: v, Timestamp: at, Headers: headers, Tombstone: o.isNil != nil && o.isNil(v)}
	return o.next.Process(&o.out)
}
