package state

import (
	"bytes"
	"fmt"
	"sync"
)

// NewMemory returns an empty engine that keeps everything in memory and loses it with Close. Flush does nothing.
//
// An iterator holds its whole range from the start: a walk costs memory for the rows of the range, not of the engine.
// Iterators stay valid after Close.
func NewMemory() Engine { return &memoryEngine{} }

type memoryEngine struct {
	mu sync.RWMutex
	// Invariant: a stored value never changes, a write puts another slice in its place. Iterators share them.
	rows   sortedMap[[]byte]
	closed bool
}

func (e *memoryEngine) Get(dst, key []byte) (value []byte, ok bool, err error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return dst, false, ErrClosed
	}
	v, ok := e.rows.get(string(key))
	return append(dst, v...), ok, nil
}

func (e *memoryEngine) Iterate(lo, hi []byte, reverse bool) (Iterator, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, ErrClosed
	}
	it := &memoryIterator{at: -1}
	walk := e.rows.ascend
	if reverse {
		walk = e.rows.descend
	}
	walk(string(lo), string(hi), hi != nil, func(key string, value []byte) bool {
		it.rows = append(it.rows, memoryRow{key, value})
		return true
	})
	return it, nil
}

func (e *memoryEngine) NewBatch() Batch { return &memoryBatch{} }

func (e *memoryEngine) Apply(b Batch) error {
	mb, ok := b.(*memoryBatch)
	if !ok {
		return fmt.Errorf("apply batch: %T is not a batch of this engine", b)
	}
	if mb.done {
		return errBatchDone
	}
	writes := mb.writes
	_ = mb.Discard()

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	for _, w := range writes {
		switch w.kind {
		case memoryPut:
			e.rows.set(w.key, w.value)
		case memoryDelete:
			e.rows.delete(w.key)
		case memoryDeleteRange:
			e.rows.deleteRange(w.key, string(w.value), w.value != nil)
		}
	}
	return nil
}

func (e *memoryEngine) Drop(lo, hi []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.rows.deleteRange(string(lo), string(hi), hi != nil)
	return nil
}

func (e *memoryEngine) Flush() error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return ErrClosed
	}
	return nil
}

func (e *memoryEngine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rows, e.closed = sortedMap[[]byte]{}, true
	return nil
}

const (
	memoryPut byte = iota
	memoryDelete
	memoryDeleteRange
)

// A memoryWrite is one write of a batch. The value of a memoryDeleteRange is its upper bound, nil for the end.
type memoryWrite struct {
	kind  byte
	key   string
	value []byte
}

type memoryBatch struct {
	writes []memoryWrite
	size   int
	done   bool
}

func (b *memoryBatch) Put(key, value []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("put into batch: %w", errEmptyKey)
	}
	// Not bytes.Clone: the value of nil is as empty as any, and a stored one.
	return b.add(memoryWrite{memoryPut, string(key), append([]byte{}, value...)})
}

func (b *memoryBatch) Delete(key []byte) error {
	return b.add(memoryWrite{kind: memoryDelete, key: string(key)})
}

func (b *memoryBatch) DeleteRange(lo, hi []byte) error {
	return b.add(memoryWrite{memoryDeleteRange, string(lo), bytes.Clone(hi)})
}

func (b *memoryBatch) add(w memoryWrite) error {
	if b.done {
		return errBatchDone
	}
	b.writes = append(b.writes, w)
	b.size += 1 + len(w.key) + len(w.value)
	return nil
}

func (b *memoryBatch) Size() int { return b.size }

func (b *memoryBatch) Discard() error {
	*b = memoryBatch{done: true}
	return nil
}

type memoryRow struct {
	key   string
	value []byte
}

type memoryIterator struct {
	rows []memoryRow
	at   int
	key  []byte
}

func (it *memoryIterator) Next() bool {
	if it.at+1 >= len(it.rows) {
		it.at = len(it.rows)
		return false
	}
	it.at++
	it.key = append(it.key[:0], it.rows[it.at].key...)
	return true
}

func (it *memoryIterator) Key() []byte { return it.key }

func (it *memoryIterator) Value() []byte {
	v := it.rows[it.at].value
	return v[:len(v):len(v)]
}

func (it *memoryIterator) Err() error { return nil }

func (it *memoryIterator) Close() error {
	it.rows, it.at = nil, 0
	return nil
}
