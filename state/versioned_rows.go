package state

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
)

// An endedVersion is a row of a versioned store's second part: a version that another has followed, or a delete, which has to = from.
type endedVersion[V any] struct {
	from, to int64
	row      scanned[past[V]]
}

// endedFrom yields the versions of a key that end at to or later, in the order of their times. Each is valid for one step.
func (s *VersionedStore[K, V]) endedFrom(key []byte, to int64) iter.Seq2[endedVersion[V], error] {
	return func(yield func(endedVersion[V], error) bool) {
		to = max(to, s.horizon())
		for seg := s.layout.segment(to); seg <= s.layout.segment(max(s.clock.Now(), 0)); seg++ {
			lo := s.layout.ends(nil, key, seg, to)
			hi := s.layout.ends(nil, key, seg, math.MaxInt64)
			for r, err := range s.older.scan(lo, hi, false) {
				x := endedVersion[V]{row: r}
				if err == nil {
					if len(r.key) != len(key)+versionedOverhead {
						continue // of a longer key
					}
					if x.from, x.to, err = s.layout.split(r.key); err != nil {
						err = s.older.broken("read", err)
					}
				}
				if !yield(x, err) || err != nil {
					return
				}
			}
		}
	}
}

// version reads a row.
func (s *VersionedStore[K, V]) version(x endedVersion[V]) (v Version[V], err error) {
	p, _, err := s.older.open(x.row)
	return Version[V]{Value: p.value, From: fromMs(x.from), To: fromMs(x.to)}, err
}

// place puts a version among those of its key, and returns the time of the next, NoTime if there is none.
func (s *VersionedStore[K, V]) place(key []byte, v V, at int64, gone bool) (next int64, err error) {
	s.clock.Advance(at)
	r, err := s.newest.find(key)
	if err != nil {
		return 0, err
	}
	next = NoTime
	if r.state == present {
		next = r.ts
	}
	if r.state == present && at > r.ts {
		was, err := s.newest.read(r)
		if err != nil {
			return 0, err
		}
		if err := s.putOlder(key, past[V]{value: was}, r.ts, at); err != nil {
			return 0, err
		}
	}
	if r.state == present && at >= r.ts {
		return NoTime, s.putNewest(r, key, v, at, gone)
	}
	if next, err = s.makeRoom(key, at, next); err != nil {
		return 0, err
	}
	switch {
	case next == NoTime:
		return next, s.putNewest(r, key, v, at, gone)
	case gone:
		return next, s.putOlder(key, past[V]{none: true}, at, at)
	}
	return next, s.putOlder(key, past[V]{value: v}, at, next)
}

// makeRoom lets the version before at end there, removes one of that very time, and returns the time of the first after it, or newest if there is none
// in the second part.
func (s *VersionedStore[K, V]) makeRoom(key []byte, at, newest int64) (next int64, err error) {
	next = newest
	var cut *past[V]
	cutFrom, cutTo, same := int64(0), int64(0), NoTime
	for x, err := range s.endedFrom(key, at) {
		if err != nil {
			return 0, err
		}
		if x.from > at {
			next = x.from
			break
		}
		if x.from == at {
			same = x.to
		} else if x.to > at {
			p, _, err := s.older.open(x.row)
			if err != nil {
				return 0, err
			}
			cut, cutFrom, cutTo = &p, x.from, x.to
		}
		if x.to > at {
			next = x.to
			break
		}
	}
	if same != NoTime {
		s.removeOlder(key, at, same)
	}
	if cut != nil {
		s.removeOlder(key, cutFrom, cutTo)
		return next, s.putOlder(key, *cut, cutFrom, at)
	}
	return next, nil
}

// putNewest makes the version the newest: r is the row of the newest that has a value.
func (s *VersionedStore[K, V]) putNewest(r *row[V], key []byte, v V, at int64, gone bool) error {
	if !gone {
		return s.newest.put(r, v, at)
	}
	if r.state == present {
		s.newest.remove(r, at)
	}
	return s.putOlder(key, past[V]{none: true}, at, at)
}

