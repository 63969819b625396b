package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"time"

	"github.com/weirstream/weir/serde"
)

// A BufferSpec describes a store of rows that wait to be sent on, one per key, oldest first. Make one with Buffer; the methods return changed copies.
type BufferSpec[K, V any] struct {
	settings
	codec      codec[K, V]
	size       func(V) int64
	maxRecords int64
	maxBytes   int64
}

// Buffer describes the buffer of that durable name. It has no bounds; its rows are kept on disk and logged to the topic
// <application>-<name>-changelog.
func Buffer[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) BufferSpec[K, V] {
	return BufferSpec[K, V]{
		settings: settings{name: name}, codec: codec[K, V]{key: key, value: value},
		maxRecords: math.MaxInt64, maxBytes: math.MaxInt64,
	}
}

// InMemory keeps the committed rows on the heap: faster, bounded by memory, restored from the changelog at every start.
func (s BufferSpec[K, V]) InMemory() BufferSpec[K, V] { s.inMemory = true; return s }

// WithoutChangelog stops logging the store: what it holds is lost with the machine, or at every restart if it is in memory.
func (s BufferSpec[K, V]) WithoutChangelog() BufferSpec[K, V] { s.unlogged = true; return s }

// MaxRecords bounds the number of rows, per task. What happens to one too many is the user's of the buffer to say; the store itself takes it.
func (s BufferSpec[K, V]) MaxRecords(n int64) BufferSpec[K, V] { s.maxRecords = n; return s }

// MaxBytes bounds the sum of the rows' sizes, per task, as BufferStore.Bytes counts it: see MaxRecords.
func (s BufferSpec[K, V]) MaxBytes(n int64) BufferSpec[K, V] { s.maxBytes = n; return s }

// Bounds returns what MaxRecords and MaxBytes set; math.MaxInt64 where they did not.
func (s BufferSpec[K, V]) Bounds() (records, bytes int64) { return s.maxRecords, s.maxBytes }

// Rows describes the same store with rows of another form: an operator keeps more of a record than its value. size, if it is not nil, is what a value
// counts for in BufferStore.Bytes, instead of the length of its encoding.
func (s BufferSpec[K, V]) Rows[K2, V2 any](key serde.Serde[K2], value serde.Serde[V2], size func(V2) int64) BufferSpec[K2, V2] {
	return BufferSpec[K2, V2]{s.settings, codec[K2, V2]{key: key, value: value}, size, s.maxRecords, s.maxBytes}
}

// Info implements Spec.
func (s BufferSpec[K, V]) Info() Info {
	return s.info(KindBuffer, reflect.TypeFor[K](), reflect.TypeFor[V]())
}

// Serdes returns the serdes of the store's keys and values.
func (s BufferSpec[K, V]) Serdes() (serde.Serde[K], serde.Serde[V]) {
	return s.codec.key, s.codec.value
}

// Open returns the task's instance of the store, in a processor's set-up. An undeclared store fails the set-up.
func (s BufferSpec[K, V]) Open(o Opener) *BufferStore[K, V] {
	st, err := o.OpenStore(s)
	if b, ok := st.(*BufferStore[K, V]); err == nil && ok {
		return b
	}
	return &BufferStore[K, V]{broken: fmt.Errorf("store %q is not open: %w", s.name, notOpen(st, err))}
}

func (s BufferSpec[K, V]) build(env *Env) (Store, error) {
	c, err := s.codec.bind(s.name)
	if err != nil {
		return nil, err
	}
	own := *env
	own.table = env.table.part(bufferRows)
	rows := newOverlay(s.Info(), c, &own)
	rows.logRows = true
	return &BufferStore[K, V]{
		rows: rows, order: newIndex(s.Info(), env, bufferOrder), key: c.key, size: s.size, tally: tally{journal: env.Journal},
	}, nil
}

// The parts of a buffer's table.
const (
	bufferRows byte = iota
	bufferOrder
)

