package state

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"reflect"
	"time"

	"github.com/weirstream/weir/serde"
)

// A WindowSpec describes a store with one row per key and window start. Make one with Window; the methods return changed copies.
type WindowSpec[K, V any] struct {
	settings
	codec codec[K, V]
}

// Window describes the window store of that durable name. Its rows are kept on disk, logged to the topic
// <application>-<name>-changelog, and dropped when they are older than the retention. A windowed aggregation sets the retention
// itself (size plus grace) unless the descriptor asks for more.
func Window[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) WindowSpec[K, V] {
	return WindowSpec[K, V]{settings{name: name}, codec[K, V]{key: key, value: value}}
}

// InMemory keeps the committed rows on the heap: faster, bounded by memory, restored from the changelog at every start.
func (s WindowSpec[K, V]) InMemory() WindowSpec[K, V] { s.inMemory = true; return s }

// WithoutChangelog stops logging the store: what it holds is lost with the machine, or at every restart if it is in memory.
func (s WindowSpec[K, V]) WithoutChangelog() WindowSpec[K, V] { s.unlogged = true; return s }

// Clone lets the store keep values of a type with pointers decoded: see KeyValueSpec.Clone.
func (s WindowSpec[K, V]) Clone(f func(V) V) WindowSpec[K, V] { s.codec.clone = f; return s }

// Retention keeps a window readable until stream time has passed its start by d.
func (s WindowSpec[K, V]) Retention(d time.Duration) WindowSpec[K, V] { s.retention = d; return s }

// TimeFirst orders the rows by start, then key, so that ScanStarts finds those that close together: what an aggregation that
// emits on close reads. Fetch is not served from this order.
func (s WindowSpec[K, V]) TimeFirst() WindowSpec[K, V] { s.timeFirst = true; return s }

// TimeIndex keeps the rows in a second order, by start, then key, so that both Fetch and ScanStarts are served: what an aggregation over sliding
// windows that emits on close reads.
func (s WindowSpec[K, V]) TimeIndex() WindowSpec[K, V] { s.timeIndex = true; return s }

// Size is the length of the windows, from which entries have their ends. A windowed aggregation sets it.
func (s WindowSpec[K, V]) Size(d time.Duration) WindowSpec[K, V] { s.size = d; return s }

// Info implements Spec.
func (s WindowSpec[K, V]) Info() Info {
	return s.info(s.windowKind(), reflect.TypeFor[K](), reflect.TypeFor[V]())
}

// Serdes returns the serdes of the store's keys and values.
func (s WindowSpec[K, V]) Serdes() (serde.Serde[K], serde.Serde[V]) {
	return s.codec.key, s.codec.value
}

// Open returns the task's instance of the store, in a processor's set-up. An undeclared store fails the set-up.
func (s WindowSpec[K, V]) Open(o Opener) *WindowStore[K, V] {
	st, err := o.OpenStore(s)
	if w, ok := st.(*WindowStore[K, V]); err == nil && ok {
		return w
	}
	return &WindowStore[K, V]{broken: fmt.Errorf("store %q is not open: %w", s.name, notOpen(st, err))}
}

func (s WindowSpec[K, V]) build(env *Env) (Store, error) {
	c, err := s.codec.bind(s.name)
	if err != nil {
		return nil, err
	}
	if s.duplicates && (s.timeFirst || s.timeIndex) {
		return nil, fmt.Errorf("store %q is declared with Duplicates and with TimeFirst or TimeIndex: use one of them", s.name)
	}
	st := &WindowStore[K, V]{
		key: c.key, time: env.Time, clock: env.Clock("store/" + s.durable()), arrival: env.Clock("seq/" + s.durable()),
		layout: s.layout(), size: s.size,
		hold: hold{NewClock(env.Journal)},
	}
	own := *env
	if st.layout.timeIndex {
		own.table = env.table.part(rowsPart)
		st.index = newIndex(s.Info(), env, indexPart)
	}
	st.overlay = newOverlay(s.Info(), c, &own)
	st.overlay.logRows = true
	return st, nil
}

// A WindowStore is a task's instance of a store declared with Window.
//
// # Retention
//
// The store's clock is the largest window start put so far. A row is readable while start > clock - retention; a later put of an
// expired row is dropped. Expired rows leave in whole segments, by range.
type WindowStore[K, V any] struct {
	overlay  *overlay[V]
	index    *index // the time index; nil without one
	key      serde.Serde[K]
	time     func() time.Time
	clock    *Clock
	arrival  *Clock // numbers the rows of a store of duplicates
	layout   windowLayout
	size     time.Duration // of a window; 0 if it is not known
	hold     hold
	dropped  int64
	buf      []byte
	indexBuf []byte
	broken   error
}

