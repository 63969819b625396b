package stream

import (
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A sessioner is an aggregation over sessions in one task.
//
// Its clock is the largest timestamp that it has seen under a key. A session takes a record while the end of what comes of it is not below
// clock - gap - grace.
type sessioner[K, V, A any] struct {
	nc             *topology.NodeContext
	store          *state.SessionStore[K, A]
	fold           fold[K, V, A]
	merge          func(k K, a, b A) A
	old            bool
	nulls          bool
	gapMs, graceMs int64
	emit           Emit
	clock          *state.Clock
	emitted        *state.Clock // the close time of the last emission: sessions that ended before are out

	nullKeys, nullValues, late *state.Counter
	next                       topology.Processor[Windowed[K], topology.Change[A]]
	out                        Record[Windowed[K], topology.Change[A]]
	found                      []state.Entry[Windowed[K], A]
}

func newSessioner[K, V, A any](c *topology.NodeContext, w SessionWindowed[K, V], st *state.SessionStore[K, A], f fold[K, V, A],
	merge func(k K, a, b A) A, old bool, next topology.Processor[Windowed[K], topology.Change[A]]) *sessioner[K, V, A] {
	name := st.Info().DurableName()
	p := &sessioner[K, V, A]{
		nc: c, store: st, fold: f, merge: merge, old: old, nulls: w.g.nulls, gapMs: w.gapMs, graceMs: w.graceMs, emit: w.emit,
		clock: c.Clock("session/" + name), emitted: c.Clock("emitted/" + name),
		nullKeys: c.Drops("null-key"), nullValues: c.Drops("null-value"), late: c.Drops("late"), next: next,
	}
	p.hold()
	c.OnAdvance(p.advance)
	return p
}

func (p *sessioner[K, V, A]) Process(r *Record[K, V]) error {
	switch {
	case r.NullKey:
		p.nullKeys.Add(1)
		return nil
	case r.Tombstone && !p.nulls:
		p.nullValues.Add(1)
		return nil
	}
	closed := p.clock.Advance(r.Timestamp.UnixMilli()) - p.graceMs - p.gapMs
	w, err := p.find(r)
	if err == nil {
		if w.End.UnixMilli() < closed {
			p.late.Add(1)
		} else {
			err = p.update(r, w)
		}
	}
	clear(p.found)
	if err != nil {
		return err
	}
	return p.emitClosed(closed, r.Headers)
}

// find collects the sessions that the record joins, and returns what they are together.
func (p *sessioner[K, V, A]) find(r *Record[K, V]) (Windowed[K], error) {
	ts := r.Timestamp.UnixMilli()
	w := Windowed[K]{Key: r.Key, Start: r.Timestamp, End: r.Timestamp}
	from := ts - p.gapMs
	switch p.emit {
	case OnClose:
		from = max(from, p.emitted.Now()) // what was sent is final
	case OnCloseWithinRetention:
		if newest, ok := p.store.Clock(); ok {
			from = max(from, newest.UnixMilli()-p.store.Info().Retention.Milliseconds()+1)
		}
	}
	p.found = p.found[:0]
	p.nc.Enter()
	for e, err := range p.store.Find(r.Key, time.UnixMilli(from), time.UnixMilli(ts+p.gapMs)) {
		if err != nil {
			return w, p.nc.FailAt(dlq.Encode, err)
		}
		if e.Key.Start.Before(w.Start) {
			w.Start = e.Key.Start
		}
		if e.Key.End.After(w.End) {
			w.End = e.Key.End
		}
		p.found = append(p.found, e)
	}
	return w, nil
}

// update replaces the sessions found by the one that they make with the record.
func (p *sessioner[K, V, A]) update(r *Record[K, V], w Windowed[K]) error {
	agg, has := p.merged(r.Key)
	var ch topology.Change[A]
	var err error
	if ch.New, ch.HasNew, err = p.fold.step(r.Key, r.Value, agg, has); err != nil {
		if p.nc.Skipped(err) {
			return nil
		}
		return p.nc.Fail(err)
	}
	for i := range p.found {
		if err := p.remove(r, p.found[i].Key, w, &ch); err != nil {
			return err
		}
	}
	if ch.HasNew {
		err = p.store.Put(w, ch.New)
	} else {
		err = p.store.Remove(w)
	}
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	return p.send(w, ch, r.Headers)
}

// merged returns the aggregate of the sessions found; has is false if there is none.
func (p *sessioner[K, V, A]) merged(k K) (agg A, has bool) {
	if len(p.found) == 0 {
		return agg, false
	}
	p.nc.Enter()
	if p.fold.init != nil {
		agg, has = p.fold.init(), true
	}
	for i := range p.found {
		if has {
			agg = p.merge(k, agg, p.found[i].Value)
		} else {
			agg = p.found[i].Value
		}
		has = p.fold.init != nil || p.fold.isNil == nil || !p.fold.isNil(agg)
	}
	return agg, has
}

// remove takes a session out, unless w is the same: then the change has its value as the old one. The old value is read on its own: the user's function
// may have changed the one that it was given.
func (p *sessioner[K, V, A]) remove(r *Record[K, V], was, w Windowed[K], ch *topology.Change[A]) (err error) {
	var gone topology.Change[A]
	if p.old {
		if gone.Old, gone.HasOld, err = p.store.Get(was); err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
	}
	if len(p.found) == 1 && w.Start.Equal(w.End) {
		ch.Old, ch.HasOld = gone.Old, gone.HasOld
		return nil
	}
	if err := p.store.Remove(was); err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	return p.send(was, gone, r.Headers)
}

// send passes a change on, unless results come on close.
func (p *sessioner[K, V, A]) send(w Windowed[K], ch topology.Change[A], headers []Header) error {
	if p.emit != OnUpdate {
		return nil
	}
	return p.forward(w, ch, headers)
}

func (p *sessioner[K, V, A]) forward(w Windowed[K], ch topology.Change[A], headers []Header) error {
	o := &p.out
	o.Key, o.Value, o.Timestamp, o.Headers = w, ch, w.End, headers
	return p.next.Process(o)
}

// advance moves the clock without a record.
func (p *sessioner[K, V, A]) advance(now int64) error {
	return p.emitClosed(p.clock.Advance(now)-p.graceMs-p.gapMs, nil)
}

// emitClosed sends the sessions that closed since the last time, by end, start and key, with the headers of the record that closed them.
func (p *sessioner[K, V, A]) emitClosed(closed int64, headers []Header) error {
	last := p.emitted.Now()
	if p.emit == OnUpdate || last != state.NoTime && last >= closed || closed <= 0 {
		return nil
	}
	outer := p.nc.EnterHeld()
	for e, err := range p.store.ScanEnds(time.UnixMilli(max(last, 0)), time.UnixMilli(closed-1)) {
		if err != nil {
			return p.nc.Fail(err)
		}
		if err := p.forward(e.Key, topology.Change[A]{New: e.Value, HasNew: true}, headers); err != nil {
			return err
		}
	}
	p.nc.LeaveHeld(outer)
	p.emitted.Set(closed)
	p.hold()
	return nil
}

// hold keeps the sessions that are still to be sent, beyond the store's retention.
func (p *sessioner[K, V, A]) hold() {
	if p.emit != OnUpdate {
		p.store.Hold(time.UnixMilli(max(p.emitted.Now(), 0)))
	}
}