// A BufferStore is a task's instance of a store declared with Buffer: one row per key, in the order of the rows' times, then of their keys' unsigned
// bytes. A key that is put again keeps its place and its time.
//
// # Layout
//
// The rows lie by key, with their time in front, which is also the form of the changelog; an index has the keys behind their times, numbers of eight
// bytes, big-endian. The number of the rows and their size are nowhere but in memory, and are counted anew from the rows after a start: sums kept
// beside the rows would be wrong for good once a changelog has records that the sums do not know of, as it may with at-least-once processing.
type BufferStore[K, V any] struct {
	rows   *overlay[V]
	order  *index
	key    serde.Serde[K]
	size   func(V) int64
	tally  tally
	keyBuf []byte
	idxBuf []byte
	broken error

	// restored are the times of the rows that the batch of a restore puts: it cannot be read yet. Nil are rows that it deletes.
	restored map[string]*int64
	batch    Batch
}

// A Buffered is a row in a BufferStore. At is its place: the time that the key was put with first.
type Buffered[K, V any] struct {
	At    time.Time
	Key   K
	Value V
}

// First returns the oldest row; ok is false if there is none.
func (s *BufferStore[K, V]) First() (e Buffered[K, V], ok bool, err error) {
	return s.FirstUntil(time.UnixMilli(math.MaxInt64))
}

// FirstUntil is First, if that row's time is not after at. Where it is after, or there is none, the answer costs next to nothing.
func (s *BufferStore[K, V]) FirstUntil(at time.Time) (e Buffered[K, V], ok bool, err error) {
	if s.broken != nil {
		return e, false, s.broken
	}
	if f := s.tally.now.floor; len(f) > 0 && (f == noRows || bufferTime(f) > at.UnixMilli()) {
		return e, false, nil
	}
	id, ok, err := s.order.rows.first([]byte(s.tally.now.floor))
	if err != nil {
		return e, false, err
	}
	if !ok {
		s.tally.touch().floor = noRows
		return e, false, nil
	}
	if s.tally.now.floor != string(id) {
		s.tally.touch().floor = string(id)
	}
	if bufferTime(string(id)) > at.UnixMilli() {
		return e, false, nil
	}
	return s.entry(id)
}

// entry reads the row of a key of the index.
func (s *BufferStore[K, V]) entry(id []byte) (e Buffered[K, V], ok bool, err error) {
	if len(id) < 8 {
		return e, false, s.rows.broken("read", fmt.Errorf("a key of %d bytes is too short: the state is damaged", len(id)))
	}
	r, err := s.rows.find(id[8:])
	if err != nil {
		return e, false, err
	}
	if r.state != present || r.ts != bufferTime(string(id)) {
		return e, false, s.rows.broken("read", errors.New("the order of the rows names one that is not there: the state is damaged"))
	}
	if e.Key, err = s.key.Decode(id[8:]); err != nil {
		return e, false, fmt.Errorf("decode key of store %q: %w", s.rows.info.Name, err)
	}
	e.At = fromMs(r.ts)
	e.Value, err = s.rows.read(r)
	return e, err == nil, err
}

// Get returns the value of k; ok is false if there is none. The value is the caller's own.
func (s *BufferStore[K, V]) Get(k K) (v V, ok bool, err error) {
	b, err := s.encode(k)
	if err != nil {
		return v, false, err
	}
	r, err := s.rows.find(b)
	if err != nil || r.state != present {
		return v, false, err
	}
	v, err = s.rows.read(r)
	return v, err == nil, err
}

// Put sets the value of k: at the place of that time or, if k has a row already, at that row's.
func (s *BufferStore[K, V]) Put(k K, at time.Time, v V) error {
	ms := at.UnixMilli()
	if s.broken == nil && ms < 0 {
		return fmt.Errorf("write store %q: time %v is before 1970", s.rows.info.Name, at.UTC())
	}
	b, err := s.encode(k)
	if err != nil {
		return err
	}
	r, err := s.rows.find(b)
	if err != nil {
		return err
	}
	known, bytes := r.state == present, int64(0)
	if known {
		ms = r.ts
		if bytes, err = s.sizeOf(r); err != nil {
			return err
		}
	}
	if err := s.rows.put(r, v, ms); err != nil {
		return err
	}
	t := s.tally.touch()
	if t.counted {
		t.bytes -= bytes
		if bytes, err = s.sizeOf(r); err != nil {
			return err
		}
		t.bytes += bytes
	}
	if known {
		return nil
	}
	t.records++
	id := s.id(ms, b)
	if len(t.floor) > 0 && string(id) < t.floor {
		t.floor = string(id)
	}
	return s.order.put(id)
}

