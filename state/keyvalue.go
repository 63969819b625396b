package state

import (
	"fmt"
	"reflect"
	"time"

	"github.com/weirstream/weir/serde"
)

// A KeyValueSpec describes a store with one row per key. Make one with KeyValue; the methods return changed copies.
type KeyValueSpec[K, V any] struct {
	settings
	codec codec[K, V]
}

// KeyValue describes the key-value store of that durable name. Its rows are kept on disk and logged to the topic
// <application>-<name>-changelog.
func KeyValue[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) KeyValueSpec[K, V] {
	return KeyValueSpec[K, V]{settings{name: name}, codec[K, V]{key: key, value: value}}
}

// InMemory keeps the committed rows on the heap: faster, bounded by memory, restored from the changelog at every start.
func (s KeyValueSpec[K, V]) InMemory() KeyValueSpec[K, V] { s.inMemory = true; return s }

// WithoutChangelog stops logging the store: what it holds is lost with the machine, or at every restart if it is in memory.
func (s KeyValueSpec[K, V]) WithoutChangelog() KeyValueSpec[K, V] { s.unlogged = true; return s }

// Clone lets the store keep values of a type with pointers decoded. f returns a copy that shares no memory that anyone changes.
// Without it such values are encoded by every Put and decoded by every Get, which is safe and slower.
func (s KeyValueSpec[K, V]) Clone(f func(V) V) KeyValueSpec[K, V] { s.codec.clone = f; return s }

// RestoredFrom makes a topic the store's changelog, whose serdes it takes over: its rows are the topic's records as they are. A table that is read from
// that topic sets it (stream.SourceIsChangelog); nothing else may write the store.
func (s KeyValueSpec[K, V]) RestoredFrom(topic string, key serde.Serde[K], value serde.Serde[V]) KeyValueSpec[K, V] {
	s.source, s.codec.key, s.codec.value = topic, key, value
	return s
}

// Info implements Spec.
func (s KeyValueSpec[K, V]) Info() Info {
	return s.info(KindKeyValue, reflect.TypeFor[K](), reflect.TypeFor[V]())
}

// Serdes returns the serdes of the store's keys and values.
func (s KeyValueSpec[K, V]) Serdes() (serde.Serde[K], serde.Serde[V]) {
	return s.codec.key, s.codec.value
}

// Open returns the task's instance of the store, in a processor's set-up. An undeclared store fails the set-up.
func (s KeyValueSpec[K, V]) Open(o Opener) *KeyValueStore[K, V] {
	st, err := o.OpenStore(s)
	if kv, ok := st.(*KeyValueStore[K, V]); err == nil && ok {
		return kv
	}
	return &KeyValueStore[K, V]{broken: fmt.Errorf("store %q is not open: %w", s.name, notOpen(st, err))}
}

func notOpen(st Store, err error) error {
	if err == nil {
		err = fmt.Errorf("another descriptor of that name is declared, with types %s and %s",
			st.Info().KeyType, st.Info().ValueType)
	}
	return err
}

func (s KeyValueSpec[K, V]) build(env *Env) (Store, error) {
	named := s.name
	if s.source != "" {
		named = s.source
	}
	c, err := s.codec.bind(named)
	if err != nil {
		return nil, err
	}
	return &KeyValueStore[K, V]{overlay: newOverlay(s.Info(), c, env), key: c.key, time: env.Time}, nil
}

// A KeyValueStore is a task's instance of a store declared with KeyValue.
//
// Keys are compared as the unsigned bytes of their encoding, which is also the order of range reads.
type KeyValueStore[K, V any] struct {
	overlay *overlay[V]
	key     serde.Serde[K]
	time    func() time.Time
	buf     []byte
	broken  error
}

// Get returns the value of k; ok is false if there is none. The value is the caller's own.
func (s *KeyValueStore[K, V]) Get(k K) (v V, ok bool, err error) {
	r, ok, err := s.GetRow(k)
	return r.Value, ok, err
}

// GetRow is Get with the row's timestamp.
func (s *KeyValueStore[K, V]) GetRow(k K) (out Row[V], ok bool, err error) {
	r, err := s.find(k)
	if err != nil || r.state != present {
		return out, false, err
	}
	out.Timestamp = fromMs(r.ts)
	out.Value, err = s.overlay.read(r)
	return out, err == nil, err
}

// Put sets the value of k, with the event time of the record in process as timestamp.
func (s *KeyValueStore[K, V]) Put(k K, v V) error {
	if s.broken != nil {
		return s.broken
	}
	return s.PutRow(k, Row[V]{v, s.time()})
}

// PutRow is Put with a timestamp of the caller's.
func (s *KeyValueStore[K, V]) PutRow(k K, row Row[V]) error {
	b, err := s.encode(k)
	if err != nil {
		return err
	}
	return s.overlay.put(s.overlay.row(b), row.Value, row.Timestamp.UnixMilli())
}

// Delete removes the row of k, if there is one.
func (s *KeyValueStore[K, V]) Delete(k K) error {
	b, err := s.encode(k)
	if err != nil {
		return err
	}
	s.overlay.remove(s.overlay.row(b), s.time().UnixMilli())
	return nil
}

// PutIfAbsent is Put that leaves a row which is there as it is. It returns the value that was there; had is false if there was none, and v is put.
func (s *KeyValueStore[K, V]) PutIfAbsent(k K, v V) (was V, had bool, err error) {
	was, had, err = s.Get(k)
	if err != nil || had {
		return was, had, err
	}
	return was, false, s.Put(k, v)
}

func (s *KeyValueStore[K, V]) find(k K) (*row[V], error) {
	b, err := s.encode(k)
	if err != nil {
		return nil, err
	}
	return s.overlay.find(b)
}

func (s *KeyValueStore[K, V]) encode(k K) (b []byte, err error) {
	if s.broken != nil {
		return nil, s.broken
	}
	if s.buf, err = s.key.Append(s.buf[:0], k); err != nil {
		return nil, fmt.Errorf("encode key of store %q: %w", s.overlay.info.Name, err)
	}
	return s.buf, nil
}

// Info implements Store.
func (s *KeyValueStore[K, V]) Info() Info { return s.overlay.info }

// Prepare implements Store.
func (s *KeyValueStore[K, V]) Prepare(w *Writer) error { return s.overlay.prepare(w, nil, nil) }

// Committed implements Store.
func (s *KeyValueStore[K, V]) Committed() error { s.overlay.committed(); return nil }

// Reset implements Store.
func (s *KeyValueStore[K, V]) Reset() { s.overlay.reset() }

// Restore implements Store. The changelog's key is the row's.
func (s *KeyValueStore[K, V]) Restore(b Batch, key, value []byte, timestampMs int64) error {
	if key == nil {
		return nil // of a source topic: no row has it
	}
	return s.overlay.restore(b, key, value, timestampMs)
}

// Pending implements Store.
func (s *KeyValueStore[K, V]) Pending() (rows int, bytes int64) {
	return len(s.overlay.dirty), s.overlay.dirtyBytes
}