// Get returns the row of k in the window that starts at start; ok is false if there is none or it has expired.
func (s *WindowStore[K, V]) Get(k K, start time.Time) (out Row[V], ok bool, err error) {
	b, err := s.encode(k, start.UnixMilli())
	if err != nil || start.UnixMilli() < s.readable() {
		return out, false, err
	}
	r, err := s.overlay.find(b)
	if err != nil || r.state != present {
		return out, false, err
	}
	out.Timestamp = fromMs(r.ts)
	out.Value, err = s.overlay.read(r)
	return out, err == nil, err
}

// Put sets the value of k in the window that starts at start, with the event time of the record in process as timestamp.
func (s *WindowStore[K, V]) Put(k K, start time.Time, v V) error {
	if s.broken != nil {
		return s.broken
	}
	return s.PutRow(k, start, Row[V]{v, s.time()})
}

// PutRow is Put with a timestamp of the caller's.
func (s *WindowStore[K, V]) PutRow(k K, start time.Time, row Row[V]) error {
	b, err := s.write(k, start)
	if err != nil || b == nil {
		return err
	}
	if err := s.overlay.put(s.overlay.row(b), row.Value, row.Timestamp.UnixMilli()); err != nil || s.index == nil {
		return err
	}
	return s.index.put(s.indexKey(b))
}

// Delete removes the row of k in the window that starts at start.
func (s *WindowStore[K, V]) Delete(k K, start time.Time) error {
	b, err := s.write(k, start)
	if err != nil || b == nil {
		return err
	}
	s.overlay.remove(s.overlay.row(b), s.time().UnixMilli())
	if s.index != nil {
		s.index.remove(s.indexKey(b))
	}
	return nil
}

// write advances the clock and returns the key to write, nil if the window has expired.
func (s *WindowStore[K, V]) write(k K, start time.Time) ([]byte, error) {
	ms := start.UnixMilli()
	if ms < 0 && s.broken == nil {
		return nil, fmt.Errorf("write store %q: window start %v is before 1970", s.overlay.info.Name, start.UTC())
	}
	b, err := s.encode(k, ms)
	if err != nil {
		return nil, err
	}
	s.clock.Advance(ms)
	if ms < s.expired() {
		return nil, nil
	}
	return b, nil
}

// Fetch yields the rows of k with from <= start <= to, by start, as of the beginning of the loop. An error ends it.
func (s *WindowStore[K, V]) Fetch(k K, from, to time.Time) iter.Seq2[Entry[serde.Windowed[K], V], error] {
	return s.fetch(k, from, to, false)
}

// FetchBackward is Fetch from the latest start to the earliest.
func (s *WindowStore[K, V]) FetchBackward(k K, from, to time.Time) iter.Seq2[Entry[serde.Windowed[K], V], error] {
	return s.fetch(k, from, to, true)
}

func (s *WindowStore[K, V]) fetch(k K, from, to time.Time, reverse bool) iter.Seq2[Entry[serde.Windowed[K], V], error] {
	return func(yield func(Entry[serde.Windowed[K], V], error) bool) {
		key, err := s.encodeKey(k)
		if err == nil && s.layout.timeFirst {
			err = fmt.Errorf("fetch from store %q: its rows are ordered by time first: use ScanStarts", s.overlay.info.Name)
		}
		if err != nil {
			yield(Entry[serde.Windowed[K], V]{}, err)
			return
		}
		key = append([]byte(nil), key...)
		lo, hi := max(from.UnixMilli(), s.readable(), 0), min(to.UnixMilli(), s.clock.Now())
		if lo > hi {
			return
		}
		first, last, step := lo/s.layout.segmentMs, hi/s.layout.segmentMs, int64(1)
		if reverse {
			first, last, step = last, first, -1
		}
		for seg := first; ; seg += step {
			lo, hi := s.layout.inSegment(seg, key, lo), s.layout.inSegment(seg, key, hi+1)
			if !s.yieldRange(lo, hi, reverse, len(lo), 0, yield) || seg == last {
				return
			}
		}
	}
}

