package stream

import (
	"slices"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A slider is an aggregation over sliding windows in one task. It is a windower whose windows come from the records.
//
// A record at T is in all windows of its key that hold T. It may also make up to three new ones:
//
//	the left window, [T-d, T], which it ends;
//	the right window of the record before it, at p: [p+1, p+1+d], if that reaches to T and there was nothing in it so far;
//	its own right window, [T+1, T+1+d], if there are records in it. It has the aggregate of the latest window that holds both T and
//	records behind T, without the record.
//
// A window's time is that of its last record. A window takes records while its end is not below clock - grace.
type slider[K, V, A any] struct {
	*windower[K, V, A]
	starts []int64 // of the windows seen for a record
}

func (p *slider[K, V, A]) Process(r *Record[K, V]) error {
	switch {
	case r.NullKey:
		p.nullKeys.Add(1)
		return nil
	case r.Tombstone:
		p.nullValues.Add(1)
		return nil
	}
	ts := r.Timestamp.UnixMilli()
	closed := p.clock.Advance(ts) - p.graceMs
	if ts+p.sizeMs < closed {
		p.late.Add(1)
		return nil
	}
	p.starts = p.starts[:0]
	if ts < p.sizeMs {
		if err := p.addEarly(r, ts, closed); err != nil || p.emit != OnClose {
			return err // Kafka Streams waits with closed windows for a later record
		}
	} else if err := p.addTo(r, ts, closed); err != nil {
		return err
	}
	return p.emitClosed(closed, r.Headers)
}

// addTo adds a record that is not of the first Difference: see slider.
func (p *slider[K, V, A]) addTo(r *Record[K, V], ts, closed int64) error {
	var (
		left, right bool         // the windows exist
		behind      bool         // a window with T and later times was seen: the first is the latest
		rightAgg    state.Row[A] // of the right window to be made
		leftAgg     state.Row[A] // of the latest window that ended before T
		hasLeft     bool
		previous    = state.NoTime // the time of the record before
	)
	p.nc.Enter()
	for e, err := range p.store.FetchBackward(r.Key, time.UnixMilli(ts-2*p.sizeMs), time.UnixMilli(ts+1)) {
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
		start, newest := e.Key.Start.UnixMilli(), e.Timestamp.UnixMilli()
		end := start + p.sizeMs
		p.starts = append(p.starts, start)
		if start == ts+1 {
			right = true
			continue
		}
		if end < ts {
			leftAgg, hasLeft, previous = state.Row[A]{Value: e.Value, Timestamp: r.Timestamp}, true, newest
			break
		}
		if end > ts && !behind {
			behind = true
			if !right && newest > ts {
				if rightAgg, err = p.copyOf(r.Key, e.Key.Start); err != nil {
					return err
				}
			}
		}
		if err := p.open(r, start, closed, state.Row[A]{Value: e.Value, Timestamp: e.Timestamp}, true, true); err != nil {
			return err
		}
		if end == ts {
			if left = true; newest >= ts {
				return nil // a record of that time has made all windows
			}
			previous = newest
		}
	}
	if previous != state.NoTime && previous+1+p.sizeMs >= ts && !slices.Contains(p.starts, previous+1) {
		if err := p.open(r, previous+1, closed, state.Row[A]{}, false, false); err != nil {
			return err
		}
	}
	if !left {
		hasLeft = hasLeft && previous >= ts-p.sizeMs
		if err := p.open(r, ts-p.sizeMs, closed, leftAgg, hasLeft, false); err != nil {
			return err
		}
	}
	return p.openRight(r, ts, rightAgg)
}

// addEarly adds a record of the first Difference. The left window is [0, d], which all records there share.
func (p *slider[K, V, A]) addEarly(r *Record[K, V], ts, closed int64) error {
	var (
		right, behind, hasShared bool
		rightAgg, shared         state.Row[A]
		previous                 = state.NoTime
	)
	p.nc.Enter()
	for e, err := range p.store.Fetch(r.Key, time.UnixMilli(0), time.UnixMilli(ts+1)) {
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
		start, newest := e.Key.Start.UnixMilli(), e.Timestamp.UnixMilli()
		row := state.Row[A]{Value: e.Value, Timestamp: e.Timestamp}
		p.starts = append(p.starts, start)
		switch {
		case start == 0:
			if hasShared, shared = true, row; newest < ts {
				previous = newest
			}
		case start == ts+1:
			right = true
		default:
			behind, rightAgg = true, state.Row[A]{}
			if newest > ts {
				if rightAgg, err = p.copyOf(r.Key, e.Key.Start); err != nil {
					return err
				}
			}
			if err := p.open(r, start, closed, row, true, true); err != nil {
				return err
			}
		}
	}
	if !behind && hasShared && shared.Timestamp.UnixMilli() > ts {
		var err error
		if rightAgg, err = p.copyOf(r.Key, time.UnixMilli(0)); err != nil {
			return err
		}
	}
	if !right {
		if err := p.openRight(r, ts, rightAgg); err != nil {
			return err
		}
	}
	if previous != state.NoTime && !slices.Contains(p.starts, previous+1) {
		if err := p.open(r, previous+1, closed, state.Row[A]{}, false, false); err != nil {
			return err
		}
	}
	return p.open(r, 0, closed, shared, hasShared, hasShared)
}

// open adds the record to a window, if that is open: see windower.add.
func (p *slider[K, V, A]) open(r *Record[K, V], startMs, closed int64, before state.Row[A], has, exists bool) error {
	if startMs+p.sizeMs < closed {
		p.late.Add(1)
		return nil
	}
	return p.add(r, startMs, before, has, exists)
}

// openRight makes the right window of a record at ts. Without records behind ts, agg is the zero row, and there is none.
func (p *slider[K, V, A]) openRight(r *Record[K, V], ts int64, agg state.Row[A]) error {
	if agg.Timestamp.IsZero() {
		return nil
	}
	if err := p.store.PutRow(r.Key, time.UnixMilli(ts+1), agg); err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	if p.emit != OnUpdate {
		return nil
	}
	return p.send(r.Key, ts+1, topology.Change[A]{New: agg.Value, HasNew: true}, agg.Timestamp, r.Headers)
}

// copyOf reads a row on its own: the user's function may change the one that it is given.
func (p *slider[K, V, A]) copyOf(k K, start time.Time) (state.Row[A], error) {
	row, _, err := p.store.Get(k, start)
	if err != nil {
		err = p.nc.FailAt(dlq.Encode, err)
	}
	return row, err
}