// Remove takes the row of k out, if there is one.
func (s *BufferStore[K, V]) Remove(k K) error {
	b, err := s.encode(k)
	if err != nil {
		return err
	}
	r, err := s.rows.find(b)
	if err != nil || r.state != present {
		return err
	}
	t := s.tally.touch()
	if t.counted {
		bytes, err := s.sizeOf(r)
		if err != nil {
			return err
		}
		t.bytes -= bytes
	}
	t.records--
	id := s.id(r.ts, b)
	if t.floor == string(id) {
		t.floor += "\x00" // the smallest key above
	}
	s.order.remove(id)
	s.rows.remove(r, r.ts)
	return nil
}

// Len is the number of rows. The first call after a start counts them.
func (s *BufferStore[K, V]) Len() (int64, error) {
	err := s.count()
	return s.tally.now.records, err
}

// Bytes is the size of all rows: eight bytes of time, the key, and the value. The first call after a start counts them.
func (s *BufferStore[K, V]) Bytes() (int64, error) {
	err := s.count()
	return s.tally.now.bytes, err
}

func (s *BufferStore[K, V]) count() error {
	if s.broken != nil || s.tally.now.counted {
		return s.broken
	}
	var records, bytes int64
	for sc, err := range s.rows.scan(nil, nil, false) {
		if err != nil {
			return err
		}
		n := 8 + int64(len(sc.key))
		if s.size != nil {
			v, _, err := s.rows.open(sc)
			if err != nil {
				return err
			}
			n += s.size(v)
		} else if sc.row != nil {
			n += sc.row.weight
		} else {
			n += int64(len(sc.raw)) - 8
		}
		records, bytes = records+1, bytes+n
	}
	t := s.tally.touch()
	t.counted, t.records, t.bytes = true, records, bytes
	return nil
}

// sizeOf is what a present row counts for.
func (s *BufferStore[K, V]) sizeOf(r *row[V]) (int64, error) {
	n := 8 + int64(len(r.key))
	if s.size == nil {
		return n + r.weight, nil
	}
	v, err := s.rows.read(r)
	if err != nil {
		return 0, err
	}
	return n + s.size(v), nil
}

// All yields the rows in their order. Puts and removals inside the loop are legal: a row that is gone when the loop would come to it is left out, and one
// that is put for the first time is not seen. An error ends the loop.
func (s *BufferStore[K, V]) All() iter.Seq2[Buffered[K, V], error] {
	return s.Until(time.UnixMilli(math.MaxInt64))
}

