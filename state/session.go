package state

import (
	"encoding/binary"
	"fmt"
	"iter"
	"reflect"
	"time"

	"github.com/weirstream/weir/serde"
)

// A SessionSpec describes a store with one row per key and session. Make one with Session; the methods return changed copies.
type SessionSpec[K, V any] struct {
	settings
	codec codec[K, V]
}

// Session describes the session store of that durable name. Its rows are kept on disk, logged to the topic
// <application>-<name>-changelog, and dropped when they are older than the retention. A session aggregation sets the retention
// itself (gap plus grace, and a millisecond) unless the descriptor asks for more.
func Session[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) SessionSpec[K, V] {
	return SessionSpec[K, V]{settings{name: name}, codec[K, V]{key: key, value: value}}
}

// InMemory keeps the committed rows on the heap: faster, bounded by memory, restored from the changelog at every start.
func (s SessionSpec[K, V]) InMemory() SessionSpec[K, V] { s.inMemory = true; return s }

// WithoutChangelog stops logging the store: what it holds is lost with the machine, or at every restart if it is in memory.
func (s SessionSpec[K, V]) WithoutChangelog() SessionSpec[K, V] { s.unlogged = true; return s }

// Clone lets the store keep values of a type with pointers decoded: see KeyValueSpec.Clone.
func (s SessionSpec[K, V]) Clone(f func(V) V) SessionSpec[K, V] { s.codec.clone = f; return s }

// Retention keeps a session readable until stream time has passed its end by d.
func (s SessionSpec[K, V]) Retention(d time.Duration) SessionSpec[K, V] { s.retention = d; return s }

// TimeIndex keeps the sessions in a second order, by end, start and key, so that ScanEnds finds those that close together: what an aggregation
// that emits on close reads.
func (s SessionSpec[K, V]) TimeIndex() SessionSpec[K, V] { s.timeIndex = true; return s }

// Info implements Spec.
func (s SessionSpec[K, V]) Info() Info {
	return s.info(KindSession, reflect.TypeFor[K](), reflect.TypeFor[V]())
}

// Serdes returns the serdes of the store's keys and values.
func (s SessionSpec[K, V]) Serdes() (serde.Serde[K], serde.Serde[V]) {
	return s.codec.key, s.codec.value
}

// Open returns the task's instance of the store, in a processor's set-up. An undeclared store fails the set-up.
func (s SessionSpec[K, V]) Open(o Opener) *SessionStore[K, V] {
	st, err := o.OpenStore(s)
	if w, ok := st.(*SessionStore[K, V]); err == nil && ok {
		return w
	}
	return &SessionStore[K, V]{broken: fmt.Errorf("store %q is not open: %w", s.name, notOpen(st, err))}
}

func (s SessionSpec[K, V]) build(env *Env) (Store, error) {
	c, err := s.codec.bind(s.name)
	if err != nil {
		return nil, err
	}
	st := &SessionStore[K, V]{key: c.key, clock: env.Clock("store/" + s.durable()), layout: s.sessionLayout(), hold: hold{NewClock(env.Journal)}}
	own := *env
	if s.timeIndex {
		own.table = env.table.part(rowsPart)
		st.index = newIndex(s.Info(), env, indexPart)
	}
	st.overlay = newOverlay(s.Info(), c, &own)
	return st, nil
}

// A SessionStore is a task's instance of a store declared with Session.
//
// A session is a key with a span of time whose bounds are both part of it. Sessions of a key may overlap here: it is the aggregation that merges
// them.
//
// # Retention
//
// The store's clock is the largest end put or removed so far. A row is readable while end > clock - retention; a later put of an
// expired row is dropped. Expired rows leave in whole segments, by range.
type SessionStore[K, V any] struct {
	overlay *overlay[V]
	index   *index // the time index; nil without one
	key     serde.Serde[K]
	clock   *Clock
	layout  sessionLayout
	hold    hold
	dropped int64
	keyBuf  []byte
	buf     []byte
	broken  error
}

// Get returns the value of a session; ok is false if there is none or it has expired. The value is the caller's own.
func (s *SessionStore[K, V]) Get(w serde.Windowed[K]) (v V, ok bool, err error) {
	key, span, err := s.encode(w)
	if err != nil || span.end < s.readable() {
		return v, false, err
	}
	s.buf = s.layout.key(s.buf[:0], key, span)
	r, err := s.overlay.find(s.buf)
	if err != nil || r.state != present {
		return v, false, err
	}
	v, err = s.overlay.read(r)
	return v, err == nil, err
}

// Put sets the value of a session. The row's time is the session's end.
func (s *SessionStore[K, V]) Put(w serde.Windowed[K], v V) error {
	key, span, err := s.write(w)
	if err != nil || key == nil {
		return err
	}
	s.buf = s.layout.key(s.buf[:0], key, span)
	if err := s.overlay.put(s.overlay.row(s.buf), v, span.end); err != nil || s.index == nil {
		return err
	}
	s.buf = s.layout.indexKey(s.buf[:0], key, span)
	return s.index.put(s.buf)
}

