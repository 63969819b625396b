package stream

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// Until says how long the updates of a key are held back: UntilWindowCloses or UntilTimeLimit.
type Until interface{ until() (WhenFull, error) }

// UntilWindowCloses holds a window back until it takes no more records: each window is sent once, with its final result. Windows that end up without a
// result are not mentioned. A buffer with bounds must fail when it is full: what is sent early would not be final.
type UntilWindowCloses struct {
	// WhenFull must be FailWhenFull if the buffer has bounds. It does not matter otherwise.
	WhenFull WhenFull
}

// UntilTimeLimit sends a key's latest value once stream time has passed the first of the updates held back by the limit: at most one update per key
// and limit. 0 sends each at once.
type UntilTimeLimit struct {
	// Limit is the time, in whole milliseconds.
	Limit time.Duration
	// WhenFull says what happens when the buffer is over its bounds. The default sends the oldest early.
	WhenFull WhenFull
}

// WhenFull says what a suppressed table does with one update too many for the bounds of its buffer.
type WhenFull uint8

const (
	// EmitEarly sends the oldest rows until the others are within the bounds. It is the default.
	EmitEarly WhenFull = iota
	// FailWhenFull is a failure of the record, which meets the policy.
	FailWhenFull
)

func (u UntilWindowCloses) until() (WhenFull, error) { return u.WhenFull, u.WhenFull.check() }

func (u UntilTimeLimit) until() (WhenFull, error) {
	if u.Limit < 0 || u.Limit%time.Millisecond != 0 {
		return u.WhenFull, fmt.Errorf("%s is %v: use whole milliseconds, not negative", "Limit", u.Limit)
	}
	return u.WhenFull, u.WhenFull.check()
}

func (w WhenFull) check() error {
	if w > FailWhenFull {
		return errors.New("WhenFull is unknown: use EmitEarly or FailWhenFull")
	}
	return nil
}

// Suppress holds the updates of a key back, and sends the latest of them when the time is up. Time is the largest timestamp among the updates that come
// here, and that of IdleAfter. What is due is sent in the order of the times at which the keys were held back first, then of the keys' encodings.
//
// Whoever looks a row up in the result, as a join does, sees what was sent last: while updates of the key are held back, the value before them.
//
// Key: kept. Time: that of the latest update, with its headers. State: st. A row counts for MaxBytes as in Kafka Streams: 8, the encoded key, the
// encoded values before the first update, before the latest one (where it is another) and of the latest one, and 20, the topic's name and the headers.
// Errors: a value that cannot be encoded and FailWhenFull meet the policy; tables over versioned stores are refused. Nulls: a delete is sent like any
// update.
func (t Table[K, V]) Suppress[S state.BufferSpec[K, V]](st S, until UntilTimeLimit, opts ...Option) Table[K, V] {
	return suppressTable(t, state.BufferSpec[K, V](st), until, opts)
}

func suppressTable[K, V any](t Table[K, V], st state.BufferSpec[K, V], until UntilTimeLimit, opts []Option) Table[K, V] {
	if t.b == nil {
		return t
	}
	key, value := st.Serdes()
	s := suppression[K, V]{parent: t.t, value: value, store: st.Rows(key, suppressRows[V]{}, suppressRow[V].size)}
	return Table[K, V]{t.b, s.attach(t.b, until, node("suppress", opts))}
}

// Suppress holds the updates of a window back: until it closes, so that each window is sent once, or until a time limit. See Table.Suppress. The serdes
// of st are those of the key without its window and of the value.
//
// A window closes when stream time has passed its end by the grace of the windows. With UntilWindowCloses the order is that of the windows' ends, then
// of the keys.
//
// Key: kept. Time: that of the latest update, with its headers. State: st; see Table.Suppress for what a row counts. Errors: a value that cannot be encoded
// and FailWhenFull meet the policy; UntilWindowCloses is refused where no windowed aggregation is upstream. Nulls: a window that was deleted is not
// sent by UntilWindowCloses, and is sent as a delete by UntilTimeLimit.
func (t WindowedTable[K, V]) Suppress[S state.BufferSpec[K, V]](st S, until Until, opts ...Option) WindowedTable[K, V] {
	return suppressWindowed(t, state.BufferSpec[K, V](st), until, opts)
}

func suppressWindowed[K, V any](t WindowedTable[K, V], st state.BufferSpec[K, V], until Until, opts []Option) WindowedTable[K, V] {
	if t.b == nil {
		return t
	}
	key, value := st.Serdes()
	s := suppression[Windowed[K], V]{
		parent: t.t, value: value, store: st.Rows(bothEnds(key), suppressRows[V]{}, suppressRow[V].size),
		end: func(k Windowed[K]) time.Time { return k.End },
	}
	return WindowedTable[K, V]{t.b, s.attach(t.b, until, node("suppress", opts))}
}

