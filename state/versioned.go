package state

import (
	"fmt"
	"iter"
	"time"

	"github.com/weirstream/weir/serde"
)

// A VersionedStore is a task's instance of a store declared with Versioned.
//
// # Versions
//
// A version is valid from its own time until that of the next, which may come in any order. A delete is a version without a value. Putting a second
// version of the same time replaces the first.
//
// # History
//
// The store's clock is the largest time put so far. What is older than the clock less the history is refused, and reads as of such a time find the
// newest version or nothing.
type VersionedStore[K, V any] struct {
	newest *overlay[V]
	older  *overlay[past[V]]
	key    serde.Serde[K]
	time   func() time.Time
	clock  *Clock
	layout versionedLayout
	log    putLog[V]

	dropped  int64 // the first segment that may still have rows
	restored Batch // rows of a restore are in it, and still dirty
	keyBuf   []byte
	rowBuf   []byte
	broken   error
}

// A Version is a value with the time of its validity.
type Version[V any] struct {
	Value V
	// From is the version's own time, To that of the next version; it is the zero time if there is none.
	From, To time.Time
}

// A Placement tells where a put or a delete went among the versions of its key.
type Placement struct {
	// Refused tells that its time is before the history: nothing was changed.
	Refused bool
	// Newest tells that no later version is known.
	Newest bool
	// ValidTo is the time of the next version, the zero time if it is the newest.
	ValidTo time.Time
}

// Get returns the newest value of k; ok is false if there is none. The value is the caller's own.
func (s *VersionedStore[K, V]) Get(k K) (v V, ok bool, err error) {
	r, ok, err := s.GetRow(k)
	return r.Value, ok, err
}

// GetRow is Get with the version's time.
func (s *VersionedStore[K, V]) GetRow(k K) (out Row[V], ok bool, err error) {
	key, err := s.encode(k)
	if err != nil {
		return out, false, err
	}
	r, err := s.newest.find(key)
	if err != nil || r.state != present {
		return out, false, err
	}
	out.Timestamp = fromMs(r.ts)
	out.Value, err = s.newest.read(r)
	return out, err == nil, err
}

// GetAsOf returns the version of k that was valid at t; ok is false if there was none, or if t is before the history and the newest version is
// after it.
func (s *VersionedStore[K, V]) GetAsOf(k K, t time.Time) (out Version[V], ok bool, err error) {
	key, err := s.encode(k)
	if err != nil {
		return out, false, err
	}
	at := t.UnixMilli()
	r, err := s.newest.find(key)
	if err != nil {
		return out, false, err
	}
	if r.state == present && r.ts <= at {
		out.From = fromMs(r.ts)
		out.Value, err = s.newest.read(r)
		return out, err == nil, err
	}
	if at < s.horizon() {
		return out, false, nil
	}
	for x, err := range s.endedFrom(key, at+1) {
		if err != nil || x.from > at {
			return out, false, err
		}
		if x.from < x.to {
			out, err = s.version(x)
			return out, err == nil, err
		}
	}
	return out, false, nil
}

// History yields the versions of k that were valid at some time from from to to, both included, by time, as of the beginning of the loop: deletes are gaps. Of
// the time before the history there is the newest version, if it is as old. An error ends it.
func (s *VersionedStore[K, V]) History(k K, from, to time.Time) iter.Seq2[Version[V], error] {
	return func(yield func(Version[V], error) bool) {
		versions, err := s.versions(k, from.UnixMilli(), to.UnixMilli())
		for _, v := range versions {
			if !yield(v, nil) {
				return
			}
		}
		if err != nil {
			yield(Version[V]{}, err)
		}
	}
}

