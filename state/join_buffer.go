package state

import (
	"encoding/binary"
	"fmt"
	"iter"
	"reflect"
	"time"

	"github.com/weirstream/weir/serde"
)

// A JoinBufferSpec describes a store of records that wait for their time: those of a stream that are joined after a grace, or those of a join that
// have found no partner yet. Make one with JoinBuffer; the methods return changed copies.
type JoinBufferSpec[K, V any] struct {
	settings
	codec codec[K, V]
}

// JoinBuffer describes the join buffer of that durable name. Its rows are kept on disk and logged to the topic
// <application>-<name>-changelog.
func JoinBuffer[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) JoinBufferSpec[K, V] {
	return JoinBufferSpec[K, V]{settings{name: name}, codec[K, V]{key: key, value: value}}
}

// InMemory keeps the committed rows on the heap: faster, bounded by memory, restored from the changelog at every start.
func (s JoinBufferSpec[K, V]) InMemory() JoinBufferSpec[K, V] { s.inMemory = true; return s }

// WithoutChangelog stops logging the store: what it holds is lost with the machine, or at every restart if it is in memory.
func (s JoinBufferSpec[K, V]) WithoutChangelog() JoinBufferSpec[K, V] { s.unlogged = true; return s }

// Rows describes the same store with rows of another form: an operator keeps more of a record than its value.
func (s JoinBufferSpec[K, V]) Rows[K2, V2 any](key serde.Serde[K2], value serde.Serde[V2]) JoinBufferSpec[K2, V2] {
	return JoinBufferSpec[K2, V2]{s.settings, codec[K2, V2]{key: key, value: value}}
}

// Info implements Spec.
func (s JoinBufferSpec[K, V]) Info() Info {
	return s.info(KindJoinBuffer, reflect.TypeFor[K](), reflect.TypeFor[V]())
}

// Serdes returns the serdes of the store's keys and values.
func (s JoinBufferSpec[K, V]) Serdes() (serde.Serde[K], serde.Serde[V]) {
	return s.codec.key, s.codec.value
}

// Open returns the task's instance of the store, in a processor's set-up. An undeclared store fails the set-up.
func (s JoinBufferSpec[K, V]) Open(o Opener) *JoinBufferStore[K, V] {
	st, err := o.OpenStore(s)
	if b, ok := st.(*JoinBufferStore[K, V]); err == nil && ok {
		return b
	}
	return &JoinBufferStore[K, V]{broken: fmt.Errorf("store %q is not open: %w", s.name, notOpen(st, err))}
}

func (s JoinBufferSpec[K, V]) build(env *Env) (Store, error) {
	c, err := s.codec.bind(s.name)
	if err != nil {
		return nil, err
	}
	return &JoinBufferStore[K, V]{
		overlay: newOverlay(s.Info(), c, env), key: c.key, seq: env.Clock("seq/" + s.durable()), floor: floor{journal: env.Journal},
	}, nil
}

// A JoinBufferStore is a task's instance of a store declared with JoinBuffer: any number of records per time and key.
//
// Its order is that of the times, then of the keys' unsigned bytes, then of arrival. An engine key is made of these three, numbers of eight bytes,
// big-endian; it is the changelog's key too.
type JoinBufferStore[K, V any] struct {
	overlay *overlay[V]
	key     serde.Serde[K]
	seq     *Clock // numbers the records by arrival; it is part of the task's state, so that no number comes twice
	floor   floor
	buf     []byte
	broken  error
}

// A BufferEntry is a record in a JoinBufferStore.
type BufferEntry[K, V any] struct {
	At    time.Time
	Key   K
	Value V
	id    []byte
}

// Add puts a record at the end of those of its time and key.
func (s *JoinBufferStore[K, V]) Add(at time.Time, k K, v V) error {
	b, err := s.encode(at, k)
	if err != nil {
		return err
	}
	s.seq.Set(s.seq.Now() + 1)
	b = binary.BigEndian.AppendUint64(b, uint64(s.seq.Now()))
	s.floor.lower(b)
	return s.overlay.put(s.overlay.row(b), v, at.UnixMilli())
}

// Until yields the records with times up to at, that included, in order, as of the beginning of the loop; adding and removing inside it is legal.
// An error ends it.
func (s *JoinBufferStore[K, V]) Until(at time.Time) iter.Seq2[BufferEntry[K, V], error] {
	return s.entries(func() (lo, hi []byte, exact int, err error) {
		return []byte(s.floor.key), binary.BigEndian.AppendUint64(nil, uint64(max(at.UnixMilli()+1, 0))), 0, s.broken
	})
}