// ScanStarts yields the rows with from <= start <= to, by start and then key, whether they have expired or not, as of the
// beginning of the loop. An error ends it. Only a store with TimeFirst or TimeIndex can; with an index, a row that is removed before its turn is left out.
func (s *WindowStore[K, V]) ScanStarts(from, to time.Time) iter.Seq2[Entry[serde.Windowed[K], V], error] {
	return func(yield func(Entry[serde.Windowed[K], V], error) bool) {
		if s.broken == nil && !s.layout.timeFirst && s.index == nil {
			yield(Entry[serde.Windowed[K], V]{},
				fmt.Errorf("scan store %q by start: its rows are not ordered by time: declare it with TimeFirst or TimeIndex", s.overlay.info.Name))
			return
		}
		if s.broken != nil {
			yield(Entry[serde.Windowed[K], V]{}, s.broken)
			return
		}
		lo := binary.BigEndian.AppendUint64(nil, uint64(max(from.UnixMilli(), 0)))
		hi := binary.BigEndian.AppendUint64(nil, uint64(max(to.UnixMilli()+1, 0)))
		if s.index != nil {
			s.yieldIndexed(lo, hi, yield)
			return
		}
		s.yieldRange(lo, hi, false, 0, math.MinInt64, yield)
	}
}

// All yields every readable row as of the beginning of the loop, in the order of the store's layout: by segment, key and start, or by start and key
// in a TimeFirst store.
func (s *WindowStore[K, V]) All() iter.Seq2[Entry[serde.Windowed[K], V], error] {
	return func(yield func(Entry[serde.Windowed[K], V], error) bool) {
		if s.broken != nil {
			yield(Entry[serde.Windowed[K], V]{}, s.broken)
			return
		}
		s.yieldRange(nil, nil, false, 0, s.readable(), yield)
	}
}

// yieldRange yields the rows of an engine range with start >= from; keyLen, if not 0, is the length that their engine keys must have.
func (s *WindowStore[K, V]) yieldRange(lo, hi []byte, reverse bool, keyLen int, from int64,
	yield func(Entry[serde.Windowed[K], V], error) bool) bool {
	for r, err := range s.overlay.scan(lo, hi, reverse) {
		var e Entry[serde.Windowed[K], V]
		var start int64
		if err == nil {
			var key []byte
			if key, start, err = s.layout.split(r.key); err == nil && (start < from || keyLen > 0 && len(r.key) != keyLen+s.layout.tail()) {
				continue
			}
			if err == nil {
				e, err = s.entry(key, start, r)
			}
		}
		if !yield(e, err) || err != nil {
			return false
		}
	}
	return true
}

func (s *WindowStore[K, V]) entry(key []byte, start int64, r scanned[V]) (e Entry[serde.Windowed[K], V], err error) {
	if e.Key, err = s.windowed(key, start); err != nil {
		return e, err
	}
	v, ts, err := s.overlay.open(r)
	e.Value, e.Timestamp = v, fromMs(ts)
	return e, err
}

func (s *WindowStore[K, V]) windowed(key []byte, start int64) (w serde.Windowed[K], err error) {
	if w.Key, err = s.key.Decode(key); err != nil {
		return w, fmt.Errorf("decode key of store %q: %w", s.overlay.info.Name, err)
	}
	w.Start = fromMs(start)
	switch s.size {
	case 0:
	case Forever:
		w.End = fromMs(math.MaxInt64)
	default:
		w.End = w.Start.Add(s.size)
	}
	return w, nil
}

// Clock returns the largest window start put so far; ok is false if none was.
func (s *WindowStore[K, V]) Clock() (start time.Time, ok bool) {
	if s.broken != nil || s.clock.Now() == NoTime {
		return time.Time{}, false
	}
	return fromMs(s.clock.Now()), true
}

// Hold keeps rows that start at or after t, even beyond the retention: results that are still to be emitted. It is undone with a failed record, and does
// not outlive the task: call it in the set-up too. Only a store with TimeFirst or TimeIndex gets such rows back from its changelog.
func (s *WindowStore[K, V]) Hold(t time.Time) { s.hold.from(t) }

// readable is the smallest start that reads see.
func (s *WindowStore[K, V]) readable() int64 {
	if s.broken != nil || s.clock.Now() == NoTime {
		return 0
	}
	return s.hold.least(s.clock.Now() - s.overlay.info.Retention.Milliseconds() + 1)
}

