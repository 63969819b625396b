package state

import "slices"

// A memoryIterator reads an engine that others may write meanwhile: the engine's lock guards all but key. The zero value is at its end.
type memoryIterator struct {
	engine  *memoryEngine // nil once closed
	lo, hi  string        // what is not copied yet
	hasHi   bool
	reverse bool
	whole   bool // all is copied
	rows    []memoryRow
	at      int
	key     []byte
}

type memoryRow struct {
	key   string
	value []byte
}

// memoryRows is how many rows are copied at once.
const memoryRows = 64

func (it *memoryIterator) Next() bool {
	if it.engine == nil {
		return false
	}
	it.engine.mu.Lock()
	defer it.engine.mu.Unlock()
	if it.at+1 >= len(it.rows) && !it.whole {
		it.rows, it.at = nil, -1
		it.copy(memoryRows)
	}
	if it.at+1 >= len(it.rows) {
		it.at = len(it.rows)
		return false
	}
	it.at++
	it.key = append(it.key[:0], it.rows[it.at].key...)
	return true
}

// copy copies so many more rows, all for 0.
func (it *memoryIterator) copy(most int) {
	if it.whole {
		return
	}
	walk, n := it.engine.rows.ascend, 0
	if it.reverse {
		walk = it.engine.rows.descend
	}
	it.whole = true
	walk(it.lo, it.hi, it.hasHi, func(key string, value []byte) bool {
		it.rows = append(it.rows, memoryRow{key, value})
		if n++; n != most {
			return true
		}
		if it.whole = false; it.reverse {
			it.hi, it.hasHi = key, true
		} else {
			it.lo = key + "\x00" // the smallest key above
		}
		return false
	})
}

func (it *memoryIterator) Key() []byte { return it.key }

func (it *memoryIterator) Value() []byte {
	it.engine.mu.RLock()
	defer it.engine.mu.RUnlock()
	v := it.rows[it.at].value
	return v[:len(v):len(v)]
}

func (it *memoryIterator) Err() error { return nil }

func (it *memoryIterator) Close() error {
	if it.engine == nil {
		return nil
	}
	it.engine.mu.Lock()
	defer it.engine.mu.Unlock()
	if i := slices.Index(it.engine.open, it); i >= 0 {
		it.engine.open = slices.Delete(it.engine.open, i, i+1)
	}
	it.engine, it.rows, it.at = nil, nil, 0
	return nil
}
