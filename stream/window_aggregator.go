package stream

import (
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A windower is a windowed aggregation in one task.
//
// Its clock is the largest timestamp that it has seen under a key. A window [start, start+size) takes a record while start+size >
// clock - grace, whether the record is the one that moved the clock or not.
type windower[K, V, A any] struct {
	nc                     *topology.NodeContext
	store                  *state.WindowStore[K, A]
	fold                   fold[K, V, A]
	old                    bool
	nulls                  bool
	sizeMs, hopMs, graceMs int64
	emit                   Emit
	clock                  *state.Clock
	emitted                *state.Clock // the close time of the last emission: windows that ended by then are out

	nullKeys, nullValues, late *state.Counter
	next                       topology.Processor[Windowed[K], topology.Change[A]]
	out                        Record[Windowed[K], topology.Change[A]]
}

func newWindower[K, V, A any](c *topology.NodeContext, w TimeWindowed[K, V], st *state.WindowStore[K, A], f fold[K, V, A],
	old bool, next topology.Processor[Windowed[K], topology.Change[A]]) *windower[K, V, A] {
	name := st.Info().Name
	p := &windower[K, V, A]{
		nc: c, store: st, fold: f, old: old, nulls: w.g.nulls, sizeMs: w.sizeMs, hopMs: w.hopMs, graceMs: w.graceMs, emit: w.emit,
		clock: c.Clock("window/" + name), emitted: c.Clock("emitted/" + name),
		nullKeys: c.Drops("null-key"), nullValues: c.Drops("null-value"), late: c.Drops("late"), next: next,
	}
	p.hold()
	if p.emit == OnUpdate {
		// What is downstream may send windows as final when an input is quiet.
		c.OnAdvance(func(now int64) error { p.clock.Advance(now); return nil })
	}
	return p
}

func (p *windower[K, V, A]) Process(r *Record[K, V]) error {
	switch {
	case r.NullKey:
		p.nullKeys.Add(1)
		return nil
	case r.Tombstone && !p.nulls:
		p.nullValues.Add(1)
		return nil
	}
	ts := r.Timestamp.UnixMilli()
	closed := p.clock.Advance(ts) - p.graceMs
	first := max(0, ts-p.sizeMs+p.hopMs) / p.hopMs * p.hopMs
	for start := first; start <= ts; start += p.hopMs {
		if start+p.sizeMs <= closed {
			p.late.Add(1)
			continue
		}
		if err := p.update(r, start); err != nil {
			return err
		}
	}
	if p.emit == OnUpdate {
		return nil
	}
	return p.emitClosed(r, closed)
}

// update adds the record to the window that starts at start.
func (p *windower[K, V, A]) update(r *Record[K, V], startMs int64) error {
	start := time.UnixMilli(startMs).UTC()
	p.nc.Enter()
	row, has, err := p.store.Get(r.Key, start)
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	var ch topology.Change[A]
	if p.old {
		if has {
			var again state.Row[A]
			again, ch.HasOld, err = p.store.Get(r.Key, start)
			ch.Old = again.Value
		} else {
			ch.Old, ch.HasOld = p.fold.first()
		}
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
	}
	if ch.New, ch.HasNew, err = p.fold.step(r.Key, r.Value, row.Value, has); err != nil {
		if p.nc.Skipped(err) {
			return nil
		}
		return p.nc.Fail(err)
	}
	ts := r.Timestamp
	if has && row.Timestamp.After(ts) {
		ts = row.Timestamp
	}
	if ch.HasNew {
		err = p.store.PutRow(r.Key, start, state.Row[A]{Value: ch.New, Timestamp: ts})
	} else {
		err = p.store.Delete(r.Key, start)
	}
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	if p.emit != OnUpdate {
		return nil
	}
	return p.send(r.Key, start, ch, ts, r.Headers)
}

func (p *windower[K, V, A]) send(k K, start time.Time, ch topology.Change[A], ts time.Time, headers []Header) error {
	o := &p.out
	o.Key = Windowed[K]{Key: k, Start: start, End: start.Add(time.Duration(p.sizeMs) * time.Millisecond)}
	o.Value, o.Timestamp, o.Headers = ch, ts, headers
	return p.next.Process(o)
}

// emitClosed sends the windows that closed since the last time, by start and then key, with the headers of the record that closed them. Those that
// were out when the clock stood at emitted ended by then.
func (p *windower[K, V, A]) emitClosed(r *Record[K, V], closed int64) error {
	last := p.emitted.Now()
	if last != state.NoTime && last >= closed {
		return nil
	}
	from, to := int64(0), closed-p.sizeMs
	if to < 0 {
		return nil
	}
	if last != state.NoTime {
		from = max(0, last-p.sizeMs) + 1
		if (from-1)/p.hopMs == to/p.hopMs {
			return nil // no window starts between them
		}
	}
	if p.emit == OnCloseWithinRetention {
		if newest, ok := p.store.Clock(); ok {
			from = max(from, newest.UnixMilli()-p.store.Info().Retention.Milliseconds())
		}
	}
	for e, err := range p.store.ScanStarts(time.UnixMilli(from), time.UnixMilli(to)) {
		if err != nil {
			return p.nc.Fail(err)
		}
		if err := p.send(e.Key.Key, e.Key.Start, topology.Change[A]{New: e.Value, HasNew: true}, e.Timestamp, r.Headers); err != nil {
			return err
		}
	}
	p.emitted.Set(closed)
	p.hold()
	return nil
}

// hold keeps the windows that are still to be sent, beyond the store's retention.
func (p *windower[K, V, A]) hold() {
	if p.emit != OnClose {
		return
	}
	first := int64(0)
	if last := p.emitted.Now(); last != state.NoTime {
		first = max(0, last-p.sizeMs+1)
	}
	p.store.Hold(time.UnixMilli(first))
}