// A suppression is a call of Suppress.
type suppression[K, V any] struct {
	parent   *tableNode[K, V]
	store    state.BufferSpec[K, suppressRow[V]]
	value    serde.Serde[V]
	end      func(K) time.Time // the end of a key's window
	waitMs   int64
	final    bool
	whenFull WhenFull
}

// settle fills in what until says.
func (s *suppression[K, V]) settle(until Until) (err error) {
	if until == nil {
		return errors.New("no time is given: use UntilWindowCloses or UntilTimeLimit")
	}
	if s.whenFull, err = until.until(); err != nil {
		return err
	}
	records, size := s.store.Bounds()
	if records < 0 || size < 0 {
		return fmt.Errorf("buffer %q has a negative bound", s.store.Info().Name)
	}
	if limit, ok := until.(UntilTimeLimit); ok {
		s.waitMs = limit.Limit.Milliseconds()
		return nil
	}
	s.final = true
	switch {
	case s.parent.closes == nil:
		return errors.New("the table is not windowed, so that nothing closes: use it behind Window and an aggregation, or use UntilTimeLimit")
	case s.whenFull == EmitEarly && min(records, size) < math.MaxInt64:
		return fmt.Errorf("buffer %q has a bound, and what it sends early would not be final: say UntilWindowCloses{WhenFull: FailWhenFull}, "+
			"or leave the bound out", s.store.Info().Name)
	}
	s.waitMs = s.parent.closes.Milliseconds()
	return nil
}

var errPastHeld = errors.New("the table is versioned: its updates may be of the past, and cannot be held back; keep it in a store without " +
	"versions with Materialize")

func (s *suppression[K, V]) attach(b *Builder, until Until, spec topology.NodeSpec) *tableNode[K, V] {
	if spec.Name == "" {
		spec.Name = s.store.Info().Name
	}
	if err := s.settle(until); err != nil {
		b.report(spec, err)
	}
	b.later(func() {
		if s.parent.isVersioned() {
			b.report(spec, errPastHeld)
		}
	})
	s.parent.sendOld() // for those who look rows up
	spec.Owns = append(spec.Owns, s.store)
	t := &tableNode[K, V]{spec: spec, closes: s.parent.closes, follows: s.parent.isAhead}
	t.stores = func() []state.Spec { return append([]state.Spec{s.store}, s.parent.readStores()...) }
	t.read = s.read
	t.port = s.parent.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, topology.Change[V]]) (
		topology.Processor[K, topology.Change[V]], error) {
		value, err := s.bind()
		if err != nil {
			return nil, err
		}
		p := &suppressor[K, V]{
			s: s, nc: c, buffer: s.store.Open(c), value: value, old: t.old,
			clock: c.Clock("suppress/" + s.store.Info().DurableName()), next: next,
		}
		p.maxRecords, p.maxBytes = s.store.Bounds()
		c.OnAdvance(func(now int64) error {
			p.clock.Advance(now)
			return p.release()
		})
		return p, nil
	})
	return t
}

// bind returns the serde of the values in the rows.
func (s *suppression[K, V]) bind() (serde.Serde[V], error) {
	if s.value == nil {
		return nil, fmt.Errorf("store %q has no serde for its value", s.store.Info().Name)
	}
	return bindTo(s.value, s.store.Info().Name, serde.Value)
}

// before is the time of a row that was before the updates which are held back: it is not known.
var before = time.UnixMilli(state.NoTime).UTC()

// read makes the look-up of the result: what those downstream have seen last.
func (s *suppression[K, V]) read(c *topology.NodeContext) (lookup[K, V], error) {
	get, err := s.parent.reader(c)
	if err != nil {
		return nil, err
	}
	value, err := s.bind()
	if err != nil {
		return nil, err
	}
	buffer := s.store.Open(c)
	return func(k K) (row state.Row[V], ok bool, err error) {
		held, ok, err := buffer.Get(k)
		if err != nil || !ok {
			if err == nil {
				return get(k)
			}
			return row, false, err
		}
		if held.prior == nil {
			return row, false, nil
		}
		row.Timestamp = before
		row.Value, err = value.Decode(held.prior)
		return row, err == nil, err
	}, nil
}

// A suppressor is a suppressed table in one task.
//
// Its clock is the largest timestamp of the updates that have come.
type suppressor[K, V any] struct {
	s                    *suppression[K, V]
	nc                   *topology.NodeContext
	buffer               *state.BufferStore[K, suppressRow[V]]
	value                serde.Serde[V]
	old                  bool
	maxRecords, maxBytes int64
	clock                *state.Clock

	next      topology.Processor[K, topology.Change[V]]
	out       Record[K, topology.Change[V]]
	oldBuf    []byte
	latestBuf []byte
	topic     string
	topicSize int
}

