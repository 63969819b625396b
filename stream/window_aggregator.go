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
	windowing
	nc      *topology.NodeContext
	store   *state.WindowStore[K, A]
	fold    fold[K, V, A]
	old     bool
	nulls   bool
	emit    Emit
	clock   *state.Clock
	emitted *state.Clock // the close time of the last emission: windows that ended by then are out

	nullKeys, nullValues, early, late *state.Counter
	next                              topology.Processor[Windowed[K], topology.Change[A]]
	out                               Record[Windowed[K], topology.Change[A]]
}

func newWindower[K, V, A any](c *topology.NodeContext, w TimeWindowed[K, V], st *state.WindowStore[K, A], f fold[K, V, A],
	old bool, next topology.Processor[Windowed[K], topology.Change[A]]) *windower[K, V, A] {
	name := st.Info().DurableName()
	p := &windower[K, V, A]{
		windowing: w.windowing, nc: c, store: st, fold: f, old: old, nulls: w.g.nulls, emit: w.emit,
		clock: c.Clock("window/" + name), emitted: c.Clock("emitted/" + name),
		nullKeys: c.Drops("null-key"), nullValues: c.Drops("null-value"), early: c.Drops("early"), late: c.Drops("late"), next: next,
	}
	p.hold()
	c.OnAdvance(p.advance)
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
	if ts < p.fromMs {
		p.early.Add(1)
		return nil
	}
	for start, ok := p.first(ts); ok; start, ok = p.following(start, ts) {
		if start+p.sizeMs <= closed {
			p.late.Add(1)
			continue
		}
		if err := p.update(r, start); err != nil {
			return err
		}
	}
	return p.emitClosed(closed, r.Headers)
}

// update adds the record to the window that starts at start.
func (p *windower[K, V, A]) update(r *Record[K, V], startMs int64) error {
	p.nc.Enter()
	row, has, err := p.store.Get(r.Key, time.UnixMilli(startMs))
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	return p.add(r, startMs, row, has, has)
}

// add makes the row of the window that starts at start of the record and the aggregate before, if has says that there is one; exists tells whether
// it was the window's.
func (p *windower[K, V, A]) add(r *Record[K, V], startMs int64, before state.Row[A], has, exists bool) (err error) {
	start := time.UnixMilli(startMs)
	p.nc.Enter()
	var ch topology.Change[A]
	if p.old && exists { // read once more: the user's function may change the value that it is given
		again, ok, err := p.store.Get(r.Key, start)
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
		ch.Old, ch.HasOld = again.Value, ok
	}
	if ch.New, ch.HasNew, err = p.fold.step(r.Key, r.Value, before.Value, has); err != nil {
		if p.nc.Skipped(err) {
			return nil
		}
		return p.nc.Fail(err)
	}
	ts := r.Timestamp
	if has && before.Timestamp.After(ts) {
		ts = before.Timestamp
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
	return p.send(r.Key, startMs, ch, ts, r.Headers)
}

func (p *windower[K, V, A]) send(k K, startMs int64, ch topology.Change[A], ts time.Time, headers []Header) error {
	o := &p.out
	o.Key = Windowed[K]{Key: k, Start: time.UnixMilli(startMs).UTC(), End: time.UnixMilli(startMs + p.sizeMs).UTC()}
	o.Value, o.Timestamp, o.Headers = ch, ts, headers
	return p.next.Process(o)
}

// advance moves the clock without a record.
func (p *windower[K, V, A]) advance(now int64) error {
	return p.emitClosed(p.clock.Advance(now)-p.graceMs, nil)
}

// emitClosed sends the windows that closed since the last time, by start and then key, with the headers of the record that closed them.
func (p *windower[K, V, A]) emitClosed(closed int64, headers []Header) error {
	if p.emit == OnUpdate {
		return nil
	}
	from, to, ok := p.closing(p.emitted.Now(), closed)
	if !ok {
		return nil
	}
	if p.emit == OnCloseWithinRetention {
		if newest, ok := p.store.Clock(); ok {
			from = max(from, newest.UnixMilli()-p.store.Info().Retention.Milliseconds())
		}
	}
	outer := p.nc.EnterHeld()
	for e, err := range p.store.ScanStarts(time.UnixMilli(from), time.UnixMilli(to)) {
		if err != nil {
			return p.nc.Fail(err)
		}
		if err := p.send(e.Key.Key, e.Key.Start.UnixMilli(), topology.Change[A]{New: e.Value, HasNew: true}, e.Timestamp, headers); err != nil {
			return err
		}
	}
	p.nc.LeaveHeld(outer)
	p.emitted.Set(closed)
	p.hold()
	return nil
}

// hold keeps the windows that are still to be sent, beyond the store's retention.
func (p *windower[K, V, A]) hold() {
	if p.emit == OnClose {
		p.store.Hold(time.UnixMilli(p.unsent(p.emitted.Now())))
	}
}
