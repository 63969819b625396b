package state

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"github.com/weirstream/weir/serde"
)

// An overlay holds the rows of one store that differ from its engine, and a bounded number of clean ones: a write-back cache
// whose dirty part is what the current commit interval changed.
//
// # Rows
//
// A row is unknown (the engine was not asked), absent or present. A value is kept decoded if its type shares no memory with
// user code, else as bytes, decoded afresh by every read (see codec.decoded).
//
// # Generations
//
// Clean rows live in two maps. Lookups move a row from the older to the younger; when the younger exceeds half the
// budget, it becomes the older and what was left there is forgotten. Dirty rows are carried over. This is the second-chance
// rule without a list per row.
//
// Invariant: a dirty row is in one of the two maps, and in dirty exactly once.
type overlay[V any] struct {
	info    Info
	table   table
	value   serde.Serde[V]
	clone   func(V) V
	decoded bool
	logRows bool // changelog records carry the row's timestamp in their value
	journal *Journal

	young, old map[string]*row[V]
	youngBytes int64
	limitBytes int64

	dirty      []*row[V] // in first-write order
	dirtyBytes int64
	order      *sortedMap[*row[V]] // the dirty rows by key; nil until a range read needs it
	snapshots  []*snapshot[V]      // of reads on their way
	saved      []savedRow[V]
	touched    bool
	scratch    []byte
}

type rowState uint8

const (
	unknown rowState = iota
	absent
	present
)

type row[V any] struct {
	key    string
	value  V
	bytes  []byte
	weight int64 // of the value: the length of its encoding
	ts     int64
	state  rowState
	dirty  bool
	listed bool // is in overlay.dirty
}

type savedRow[V any] struct {
	row    *row[V]
	before row[V]
}

func newOverlay[K, V any](info Info, c codec[K, V], env *Env) *overlay[V] {
	return &overlay[V]{
		info: info, table: env.table, value: c.value, clone: c.clone, decoded: c.decoded(), journal: env.Journal,
		young: map[string]*row[V]{}, old: map[string]*row[V]{}, limitBytes: env.CacheBytes,
	}
}

// broken makes an EngineError and notes it for the task.
func (o *overlay[V]) broken(op string, err error) error {
	return o.journal.fail(&EngineError{Op: op, Store: o.info.Name, Err: err})
}

// find returns the row of key, read from the engine if need be; it is absent or present.
func (o *overlay[V]) find(key []byte) (*row[V], error) {
	r := o.row(key)
	if r.state != unknown {
		return r, nil
	}
	o.scratch = o.table.key(o.scratch[:0], key)
	n := len(o.scratch)
	b, ok, err := o.table.engine.Get(o.scratch, o.scratch[:n:n])
	if err != nil {
		return nil, o.broken("read", err)
	}
	o.scratch = b
	if !ok {
		r.state = absent
		return r, nil
	}
	v, ts, err := o.split(b[n:])
	if err != nil {
		return nil, err
	}
	r.ts = ts
	if o.decoded {
		if r.value, err = o.value.Decode(v); err != nil {
			return nil, o.broken("decode row of", err)
		}
	} else {
		r.bytes = append([]byte(nil), v...)
	}
	r.weight, r.state = int64(len(v)), present
	o.youngBytes += r.weight
	return r, nil
}

// row returns the row of key, which may be unknown.
func (o *overlay[V]) row(key []byte) *row[V] {
	if r := o.young[string(key)]; r != nil {
		return r
	}
	r := o.old[string(key)]
	if r == nil {
		r = &row[V]{key: string(key)}
	} else {
		delete(o.old, r.key)
	}
	// A turn carries the dirty rows over: it must not come more often than they are many.
	if o.youngBytes > max(o.limitBytes/2, o.dirtyBytes) {
		o.turn()
	}
	o.young[r.key] = r
	o.youngBytes += o.size(r)
	return r
}

// turn makes the younger generation the older.
func (o *overlay[V]) turn() {
	o.young, o.old = make(map[string]*row[V], len(o.dirty)), o.young
	o.youngBytes = 0
	for _, r := range o.dirty {
		delete(o.old, r.key)
		o.young[r.key] = r
	}
}

// size is the approximate memory of a row with its place in a map.
func (o *overlay[V]) size(r *row[V]) int64 {
	return int64(unsafe.Sizeof(*r)) + 32 + int64(len(r.key)) + r.weight
}

// weigh notes the length of a dirty row's value.
func (o *overlay[V]) weigh(r *row[V], n int64) {
	o.youngBytes += n - r.weight
	o.dirtyBytes += n - r.weight
	r.weight = n
}

// read returns the value of a present row, which the caller may change.
func (o *overlay[V]) read(r *row[V]) (V, error) {
	if !o.decoded {
		v, err := o.value.Decode(r.bytes)
		if err != nil {
			err = o.broken("decode row of", err)
		}
		return v, err
	}
	if o.clone != nil {
		return o.clone(r.value), nil
	}
	return r.value, nil
}