// Until is All for the rows with times that are not after at. Where there are none, the loop costs next to nothing.
func (s *BufferStore[K, V]) Until(at time.Time) iter.Seq2[Buffered[K, V], error] {
	return func(yield func(Buffered[K, V], error) bool) {
		if _, ok, err := s.FirstUntil(at); err != nil || !ok {
			if err != nil {
				yield(Buffered[K, V]{}, err)
			}
			return
		}
		hi := []byte(noRows)
		if ms := at.UnixMilli(); ms < math.MaxInt64 {
			hi = binary.BigEndian.AppendUint64(nil, uint64(ms+1))
		}
		for id, err := range s.order.scan([]byte(s.tally.now.floor), hi, false) {
			if err != nil {
				yield(Buffered[K, V]{}, err)
				return
			}
			if r := s.order.rows.row(id); r.state == absent {
				continue
			}
			e, _, err := s.entry(id)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (s *BufferStore[K, V]) encode(k K) (b []byte, err error) {
	if s.broken != nil {
		return nil, s.broken
	}
	if s.keyBuf, err = s.key.Append(s.keyBuf[:0], k); err != nil {
		return nil, fmt.Errorf("encode key of store %q: %w", s.rows.info.Name, err)
	}
	return s.keyBuf, nil
}

// id is the key of the index, valid until the next call.
func (s *BufferStore[K, V]) id(ms int64, key []byte) []byte {
	s.idxBuf = append(binary.BigEndian.AppendUint64(s.idxBuf[:0], uint64(ms)), key...)
	return s.idxBuf
}

// bufferTime is the time in a key of the index.
func bufferTime(id string) int64 {
	var ms uint64
	for i := range 8 {
		ms = ms<<8 | uint64(id[i])
	}
	return int64(ms)
}

// Info implements Store.
func (s *BufferStore[K, V]) Info() Info { return s.rows.info }

// Prepare implements Store.
func (s *BufferStore[K, V]) Prepare(w *Writer) error {
	if err := s.rows.prepare(w, nil, nil); err != nil {
		return err
	}
	return s.order.prepare(w, nil)
}

// Committed implements Store.
func (s *BufferStore[K, V]) Committed() error {
	s.rows.committed()
	s.order.rows.committed()
	return nil
}

// Reset implements Store.
func (s *BufferStore[K, V]) Reset() {
	s.rows.reset()
	s.order.rows.reset()
	s.tally.reset()
	s.restored, s.batch = nil, nil
}

// Restore implements Store. The changelog's value is the row, with its time in front: the record's own is the broker's, since a row's time may be in the
// future, which brokers refuse.
func (s *BufferStore[K, V]) Restore(b Batch, key, value []byte, _ int64) error {
	if b != s.batch { // the one before is applied
		s.batch, s.restored = b, map[string]*int64{}
	}
	s.tally.reset()
	was, err := s.restoredAt(key)
	if err != nil {
		return err
	}
	if was != nil {
		if err := s.order.restore(b, s.id(*was, key), false); err != nil {
			return err
		}
	}
	if value == nil {
		s.restored[string(key)] = nil
		return s.rows.restore(b, key, nil, 0)
	}
	v, ms, err := s.rows.split(value)
	if err != nil {
		return err
	}
	s.restored[string(key)] = &ms
	if err := s.order.restore(b, s.id(ms, key), true); err != nil {
		return err
	}
	return s.rows.restore(b, key, v, ms)
}

// restoredAt is the time of a row in a restore, nil if there is none.
func (s *BufferStore[K, V]) restoredAt(key []byte) (*int64, error) {
	if ms, ok := s.restored[string(key)]; ok {
		return ms, nil
	}
	row, ok, err := s.rows.table.engine.Get(nil, s.rows.table.key(nil, key))
	if err != nil || !ok {
		return nil, err
	}
	_, ms, err := s.rows.split(row)
	return &ms, err
}

// Pending implements Store.
func (s *BufferStore[K, V]) Pending() (rows int, bytes int64) {
	return len(s.rows.dirty), s.rows.dirtyBytes + s.order.rows.dirtyBytes
}

// A tally is what a buffer knows of its rows without reading them. It is undone with the rows.
type tally struct {
	now, before totals
	touched     bool
	journal     *Journal
}

type totals struct {
	// counted tells that records and bytes are right.
	counted        bool
	records, bytes int64
	// floor is a bound: no key of the index is below it. It is empty where nothing is known.
	floor string
}

// noRows is a floor above all keys: times are not negative.
const noRows = "\xff"

// touch returns the totals, to be changed.
func (t *tally) touch() *totals {
	if !t.touched {
		t.touched, t.before = true, t.now
		t.journal.touch(t)
	}
	return &t.now
}

func (t *tally) undo() {
	if t.touched {
		t.now = t.before
	}
	t.touched = false
}

func (t *tally) release() { t.touched = false }

// reset forgets all.
func (t *tally) reset() { t.now, t.touched = totals{}, false }
