package state

import (
	"bytes"
	"fmt"
	"sync"
)

// NewMemory returns an empty engine that keeps everything in memory and loses it with Close. Flush does nothing.
//
// An iterator copies the rows of its range as it comes to them, and all that are left before a write. Iterators stay valid after Close.
func NewMemory() Engine { return &memoryEngine{} }

type memoryEngine struct {
	mu sync.RWMutex
	// Invariant: a stored value never changes, a write puts another slice in its place. Iterators share them.
	rows   sortedMap[[]byte]
	open   []*memoryIterator // those that have not copied all their rows
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
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	it := &memoryIterator{engine: e, lo: string(lo), hi: string(hi), hasHi: hi != nil, reverse: reverse, at: -1}
	e.open = append(e.open, it)
	return it, nil
}

// freeze must come before a write.
func (e *memoryEngine) freeze() {
	for _, it := range e.open {
		it.copy(0)
	}
	clear(e.open)
	e.open = e.open[:0]
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
	e.freeze()
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
	e.freeze()
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
	e.freeze()
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
