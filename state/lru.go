package state

import (
	"cmp"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"time"

	"github.com/weirstream/weir/serde"
)

// An LRUSpec describes a store in memory that keeps the rows used last. Make one with LRU; the methods return changed copies.
type LRUSpec[K, V any] struct {
	settings
	codec codec[K, V]
}

// LRU describes the store of that durable name that keeps maxRows rows: a put beyond that deletes the one that was used longest ago. Its rows are kept
// in memory and logged to the topic <application>-<name>-changelog, the deletes too.
func LRU[K, V any](name string, key serde.Serde[K], value serde.Serde[V], maxRows int) LRUSpec[K, V] {
	return LRUSpec[K, V]{settings{name: name, inMemory: true, maxRows: maxRows}, codec[K, V]{key: key, value: value}}
}

// WithoutChangelog stops logging the store: it starts empty.
func (s LRUSpec[K, V]) WithoutChangelog() LRUSpec[K, V] { s.unlogged = true; return s }

// Clone lets the store keep values of a type with pointers decoded: see KeyValueSpec.Clone.
func (s LRUSpec[K, V]) Clone(f func(V) V) LRUSpec[K, V] { s.codec.clone = f; return s }

// Info implements Spec.
func (s LRUSpec[K, V]) Info() Info {
	return s.info(KindLRU, reflect.TypeFor[K](), reflect.TypeFor[V]())
}

// Serdes returns the serdes of the store's keys and values.
func (s LRUSpec[K, V]) Serdes() (serde.Serde[K], serde.Serde[V]) {
	return s.codec.key, s.codec.value
}

// Open returns the task's instance of the store, in a processor's set-up. An undeclared store fails the set-up.
func (s LRUSpec[K, V]) Open(o Opener) *LRUStore[K, V] {
	st, err := o.OpenStore(s)
	if l, ok := st.(*LRUStore[K, V]); err == nil && ok {
		return l
	}
	return &LRUStore[K, V]{broken: fmt.Errorf("store %q is not open: %w", s.name, notOpen(st, err))}
}

func (s LRUSpec[K, V]) build(env *Env) (Store, error) {
	c, err := s.codec.bind(s.name)
	if err != nil {
		return nil, err
	}
	return &LRUStore[K, V]{
		rows:   KeyValueStore[K, V]{overlay: newOverlay(s.Info(), c, env), key: c.key, time: env.Time},
		recent: newRecency(env.Journal), max: s.maxRows,
	}, nil
}

// An LRUStore is a task's instance of a store declared with LRU.
//
// A row is used by Put and by a Get that finds it. The order of use is undone with a failed record. A restart knows of the puts alone: it rebuilds the
// order from the changelog, which gets the rows of each commit in the order of their use.
type LRUStore[K, V any] struct {
	rows   KeyValueStore[K, V]
	recent *recency
	max    int
	broken error
}

// Get returns the value of k, and uses the row; ok is false if there is none. The value is the caller's own.
func (s *LRUStore[K, V]) Get(k K) (v V, ok bool, err error) {
	row, ok, err := s.Peek(k)
	if ok {
		s.recent.use(s.rows.buf)
	}
	return row.Value, ok, err
}

// Peek returns the row of k, without using it.
func (s *LRUStore[K, V]) Peek(k K) (row Row[V], ok bool, err error) {
	if s.broken != nil {
		return row, false, s.broken
	}
	return s.rows.GetRow(k)
}

// Put sets the value of k, with the event time of the record in process as timestamp, and deletes the rows that were used longest ago where there are too
// many.
func (s *LRUStore[K, V]) Put(k K, v V) error {
	if s.broken != nil {
		return s.broken
	}
	return s.PutRow(k, Row[V]{v, s.rows.time()})
}

// PutRow is Put with a timestamp of the caller's.
func (s *LRUStore[K, V]) PutRow(k K, row Row[V]) error {
	if s.broken != nil {
		return s.broken
	}
	if err := s.rows.PutRow(k, row); err != nil {
		return err
	}
	s.recent.use(s.rows.buf)
	for s.recent.len() > s.max {
		oldest, _ := s.recent.oldest()
		s.remove([]byte(oldest), row.Timestamp)
	}
	return nil
}

// Delete removes the row of k, if there is one.
func (s *LRUStore[K, V]) Delete(k K) error {
	if s.broken != nil {
		return s.broken
	}
	key, err := s.rows.encode(k)
	if err != nil {
		return err
	}
	s.remove(key, s.rows.time())
	return nil
}

func (s *LRUStore[K, V]) remove(key []byte, at time.Time) {
	s.rows.overlay.remove(s.rows.overlay.row(key), at.UnixMilli())
	s.recent.drop(key)
}

// All yields every row, in key order, as of the start of the loop, without using them; puts and deletes inside it are legal. An error ends it.
func (s *LRUStore[K, V]) All() iter.Seq2[Entry[K, V], error] {
	if s.broken != nil {
		return func(yield func(Entry[K, V], error) bool) { yield(Entry[K, V]{}, s.broken) }
	}
	return s.rows.All()
}

// Info implements Store.
func (s *LRUStore[K, V]) Info() Info { return s.rows.Info() }

// Prepare implements Store. Deletes come first, then rows in the order of their last use.
func (s *LRUStore[K, V]) Prepare(w *Writer) error {
	slices.SortStableFunc(s.rows.overlay.dirty, func(a, b *row[V]) int {
		return cmp.Compare(s.recent.number(a.key), s.recent.number(b.key))
	})
	return s.rows.Prepare(w)
}

// Committed implements Store.
func (s *LRUStore[K, V]) Committed() error {
	s.recent.commit()
	return s.rows.Committed()
}

// Reset implements Store.
func (s *LRUStore[K, V]) Reset() {
	s.recent.reset()
	s.rows.Reset()
}

// Restore implements Store. The changelog's key is the row's.
func (s *LRUStore[K, V]) Restore(b Batch, key, value []byte, timestampMs int64) error {
	if value == nil {
		s.recent.drop(key)
	} else {
		s.recent.use(key)
	}
	s.recent.commit()
	return s.rows.Restore(b, key, value, timestampMs)
}

// Pending implements Store.
func (s *LRUStore[K, V]) Pending() (rows int, bytes int64) { return s.rows.Pending() }