// Remove removes a session, if it is there.
func (s *SessionStore[K, V]) Remove(w serde.Windowed[K]) error {
	key, span, err := s.write(w)
	if err != nil || key == nil {
		return err
	}
	s.buf = s.layout.key(s.buf[:0], key, span)
	s.overlay.remove(s.overlay.row(s.buf), span.end)
	if s.index != nil {
		s.buf = s.layout.indexKey(s.buf[:0], key, span)
		s.index.remove(s.buf)
	}
	return nil
}

// write advances the clock and returns what to write, a nil key if the session has expired.
func (s *SessionStore[K, V]) write(w serde.Windowed[K]) (key []byte, span sessionSpan, err error) {
	if key, span, err = s.encode(w); err != nil {
		return nil, span, err
	}
	if span.start < 0 || span.end < span.start {
		return nil, span, fmt.Errorf("write store %q: %v to %v is no session: it starts in 1970 or later, and ends when it starts or later",
			s.overlay.info.Name, w.Start.UTC(), w.End.UTC())
	}
	s.clock.Advance(span.end)
	if span.end < s.readable() {
		return nil, span, nil
	}
	return key, span, nil
}

// Find yields the sessions of k that end at or after earliestEnd and start at or before latestStart, by end and then start, as of the beginning of the
// loop; puts and removes inside it are legal. An error ends it.
func (s *SessionStore[K, V]) Find(k K, earliestEnd, latestStart time.Time) iter.Seq2[Entry[serde.Windowed[K], V], error] {
	return func(yield func(Entry[serde.Windowed[K], V], error) bool) {
		key, _, err := s.encode(serde.Windowed[K]{Key: k})
		if err != nil {
			yield(Entry[serde.Windowed[K], V]{}, err)
			return
		}
		key = append([]byte{}, key...)
		lo, hi, last := max(earliestEnd.UnixMilli(), s.readable(), 0), s.clock.Now(), latestStart.UnixMilli()
		for seg := lo / s.layout.segmentMs; lo <= hi && seg <= hi/s.layout.segmentMs; seg++ {
			first, end := s.layout.bound(seg, key, lo), s.layout.bound(seg, key, hi+1)
			match := func(b []byte, w sessionSpan) bool { return len(b) == len(first) && w.start <= last }
			if !s.yieldRange(first, end, match, yield) {
				return
			}
		}
	}
}

// All yields every readable row as of the beginning of the loop, by segment, key, end and start. An error ends it.
func (s *SessionStore[K, V]) All() iter.Seq2[Entry[serde.Windowed[K], V], error] {
	return func(yield func(Entry[serde.Windowed[K], V], error) bool) {
		if s.broken != nil {
			yield(Entry[serde.Windowed[K], V]{}, s.broken)
			return
		}
		from := s.readable()
		s.yieldRange(nil, nil, func(_ []byte, w sessionSpan) bool { return w.end >= from }, yield)
	}
}

// yieldRange yields the rows of an engine range that match.
func (s *SessionStore[K, V]) yieldRange(lo, hi []byte, match func(key []byte, w sessionSpan) bool,
	yield func(Entry[serde.Windowed[K], V], error) bool) bool {
	for r, err := range s.overlay.scan(lo, hi, false) {
		var e Entry[serde.Windowed[K], V]
		if err == nil {
			var key []byte
			var w sessionSpan
			if key, w, err = s.layout.split(r.key); err == nil {
				if !match(r.key, w) {
					continue
				}
				if e, err = s.entry(key, w); err == nil {
					e.Value, _, err = s.overlay.open(r)
				}
			}
		}
		if !yield(e, err) || err != nil {
			return false
		}
	}
	return true
}