func (s *VersionedStore[K, V]) putOlder(key []byte, p past[V], from, to int64) error {
	s.rowBuf = s.layout.key(s.rowBuf[:0], key, from, to)
	return s.older.put(s.older.row(s.rowBuf), p, from)
}

func (s *VersionedStore[K, V]) removeOlder(key []byte, from, to int64) {
	s.rowBuf = s.layout.key(s.rowBuf[:0], key, from, to)
	s.older.remove(s.older.row(s.rowBuf), from)
}

// Info implements Store.
func (s *VersionedStore[K, V]) Info() Info { return s.newest.info }

// Prepare implements Store. The changelog gets one record per put, in their order: replayed, they make the same versions.
func (s *VersionedStore[K, V]) Prepare(w *Writer) error {
	s.settle()
	rows := Writer{batch: w.batch}
	if err := s.newest.prepare(&rows, nil, nil); err != nil {
		return err
	}
	live := s.layout.segment(s.horizon())
	err := s.older.prepare(&rows, nil, func(key string) bool {
		_, to, err := s.layout.split([]byte(key))
		return err == nil && s.layout.segment(to) < live
	})
	if err != nil {
		return err
	}
	return s.log.write(w)
}

// Committed implements Store.
func (s *VersionedStore[K, V]) Committed() error {
	s.newest.committed()
	s.older.committed()
	s.log.reset()
	s.restored = nil
	return s.expire()
}

// expire drops the segments whose versions have all expired.
func (s *VersionedStore[K, V]) expire() error {
	live := s.layout.segment(s.horizon())
	if live <= s.dropped {
		return nil
	}
	lo := s.older.table.key(nil, nil)
	hi := s.older.table.key(nil, binary.BigEndian.AppendUint64(nil, uint64(live)))
	if err := s.older.table.engine.Drop(lo, hi); err != nil {
		return fmt.Errorf("expire rows of store %q: %w", s.Info().Name, err)
	}
	s.dropped = live
	return nil
}

// Reset implements Store.
func (s *VersionedStore[K, V]) Reset() {
	s.newest.reset()
	s.older.reset()
	s.log.reset()
	s.restored = nil
}

// Restore implements Store: it puts the version again. Nothing is refused: what was is not in the changelog.
//
// A put reads what those before it have written, and they may be in a batch that is not applied. Their rows stay dirty until it is.
func (s *VersionedStore[K, V]) Restore(b Batch, key, value []byte, timestampMs int64) error {
	if timestampMs < 0 {
		return fmt.Errorf("restore store %q: time %d is before 1970", s.Info().Name, timestampMs)
	}
	if b != s.restored {
		s.settle()
		s.restored = b
	}
	var v V
	if value != nil {
		var err error
		if v, err = s.newest.value.Decode(value); err != nil {
			return s.newest.broken("decode changelog of", err)
		}
	}
	n, m := len(s.newest.saved), len(s.older.saved)
	if _, err := s.place(key, v, timestampMs, value == nil); err != nil {
		return err
	}
	w := Writer{batch: b}
	for _, x := range s.newest.saved[n:] {
		if err := s.newest.write(&w, x.row, nil); err != nil {
			return err
		}
	}
	for _, x := range s.older.saved[m:] {
		if err := s.older.write(&w, x.row, nil); err != nil {
			return err
		}
	}
	return nil
}

// settle ends a restore: its last batch has been applied.
func (s *VersionedStore[K, V]) settle() {
	if s.restored != nil {
		s.newest.committed()
		s.older.committed()
		s.restored = nil
	}
}

// Pending implements Store.
func (s *VersionedStore[K, V]) Pending() (rows int, bytes int64) {
	s.settle()
	return len(s.newest.dirty) + len(s.older.dirty), s.newest.dirtyBytes + s.older.dirtyBytes + int64(len(s.log.bytes))
}
