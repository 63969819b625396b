package state

import (
	"errors"
	"iter"
)

// A scanned row is one row of a range read: the store's key, without its prefix, and either the overlay's row as it was when
// the read began or the engine's bytes. It is valid for one step of the iteration.
type scanned[V any] struct {
	key []byte
	row *row[V]
	raw []byte
}

// scan yields the rows whose key lies in [lo, hi), in the order of their bytes: the overlay's dirty rows merged over
// the engine's. A nil hi means to the end. The rows are those of the moment the iteration starts: writes inside the loop are legal and
// not seen.
func (o *overlay[V]) scan(lo, hi []byte, reverse bool) iter.Seq2[scanned[V], error] {
	return func(yield func(scanned[V], error) bool) {
		dirty := o.snapshot(lo, hi, reverse)
		defer dirty.close()
		end := o.table.key(nil, hi)
		if hi == nil {
			end = successor(o.table.prefix)
		}
		it, err := o.table.engine.Iterate(o.table.key(nil, lo), end, reverse)
		if err != nil {
			yield(scanned[V]{}, o.broken("scan", err))
			return
		}
		// The loop may end with a panic.
		open := true
		defer func() {
			if open {
				_ = it.Close()
			}
		}()
		err = o.merge(dirty, it, reverse, yield)
		open = false
		if closeErr := it.Close(); err == nil && closeErr != nil {
			err = closeErr
		}
		if err != nil && err != errStopped {
			yield(scanned[V]{}, o.broken("scan", err))
		}
	}
}

var errStopped = errors.New("the loop has ended")

func (o *overlay[V]) merge(dirty *snapshot[V], it Iterator, reverse bool, yield func(scanned[V], error) bool) error {
	n := len(o.table.prefix)
	more := it.Next()
	for d := dirty.front(); more || d != nil; d = dirty.front() {
		c := 0
		switch {
		case !more:
			c = -1
		case d == nil:
			c = 1
		default:
			c = compare(d.key, it.Key()[n:])
			if reverse {
				c = -c
			}
		}
		if c <= 0 {
			dirty.pop()
			if c == 0 {
				more = it.Next()
			}
			if d.state == present && !yield(scanned[V]{key: []byte(d.key), row: d}, nil) {
				return errStopped
			}
			continue
		}
		if !yield(scanned[V]{key: it.Key()[n:], raw: it.Value()}, nil) {
			return errStopped
		}
		more = it.Next()
	}
	return it.Err()
}

func compare(a string, b []byte) int {
	switch {
	case a < string(b):
		return -1
	case a > string(b):
		return 1
	}
	return 0
}

// open returns the value and timestamp of a scanned row.
func (o *overlay[V]) open(s scanned[V]) (v V, ts int64, err error) {
	if s.row != nil {
		v, err = o.read(s.row)
		return v, s.row.ts, err
	}
	b, ts, err := o.split(s.raw)
	if err != nil {
		return v, 0, err
	}
	if v, err = o.value.Decode(b); err != nil {
		return v, 0, o.broken("decode row of", err)
	}
	return v, ts, nil
}

// successor is the smallest key above all that start with prefix; nil if there is none.
func successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			next := append([]byte(nil), prefix[:i+1]...)
			next[i]++
			return next
		}
	}
	return nil
}