// ScanEnds yields the sessions with from <= end <= to, by end, start and key, whether they have expired or not. Puts and removes inside the loop
// are legal; a session that is removed before its turn is left out. An error ends it. Only a store with a TimeIndex can.
func (s *SessionStore[K, V]) ScanEnds(from, to time.Time) iter.Seq2[Entry[serde.Windowed[K], V], error] {
	return func(yield func(Entry[serde.Windowed[K], V], error) bool) {
		err := s.broken
		if err == nil && s.index == nil {
			err = fmt.Errorf("scan store %q by end: its sessions are not ordered by time: declare it with TimeIndex", s.overlay.info.Name)
		}
		if err != nil {
			yield(Entry[serde.Windowed[K], V]{}, err)
			return
		}
		lo := binary.BigEndian.AppendUint64(nil, uint64(max(from.UnixMilli(), 0)))
		hi := binary.BigEndian.AppendUint64(nil, uint64(max(to.UnixMilli()+1, 0)))
		for b, err := range s.index.scan(lo, hi, false) {
			e, ok, err := s.indexed(b, err)
			if err == nil && !ok {
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// indexed returns the row that a key of the index stands for.
func (s *SessionStore[K, V]) indexed(b []byte, err error) (e Entry[serde.Windowed[K], V], ok bool, _ error) {
	if err != nil {
		return e, false, err
	}
	key, w, err := s.layout.splitIndex(b)
	if err != nil {
		return e, false, err
	}
	s.buf = s.layout.key(s.buf[:0], key, w)
	r, err := s.overlay.find(s.buf)
	if err != nil || r.state != present {
		return e, false, err
	}
	if e, err = s.entry(key, w); err != nil {
		return e, false, err
	}
	e.Value, err = s.overlay.read(r)
	return e, err == nil, err
}

func (s *SessionStore[K, V]) entry(key []byte, w sessionSpan) (e Entry[serde.Windowed[K], V], err error) {
	if e.Key.Key, err = s.key.Decode(key); err != nil {
		return e, fmt.Errorf("decode key of store %q: %w", s.overlay.info.Name, err)
	}
	e.Key.Start, e.Key.End, e.Timestamp = fromMs(w.start), fromMs(w.end), fromMs(w.end)
	return e, nil
}

// Clock returns the largest end put or removed so far; ok is false if none was.
func (s *SessionStore[K, V]) Clock() (end time.Time, ok bool) {
	if s.broken != nil || s.clock.Now() == NoTime {
		return time.Time{}, false
	}
	return fromMs(s.clock.Now()), true
}

// Hold keeps sessions that end at or after t, even beyond the retention: results that are still to be emitted. It is undone with a failed record, and does
// not outlive the task: call it in the set-up too. Only a store with a TimeIndex gets such sessions back from its changelog.
func (s *SessionStore[K, V]) Hold(t time.Time) { s.hold.from(t) }

// readable is the smallest end that reads see; rows below may go.
func (s *SessionStore[K, V]) readable() int64 {
	if s.broken != nil || s.clock.Now() == NoTime {
		return 0
	}
	return s.hold.least(s.clock.Now() - s.overlay.info.Retention.Milliseconds() + 1)
}

// encode returns the encoded key, which is valid until the next call.
func (s *SessionStore[K, V]) encode(w serde.Windowed[K]) (key []byte, span sessionSpan, err error) {
	if s.broken != nil {
		return nil, span, s.broken
	}
	if s.keyBuf == nil {
		s.keyBuf = []byte{}
	}
	if s.keyBuf, err = s.key.Append(s.keyBuf[:0], w.Key); err != nil {
		return nil, span, fmt.Errorf("encode key of store %q: %w", s.overlay.info.Name, err)
	}
	return s.keyBuf, sessionSpan{w.Start.UnixMilli(), w.End.UnixMilli()}, nil
}

// Info implements Store.
func (s *SessionStore[K, V]) Info() Info { return s.overlay.info }

// Prepare implements Store. Rows that have expired meanwhile are neither logged nor written; deletes are.
func (s *SessionStore[K, V]) Prepare(w *Writer) error {
	gone := s.readable()
	err := s.overlay.prepare(w, s.layout.logKey, func(key string) bool {
		_, span, err := s.layout.split([]byte(key))
		return err == nil && span.end < gone
	})
	if err != nil || s.index == nil {
		return err
	}
	return s.index.prepare(w, func(key string) bool {
		_, span, err := s.layout.splitIndex([]byte(key))
		return err == nil && span.end < gone
	})
}

// Committed implements Store.
func (s *SessionStore[K, V]) Committed() error {
	s.overlay.committed()
	if s.index != nil {
		s.index.rows.committed()
	}
	return s.expire()
}

// expire drops the segments that have expired as a whole.
func (s *SessionStore[K, V]) expire() error {
	segment := max(s.readable(), 0) / s.layout.segmentMs
	if segment <= s.dropped {
		return nil
	}
	err := s.overlay.dropBelow(segment)
	if err == nil && s.index != nil {
		err = s.index.rows.dropBelow(segment * s.layout.segmentMs)
	}
	if err != nil {
		return err
	}
	s.dropped = segment
	return nil
}

// Reset implements Store.
func (s *SessionStore[K, V]) Reset() {
	s.overlay.reset()
	if s.index != nil {
		s.index.rows.reset()
	}
}

// Restore implements Store. The changelog is that of Kafka Streams: key, end and start, and the value alone. The row's time is the end, whatever
// the record's is. Expired rows are passed over if there is no time index: see WindowStore.Restore.
func (s *SessionStore[K, V]) Restore(b Batch, logKey, value []byte, _ int64) error {
	key, w, err := splitSpan(logKey)
	if err != nil {
		return fmt.Errorf("restore store %q: %w", s.overlay.info.Name, err)
	}
	s.clock.Advance(w.end)
	if w.end < s.readable() && s.index == nil {
		return nil
	}
	s.buf = s.layout.key(s.buf[:0], key, w)
	if err := s.overlay.restore(b, s.buf, value, w.end); err != nil || s.index == nil {
		return err
	}
	s.buf = s.layout.indexKey(s.buf[:0], key, w)
	return s.index.restore(b, s.buf, value != nil)
}

// Pending implements Store.
func (s *SessionStore[K, V]) Pending() (rows int, bytes int64) {
	rows, bytes = len(s.overlay.dirty), s.overlay.dirtyBytes
	if s.index != nil {
		bytes += s.index.rows.dirtyBytes
	}
	return rows, bytes
}