// put makes the row present.
func (o *overlay[V]) put(r *row[V], v V, ts int64) error {
	// A value that is kept decoded is encoded here too: if it cannot be, that is the failure of this record. At the commit there is none to blame.
	b, err := o.value.Append(o.scratch[:0], v)
	if err != nil {
		return fmt.Errorf("encode row of store %q: %w", o.info.Name, err)
	}
	o.scratch = b[:0]
	if o.decoded && o.clone != nil {
		v = o.clone(v)
	}
	o.save(r)
	if o.decoded {
		r.value, r.bytes = v, nil
	} else {
		r.bytes = slices.Clone(b)
	}
	r.ts, r.state = ts, present
	o.weigh(r, int64(len(b)))
	return nil
}

// remove makes the row absent.
func (o *overlay[V]) remove(r *row[V], ts int64) {
	o.save(r)
	var zero V
	r.value, r.bytes, r.ts, r.state = zero, nil, ts, absent
	o.weigh(r, 0)
}

// save notes the row for an undo and marks it dirty.
func (o *overlay[V]) save(r *row[V]) {
	o.freeze()
	if !o.touched {
		o.touched = true
		o.journal.touch(o)
	}
	o.saved = append(o.saved, savedRow[V]{r, *r})
	r.dirty = true
	if !r.listed {
		r.listed = true
		o.dirty = append(o.dirty, r)
		o.dirtyBytes += o.size(r)
		if o.order != nil {
			o.order.set(r.key, r)
		}
	}
}

func (o *overlay[V]) undo() {
	o.freeze()
	for i := len(o.saved) - 1; i >= 0; i-- {
		s := &o.saved[i]
		listed := s.row.listed
		o.weigh(s.row, s.before.weight)
		*s.row = s.before
		s.row.listed = listed
	}
	o.release()
}

func (o *overlay[V]) release() {
	clear(o.saved)
	o.saved, o.touched = o.saved[:0], false
}

// prepare writes the dirty rows. logKey turns an engine key into the changelog's, nil where they are the same; skip leaves out
// rows that have expired meanwhile. Deletes are always written: a restore may bring the row back, and clocks that are behind the changelog.
func (o *overlay[V]) prepare(w *Writer, logKey func(dst, key []byte) []byte, skip func(key string) bool) error {
	for _, r := range o.dirty {
		if !r.dirty || skip != nil && r.state == present && skip(r.key) {
			continue
		}
		if err := o.write(w, r, logKey); err != nil {
			return err
		}
	}
	return nil
}

func (o *overlay[V]) write(w *Writer, r *row[V], logKey func(dst, key []byte) []byte) (err error) {
	w.key = append(append(w.key[:0], o.table.prefix...), r.key...)
	var value []byte
	if r.state == present {
		w.row = binary.BigEndian.AppendUint64(w.row[:0], uint64(r.ts))
		if o.decoded {
			if w.row, err = o.value.Append(w.row, r.value); err != nil {
				return fmt.Errorf("encode row of store %q: %w", o.info.Name, err)
			}
		} else {
			w.row = append(w.row, r.bytes...)
		}
		if value = w.row[8:]; o.logRows {
			value = w.row
		}
		err = w.batch.Put(w.key, w.row)
	} else {
		err = w.batch.Delete(w.key)
	}
	if err != nil {
		return o.broken("write", err)
	}
	if w.Changelog == nil {
		return nil
	}
	key := w.key[len(o.table.prefix):]
	if logKey != nil {
		key = logKey(w.key[len(w.key):], key)
	}
	if value == nil && r.state == present {
		value = []byte{}
	}
	return w.Changelog(key, value, r.ts)
}

// committed makes the dirty rows clean.
func (o *overlay[V]) committed() {
	o.freeze()
	for _, r := range o.dirty {
		r.dirty, r.listed = false, false
	}
	clear(o.dirty)
	o.dirty, o.dirtyBytes, o.order = o.dirty[:0], 0, nil
	if o.limitBytes <= 0 {
		clear(o.young)
		clear(o.old)
		o.youngBytes = 0
	} else if o.youngBytes > o.limitBytes/2 {
		o.turn()
	}
}

// reset forgets all rows.
func (o *overlay[V]) reset() {
	o.freeze()
	clear(o.young)
	clear(o.old)
	clear(o.dirty)
	o.release()
	o.dirty, o.dirtyBytes, o.youngBytes, o.order = o.dirty[:0], 0, 0, nil
}

// split takes an engine's row apart: eight bytes of timestamp, then the value.
func (o *overlay[V]) split(b []byte) (value []byte, ts int64, err error) {
	if len(b) < 8 {
		return nil, 0, o.broken("read", fmt.Errorf("a row of %d bytes has no timestamp", len(b)))
	}
	return b[8:], int64(binary.BigEndian.Uint64(b)), nil
}

// restore writes one row of the changelog to b.
func (o *overlay[V]) restore(b Batch, key, value []byte, ts int64) error {
	o.scratch = o.table.key(o.scratch[:0], key)
	if value == nil {
		return b.Delete(o.scratch)
	}
	n := len(o.scratch)
	o.scratch = binary.BigEndian.AppendUint64(o.scratch, uint64(ts))
	o.scratch = append(o.scratch, value...)
	return b.Put(o.scratch[:n], o.scratch[n:])
}