func (s *VersionedStore[K, V]) versions(k K, from, to int64) (all []Version[V], err error) {
	key, err := s.encode(k)
	if err != nil {
		return nil, err
	}
	for x, err := range s.endedFrom(key, max(from, s.horizon())+1) {
		if err != nil {
			return nil, err
		}
		if x.from > to {
			break
		}
		if x.from == x.to {
			continue // a delete
		}
		v, err := s.version(x)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	r, err := s.newest.find(key)
	if err != nil || r.state != present || r.ts > to || from > to {
		return all, err
	}
	v, err := s.newest.read(r)
	if err != nil {
		return nil, err
	}
	return append(all, Version[V]{Value: v, From: fromMs(r.ts)}), nil
}

// All yields the newest version of every key that has one, in key order, as of the beginning of the loop. An error ends it.
func (s *VersionedStore[K, V]) All() iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		if s.broken != nil {
			yield(Entry[K, V]{}, s.broken)
			return
		}
		for r, err := range s.newest.scan(nil, nil, false) {
			var e Entry[K, V]
			if err == nil {
				e, err = s.entry(r)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (s *VersionedStore[K, V]) entry(r scanned[V]) (e Entry[K, V], err error) {
	if e.Key, err = s.key.Decode(r.key); err != nil {
		return e, fmt.Errorf("decode key of store %q: %w", s.Info().Name, err)
	}
	v, ts, err := s.newest.open(r)
	e.Value, e.Timestamp = v, fromMs(ts)
	return e, err
}

// Put adds the version of k whose time is at.
func (s *VersionedStore[K, V]) Put(k K, v V, at time.Time) (Placement, error) {
	return s.write(k, v, at, false)
}

// Delete ends the version of k that is valid at that time, if there is one: from at until the time of the next version, there is none.
func (s *VersionedStore[K, V]) Delete(k K, at time.Time) (Placement, error) {
	var none V
	return s.write(k, none, at, true)
}

func (s *VersionedStore[K, V]) write(k K, v V, t time.Time, gone bool) (p Placement, err error) {
	key, err := s.encode(k)
	if err != nil {
		return p, err
	}
	at := t.UnixMilli()
	switch {
	case at < 0:
		return p, fmt.Errorf("write store %q: time %v is before 1970", s.Info().Name, t.UTC())
	case at < s.horizon():
		return Placement{Refused: true}, nil
	}
	s.settle()
	// It fails where the value cannot be encoded, before anything is changed.
	if err := s.log.add(key, v, at, gone); err != nil {
		return p, err
	}
	next, err := s.place(key, v, at, gone)
	if err != nil {
		return p, err
	}
	if next == NoTime {
		return Placement{Newest: true}, nil
	}
	return Placement{ValidTo: fromMs(next)}, s.logNewest(key)
}

// logNewest repeats the newest version of a key in the changelog, behind one that came late: compaction keeps the last record, which must be the
// newest.
func (s *VersionedStore[K, V]) logNewest(key []byte) error {
	if s.log.off {
		return nil
	}
	var v V
	r, err := s.newest.find(key)
	if err != nil {
		return err
	}
	if r.state == present {
		if v, err = s.newest.read(r); err != nil {
			return err
		}
		return s.log.add(key, v, r.ts, false)
	}
	last := s.horizon()
	for x, err := range s.endedFrom(key, last) {
		if err != nil {
			return err
		}
		last = x.to
	}
	return s.log.add(key, v, last, true)
}

// horizon is the earliest time that reads and writes reach.
func (s *VersionedStore[K, V]) horizon() int64 {
	if s.broken != nil || s.clock.Now() == NoTime {
		return 0
	}
	return max(s.clock.Now()-s.newest.info.Retention.Milliseconds(), 0)
}

// Clock returns the largest time put so far; ok is false if none was.
func (s *VersionedStore[K, V]) Clock() (t time.Time, ok bool) {
	if s.broken != nil || s.clock.Now() == NoTime {
		return time.Time{}, false
	}
	return fromMs(s.clock.Now()), true
}

// encode returns the bytes of k, valid until the next call.
func (s *VersionedStore[K, V]) encode(k K) (b []byte, err error) {
	if s.broken != nil {
		return nil, s.broken
	}
	if s.keyBuf, err = s.key.Append(s.keyBuf[:0], k); err != nil {
		return nil, fmt.Errorf("encode key of store %q: %w", s.Info().Name, err)
	}
	return s.keyBuf, nil
}