func (p *suppressor[K, V]) Process(r *Record[K, topology.Change[V]]) error {
	p.clock.Advance(r.Timestamp.UnixMilli())
	p.nc.Enter()
	if err := p.hold(r); err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	if err := p.release(); err != nil {
		return err
	}
	return p.enforce()
}

// hold puts the update into the buffer.
func (p *suppressor[K, V]) hold(r *Record[K, topology.Change[V]]) error {
	if topic := p.nc.Metadata().Topic; topic != p.topic {
		p.topic, p.topicSize = topic, utf8.RuneCountInString(topic)
	}
	row := suppressRow[V]{timestamp: r.Timestamp.UnixMilli(), headers: r.Headers, topicSize: p.topicSize}
	held, ok, err := p.buffer.Get(r.Key)
	if err != nil {
		return err
	}
	var old []byte
	if !ok || p.maxBytes != math.MaxInt64 {
		if old, err = p.encode(&p.oldBuf, r.Value.Old, r.Value.HasOld); err != nil {
			return err
		}
	}
	if row.prior = old; ok {
		if row.prior = held.prior; !bytes.Equal(row.prior, old) {
			row.oldSize = len(old)
		}
	}
	if row.latest, err = p.encode(&p.latestBuf, r.Value.New, r.Value.HasNew); err != nil {
		return err
	}
	at := r.Timestamp
	if p.s.final {
		at = p.s.end(r.Key)
	}
	return p.buffer.Put(r.Key, at, row)
}

// encode returns the value's encoding, nil for none. It is valid until the buffer is used again.
func (p *suppressor[K, V]) encode(buf *[]byte, v V, has bool) ([]byte, error) {
	if !has {
		return nil, nil
	}
	if *buf == nil {
		*buf = make([]byte, 0, 64)
	}
	b, err := p.value.Append((*buf)[:0], v)
	if err != nil {
		return nil, fmt.Errorf("encode value of store %q: %w", p.buffer.Info().Name, err)
	}
	*buf = b
	return b, nil
}

// release sends what is due.
func (p *suppressor[K, V]) release() error {
	due := p.clock.Now() - p.s.waitMs
	if due < 0 {
		return nil
	}
	for e, err := range p.buffer.Until(time.UnixMilli(due)) {
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
		if err := p.send(e); err != nil {
			return err
		}
	}
	return nil
}

// enforce keeps the buffer within its bounds.
func (p *suppressor[K, V]) enforce() error {
	if p.maxRecords == math.MaxInt64 && p.maxBytes == math.MaxInt64 {
		return nil
	}
	for {
		records, err := p.buffer.Len()
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
		size, err := p.buffer.Bytes()
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
		if records <= p.maxRecords && size <= p.maxBytes {
			return nil
		}
		if p.s.whenFull == FailWhenFull {
			return p.nc.Fail(fmt.Errorf("buffer %q is full: it would hold %d records and %d bytes: raise its bounds", p.buffer.Info().Name, records, size))
		}
		e, ok, err := p.buffer.First()
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
		if !ok {
			return nil
		}
		if err := p.send(e); err != nil {
			return err
		}
	}
}

// send sends a row and takes it out of the buffer, in this order: who looks the row up meanwhile sees what was before.
//
// The old value is the one that was sent last. In Kafka Streams it is that of the last update, which nobody downstream may have seen: an aggregation takes
// back what it was not given, and a filter keeps a row that passed once. A final result follows none.
func (p *suppressor[K, V]) send(e state.Buffered[K, suppressRow[V]]) (err error) {
	p.nc.Enter()
	outer := p.nc.EnterHeld()
	if e.Value.latest != nil || !p.s.final {
		ch := topology.Change[V]{HasNew: e.Value.latest != nil, HasOld: p.old && !p.s.final && e.Value.prior != nil}
		if ch.HasNew {
			ch.New, err = p.value.Decode(e.Value.latest)
		}
		if err == nil && ch.HasOld {
			ch.Old, err = p.value.Decode(e.Value.prior)
		}
		if err != nil {
			return p.nc.FailAt(dlq.Encode, fmt.Errorf("decode row of store %q: %w", p.buffer.Info().Name, err))
		}
		p.out = Record[K, topology.Change[V]]{
			Key: e.Key, Value: ch, Timestamp: time.UnixMilli(e.Value.timestamp).UTC(), Headers: e.Value.headers,
		}
		if err := p.next.Process(&p.out); err != nil {
			return err
		}
	}
	p.nc.LeaveHeld(outer)
	return p.buffer.Remove(e.Key)
}