// expired is the start below which rows may go.
func (s *WindowStore[K, V]) expired() int64 { return s.readable() }

func (s *WindowStore[K, V]) encodeKey(k K) (b []byte, err error) {
	if s.broken != nil {
		return nil, s.broken
	}
	if s.buf, err = s.key.Append(s.buf[:0], k); err != nil {
		return nil, fmt.Errorf("encode key of store %q: %w", s.overlay.info.Name, err)
	}
	return s.buf, nil
}

func (s *WindowStore[K, V]) encode(k K, start int64) (b []byte, err error) {
	if s.broken != nil {
		return nil, s.broken
	}
	if s.layout.numbered {
		return nil, fmt.Errorf("look a row of store %q up: it keeps any number of rows per key and start: use Add and Fetch", s.overlay.info.Name)
	}
	b = binary.BigEndian.AppendUint64(s.buf[:0], uint64(s.layout.lead(start)))
	if b, err = s.key.Append(b, k); err != nil {
		return nil, fmt.Errorf("encode key of store %q: %w", s.overlay.info.Name, err)
	}
	if !s.layout.timeFirst {
		b = binary.BigEndian.AppendUint64(b, uint64(start))
	}
	s.buf = b
	return b, nil
}

// Info implements Store.
func (s *WindowStore[K, V]) Info() Info { return s.overlay.info }

// Prepare implements Store. Rows that have expired meanwhile are neither logged nor written; deletes are.
func (s *WindowStore[K, V]) Prepare(w *Writer) error {
	gone := s.expired()
	skip := func(l windowLayout) func(key string) bool {
		return func(key string) bool {
			_, start, err := l.split([]byte(key))
			return err == nil && start < gone
		}
	}
	if err := s.overlay.prepare(w, s.layout.logKey, skip(s.layout)); err != nil || s.index == nil {
		return err
	}
	return s.index.prepare(w, skip(s.layout.byTime()))
}

// Committed implements Store.
func (s *WindowStore[K, V]) Committed() error {
	s.overlay.committed()
	if s.index != nil {
		s.index.rows.committed()
	}
	return s.expire()
}

// expire drops the segments that have expired as a whole.
func (s *WindowStore[K, V]) expire() error {
	lead := s.layout.lead(max(s.expired(), 0))
	if s.layout.timeFirst {
		lead -= lead % s.layout.segmentMs
	}
	if lead <= s.dropped {
		return nil
	}
	err := s.overlay.dropBelow(lead)
	if err == nil && s.index != nil {
		err = s.index.rows.dropBelow(lead * s.layout.segmentMs)
	}
	if err != nil {
		return err
	}
	s.dropped = lead
	return nil
}

// Reset implements Store.
func (s *WindowStore[K, V]) Reset() {
	s.overlay.reset()
	if s.index != nil {
		s.index.rows.reset()
	}
}

// Restore implements Store. The changelog's key is that of Kafka Streams: key, start, sequence number. Its value is the row, with the timestamp in front:
// the record's own is the broker's (see topology's plan), since the topic is cut off by age, and event times may be of any age.
//
// Expired rows are passed over, but for those of a store that is ordered by time: they may be held, which is not known before the graph is wired. The
// next commit drops what is not.
func (s *WindowStore[K, V]) Restore(b Batch, logKey, row []byte, _ int64) error {
	if s.layout.numbered {
		return s.restoreAdded(b, logKey, row)
	}
	key, start, _, err := serde.SplitWindowKey(logKey)
	if err != nil {
		return fmt.Errorf("restore store %q: %w", s.overlay.info.Name, err)
	}
	s.clock.Advance(start)
	if start < s.expired() && !s.layout.timeFirst && s.index == nil {
		return nil
	}
	s.buf = s.layout.key(s.buf[:0], key, start)
	if s.index != nil {
		if err := s.index.restore(b, s.indexKey(s.buf), row != nil); err != nil {
			return err
		}
	}
	if row == nil {
		return s.overlay.restore(b, s.buf, nil, 0)
	}
	value, ts, err := s.overlay.split(row)
	if err != nil {
		return err
	}
	return s.overlay.restore(b, s.buf, value, ts)
}

// Pending implements Store.
func (s *WindowStore[K, V]) Pending() (rows int, bytes int64) {
	rows, bytes = len(s.overlay.dirty), s.overlay.dirtyBytes
	if s.index != nil {
		bytes += s.index.rows.dirtyBytes
	}
	return rows, bytes
}
