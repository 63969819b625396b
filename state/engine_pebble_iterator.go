package state

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

func (e *pebbleEngine) Iterate(lo, hi []byte, reverse bool) (it Iterator, err error) {
	if err := e.enter("iterate"); err != nil {
		return nil, err
	}
	defer e.leave("iterate", &err)
	if lo = notEmpty(lo); hi != nil && bytes.Compare(lo, hi) >= 0 {
		return &memoryIterator{}, nil // Pebble does not say what it does with crossed bounds
	}
	rows, err := e.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return nil, err
	}
	e.iterators.Add(1)
	return &pebbleIterator{engine: e, rows: rows, reverse: reverse}, nil
}

// A pebbleIterator needs no lock of the engine: Close of the engine waits for it.
type pebbleIterator struct {
	engine  *pebbleEngine
	rows    *pebble.Iterator // nil once closed
	reverse bool
	started bool
	value   []byte
	err     error
}

func (it *pebbleIterator) Next() (ok bool) {
	if it.rows == nil || it.err != nil {
		return false
	}
	it.err = it.engine.recovered(func() (err error) {
		if ok = it.step(); ok {
			it.value, err = it.rows.ValueAndErr()
			return err
		}
		return it.rows.Error()
	})
	if it.err == nil && !ok {
		it.err = it.engine.fault.failure()
	}
	if it.err != nil {
		it.err = pebbleError(it.engine.dir, "iterate", it.err)
	}
	return ok && it.err == nil
}

func (it *pebbleIterator) step() bool {
	if it.started {
		if it.reverse {
			return it.rows.Prev()
		}
		return it.rows.Next()
	}
	it.started = true
	if it.reverse {
		return it.rows.Last()
	}
	return it.rows.First()
}

func (it *pebbleIterator) Key() []byte   { return it.rows.Key() }
func (it *pebbleIterator) Value() []byte { return it.value }
func (it *pebbleIterator) Err() error    { return it.err }

func (it *pebbleIterator) Close() error {
	if it.rows == nil {
		return nil
	}
	rows := it.rows
	it.rows, it.value = nil, nil
	defer it.engine.iterators.Add(-1)
	if err := it.engine.recovered(rows.Close); err != nil && it.err == nil {
		return pebbleError(it.engine.dir, "close iterator", err)
	}
	return nil
}
