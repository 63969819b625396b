package state

import "slices"

// A snapshot holds the dirty rows of a range as they were when it was taken. It copies them as it is read, a few at a time, and all that are left before
// the first of them changes: a read of a few rows of a long range costs no more than these rows.
type snapshot[V any] struct {
	o       *overlay[V]
	lo, hi  string // what is not copied yet
	hasHi   bool
	reverse bool
	rows    []row[V]
	whole   bool // all are copied
}

// snapshot takes one. It must be closed.
func (o *overlay[V]) snapshot(lo, hi []byte, reverse bool) *snapshot[V] {
	s := &snapshot[V]{o: o, lo: string(lo), hi: string(hi), hasHi: hi != nil, reverse: reverse}
	o.sort()
	o.snapshots = append(o.snapshots, s)
	return s
}

// sort makes the order of the dirty rows, if there is none.
func (o *overlay[V]) sort() {
	if o.order != nil {
		return
	}
	o.order = &sortedMap[*row[V]]{}
	for _, r := range o.dirty {
		o.order.set(r.key, r)
	}
}

// freeze must come before a change of a dirty row, and of which rows are dirty.
func (o *overlay[V]) freeze() {
	for _, s := range o.snapshots {
		s.copy(0)
	}
	o.snapshots = o.snapshots[:0]
}

// front is the first row that is left, nil at the end.
func (s *snapshot[V]) front() *row[V] {
	if len(s.rows) == 0 && !s.whole {
		s.copy(snapshotRows)
	}
	if len(s.rows) == 0 {
		return nil
	}
	return &s.rows[0]
}

func (s *snapshot[V]) pop() { s.rows = s.rows[1:] }

func (s *snapshot[V]) close() {
	if i := slices.Index(s.o.snapshots, s); i >= 0 {
		s.o.snapshots = slices.Delete(s.o.snapshots, i, i+1)
	}
}

const snapshotRows = 16

// copy copies so many more rows, all for 0.
func (s *snapshot[V]) copy(most int) {
	if s.whole {
		return
	}
	walk, n := s.o.order.ascend, 0
	if s.reverse {
		walk = s.o.order.descend
	}
	s.whole = true
	walk(s.lo, s.hi, s.hasHi, func(key string, r *row[V]) bool {
		if !r.dirty {
			return true
		}
		s.rows = append(s.rows, *r)
		if n++; n != most {
			return true
		}
		if s.whole = false; s.reverse {
			s.hi, s.hasHi = key, true
		} else {
			s.lo = key + "\x00" // the smallest key above
		}
		return false
	})
}