// All yields all records: see Until.
func (s *JoinBufferStore[K, V]) All() iter.Seq2[BufferEntry[K, V], error] {
	return s.entries(func() (lo, hi []byte, exact int, err error) { return []byte(s.floor.key), nil, 0, s.broken })
}

// At yields the records of one time and key, by arrival: see Until.
func (s *JoinBufferStore[K, V]) At(at time.Time, k K) iter.Seq2[BufferEntry[K, V], error] {
	return s.entries(func() (lo, hi []byte, exact int, err error) {
		b, err := s.encode(at, k)
		if err != nil {
			return nil, nil, 0, err
		}
		lo = append(lo, b...)
		return lo, successor(lo), len(lo) + 8, nil
	})
}

func (s *JoinBufferStore[K, V]) entries(bounds func() (lo, hi []byte, exact int, err error)) iter.Seq2[BufferEntry[K, V], error] {
	return func(yield func(BufferEntry[K, V], error) bool) {
		lo, hi, exact, err := bounds()
		if err != nil {
			yield(BufferEntry[K, V]{}, err)
			return
		}
		first := exact == 0 // of all rows from the floor on
		for r, err := range s.overlay.scan(lo, hi, false) {
			var e BufferEntry[K, V]
			if err == nil {
				if first {
					s.floor.raise(string(r.key))
					first = false
				}
				if exact > 0 && len(r.key) != exact {
					continue // of a longer key
				}
				e, err = s.entry(r)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (s *JoinBufferStore[K, V]) entry(r scanned[V]) (e BufferEntry[K, V], err error) {
	if len(r.key) < 16 {
		return e, s.overlay.broken("read", fmt.Errorf("a key of %d bytes is too short: the state is damaged", len(r.key)))
	}
	e.At, e.id = fromMs(int64(binary.BigEndian.Uint64(r.key))), append([]byte(nil), r.key...)
	if e.Key, err = s.key.Decode(e.id[8 : len(e.id)-8]); err != nil {
		return e, fmt.Errorf("decode key of store %q: %w", s.overlay.info.Name, err)
	}
	e.Value, _, err = s.overlay.open(r)
	return e, err
}

// Remove takes a record out. The entry is one that this store yielded.
func (s *JoinBufferStore[K, V]) Remove(e BufferEntry[K, V]) {
	if s.broken == nil && len(e.id) > 0 {
		s.overlay.remove(s.overlay.row(e.id), e.At.UnixMilli())
	}
}

// encode returns the time and the key, with room for the number.
func (s *JoinBufferStore[K, V]) encode(at time.Time, k K) (b []byte, err error) {
	if s.broken != nil {
		return nil, s.broken
	}
	if at.UnixMilli() < 0 {
		return nil, fmt.Errorf("write store %q: time %v is before 1970", s.overlay.info.Name, at.UTC())
	}
	b = binary.BigEndian.AppendUint64(s.buf[:0], uint64(at.UnixMilli()))
	if b, err = s.key.Append(b, k); err != nil {
		return nil, fmt.Errorf("encode key of store %q: %w", s.overlay.info.Name, err)
	}
	s.buf = b
	return b, nil
}

// Info implements Store.
func (s *JoinBufferStore[K, V]) Info() Info { return s.overlay.info }

// Prepare implements Store.
func (s *JoinBufferStore[K, V]) Prepare(w *Writer) error { return s.overlay.prepare(w, nil, nil) }

// Committed implements Store.
func (s *JoinBufferStore[K, V]) Committed() error { s.overlay.committed(); return nil }

// Reset implements Store.
func (s *JoinBufferStore[K, V]) Reset() {
	s.overlay.reset()
	s.floor.reset()
}

// Restore implements Store. The changelog's key is the row's, and begins with its time; the record's own is the broker's.
func (s *JoinBufferStore[K, V]) Restore(b Batch, key, value []byte, _ int64) error {
	if len(key) < 16 {
		return fmt.Errorf("restore store %q: a key of %d bytes is too short", s.overlay.info.Name, len(key))
	}
	s.seq.Advance(int64(binary.BigEndian.Uint64(key[len(key)-8:])))
	s.floor.reset()
	return s.overlay.restore(b, key, value, int64(binary.BigEndian.Uint64(key)))
}

// Pending implements Store.
func (s *JoinBufferStore[K, V]) Pending() (rows int, bytes int64) {
	return len(s.overlay.dirty), s.overlay.dirtyBytes
}
