package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/weirstream/weir/serde"
)

// A Committed is the committed rows of one store, for readers beside the goroutine that writes it: what the writer has not committed is not
// there. It is safe for concurrent use; what is opened on it is for one goroutine.
type Committed struct {
	info    Info
	table   table
	journal *Journal
}

// Committed returns the committed rows of a store. They can be read until the DB is closed.
func (db *DB) Committed(info Info) (Committed, error) {
	n, err := db.number(info.DurableName())
	if err != nil {
		return Committed{}, err
	}
	return Committed{info: info, table: table{engine: db.engine(info.InMemory), prefix: binary.BigEndian.AppendUint16(nil, n)}}, nil
}

// Info describes the store.
func (c Committed) Info() Info { return c.info }

// For returns the same rows for a task with that journal: an engine that fails is noted there, whatever user code makes of the error.
func (c Committed) For(j *Journal) Committed { c.journal = j; return c }

// A Viewer hands out the committed rows of global stores by descriptor: a processor's node is one.
type Viewer interface {
	// ViewStore returns the committed rows of a global store. An undeclared store is an error.
	ViewStore(spec Spec) (Committed, error)
}

// View returns the rows of a global store to a processor, in its set-up: only to be read, as the instance has applied them so far. A store that is not
// declared fails the set-up.
func (s KeyValueSpec[K, V]) View(v Viewer) *KeyValueView[K, V] {
	c, err := v.ViewStore(s)
	if err == nil {
		var view *KeyValueView[K, V]
		if view, err = s.ViewOf(c); err == nil {
			return view
		}
	}
	return &KeyValueView[K, V]{broken: fmt.Errorf("global store %q is not open: %w", s.name, err)}
}

// ViewOf is View for who has the rows at hand.
func (s KeyValueSpec[K, V]) ViewOf(c Committed) (*KeyValueView[K, V], error) {
	if i, o := s.Info(), c.info; i.Kind != o.Kind || i.KeyType != o.KeyType || i.ValueType != o.ValueType {
		return nil, fmt.Errorf("store %q is viewed as %s of %s and %s, and is %s of %s and %s",
			i.Name, i.Kind, i.KeyType, i.ValueType, o.Kind, o.KeyType, o.ValueType)
	}
	codec, err := s.codec.bind(s.name)
	if err != nil {
		return nil, err
	}
	return &KeyValueView[K, V]{rows: c, key: codec.key, value: codec.value}, nil
}

// A KeyValueView reads the committed rows of a key-value store that something else writes. Each read sees a state that the store was in between two
// commits of its writer; the next read may see a later one.
//
// Keys are compared as the unsigned bytes of their encoding, which is also the order of range reads. A view is for one goroutine.
type KeyValueView[K, V any] struct {
	rows   Committed
	key    serde.Serde[K]
	value  serde.Serde[V]
	buf    []byte
	broken error
}

// Get returns the value of k; ok is false if there is none. The value is the caller's own.
func (s *KeyValueView[K, V]) Get(k K) (v V, ok bool, err error) {
	r, ok, err := s.GetRow(k)
	return r.Value, ok, err
}

// GetRow is Get with the row's timestamp.
func (s *KeyValueView[K, V]) GetRow(k K) (out Row[V], ok bool, err error) {
	key, err := s.encode(s.buf[:0], k)
	if err != nil {
		return out, false, err
	}
	n := len(key)
	b, ok, err := s.rows.table.engine.Get(key, key[:n:n])
	if err != nil {
		return out, false, s.fail("read", err)
	}
	s.buf = b[:0]
	if !ok {
		return out, false, nil
	}
	out.Value, out.Timestamp, err = s.open(b[n:])
	return out, err == nil, err
}

// All yields every row, in key order, as of the start of the loop. An error ends it.
func (s *KeyValueView[K, V]) All() iter.Seq2[Entry[K, V], error] {
	return s.entries(func() (lo, hi []byte, err error) {
		return s.rows.table.prefix, successor(s.rows.table.prefix), s.broken
	})
}

// Range yields the rows with from <= key < to, in key order; like All otherwise.
func (s *KeyValueView[K, V]) Range(from, to K) iter.Seq2[Entry[K, V], error] {
	return s.entries(func() (lo, hi []byte, err error) {
		if lo, err = s.encode(nil, from); err == nil {
			hi, err = s.encode(nil, to)
		}
		return lo, hi, err
	})
}

var errViewEnds = errors.New("the loop has ended")

func (s *KeyValueView[K, V]) entries(bounds func() (lo, hi []byte, err error)) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		lo, hi, err := bounds()
		if err == nil {
			err = s.walk(lo, hi, func(e Entry[K, V]) bool { return yield(e, nil) })
		}
		if err != nil && !errors.Is(err, errViewEnds) {
			yield(Entry[K, V]{}, err)
		}
	}
}

// walk calls f for each row until f returns false. The iterator is closed before an error is returned, also where f panics.
func (s *KeyValueView[K, V]) walk(lo, hi []byte, f func(Entry[K, V]) bool) (err error) {
	it, err := s.rows.table.engine.Iterate(lo, hi, false)
	if err != nil {
		return s.fail("scan", err)
	}
	defer func() {
		if closeErr := it.Close(); closeErr != nil && err == nil {
			err = s.fail("scan", closeErr)
		}
	}()
	n := len(s.rows.table.prefix)
	for it.Next() {
		var e Entry[K, V]
		if e.Key, err = s.key.Decode(it.Key()[n:]); err != nil {
			return s.fail("decode key of", err)
		}
		if e.Value, e.Timestamp, err = s.open(it.Value()); err != nil {
			return err
		}
		if !f(e) {
			return errViewEnds
		}
	}
	if it.Err() != nil {
		return s.fail("scan", it.Err())
	}
	return nil
}

// encode appends the engine's key of k to dst.
func (s *KeyValueView[K, V]) encode(dst []byte, k K) (b []byte, err error) {
	if s.broken != nil {
		return nil, s.broken
	}
	if b, err = s.key.Append(append(dst, s.rows.table.prefix...), k); err != nil {
		return nil, fmt.Errorf("encode key of store %q: %w", s.rows.info.Name, err)
	}
	return b, nil
}

// open decodes an engine's row: eight bytes of timestamp, then the value.
func (s *KeyValueView[K, V]) open(row []byte) (v V, at time.Time, err error) {
	if len(row) < 8 {
		return v, at, s.fail("read", fmt.Errorf("a row of %d bytes has no timestamp", len(row)))
	}
	if v, err = s.value.Decode(row[8:]); err != nil {
		return v, at, s.fail("decode row of", err)
	}
	return v, fromMs(int64(binary.BigEndian.Uint64(row))), nil
}

// fail makes an EngineError and notes it for the task.
func (s *KeyValueView[K, V]) fail(op string, err error) error {
	err = &EngineError{Op: op, Store: s.rows.info.Name, Err: err}
	if s.rows.journal != nil {
		return s.rows.journal.fail(err)
	}
	return err
}
