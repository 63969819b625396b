package serde

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// A Windowed is a key together with the window that it was aggregated in.
//
// Start is the first instant of the window. End is the first one behind a tumbling or hopping window, and the last
// one of a session or sliding window. Both are whole milliseconds since 1970 and not negative; a decoded Windowed
// has them in UTC, so that it can be compared with ==, where K can, and be the key of a map.
type Windowed[K any] struct {
	Key        K
	Start, End time.Time
}

// String returns what Kafka Streams prints, [key@start/end], with both times in milliseconds since 1970.
func (w Windowed[K]) String() string {
	return fmt.Sprintf("[%v@%d/%d]", w.Key, w.Start.UnixMilli(), w.End.UnixMilli())
}

// TimeWindowed returns the serde of keys in tumbling, hopping or sliding windows of the given size, compatible with
// Kafka Streams' TimeWindowedSerde: the encoding of the plain key, then the start in milliseconds as 8 bytes,
// big-endian.
//
// The end is not written. It is start + size, but not later than time.UnixMilli(math.MaxInt64). Append rejects a
// window with another end, since it would be read as a different one; it also rejects a negative start, a start
// behind the end and times that are no whole milliseconds. Decode rejects what Append could not have written.
//
// A size that is no positive, whole number of milliseconds makes a serde that fails: in Bind, Append and Decode.
//
// The result is Partitioned: records go where the encoding of the plain key sends them. It is a Binder where key is
// one.
func TimeWindowed[K any](key Serde[K], size time.Duration) Serde[Windowed[K]] {
	if size <= 0 || size%time.Millisecond != 0 {
		err := fmt.Errorf("use time-windowed serde: size %s is no positive, whole number of milliseconds", size)
		return invalid[Windowed[K]]{err}
	}
	return newWindowed(key, timeLayout{sizeMs: size.Milliseconds()})
}

// SessionWindowed returns the serde of keys in session windows, compatible with Kafka Streams'
// SessionWindowedSerde: the encoding of the plain key, then the end and then the start, each in milliseconds as 8
// bytes, big-endian.
//
// A session may end when it starts. Append rejects a negative start, a start behind the end and times that are no
// whole milliseconds. Decode rejects what Append could not have written.
//
// The result is Partitioned: records go where the encoding of the plain key sends them. It is a Binder where key is
// one.
func SessionWindowed[K any](key Serde[K]) Serde[Windowed[K]] {
	return newWindowed(key, sessionLayout{})
}

func newWindowed[K any](key Serde[K], l layout) Serde[Windowed[K]] {
	s := windowedSerde[K]{key: key, layout: l}
	if b, ok := key.(Binder[K]); ok {
		return windowedBinder[K]{s, b}
	}
	return s
}

type windowedSerde[K any] struct {
	key    Serde[K]
	layout layout
}

func (s windowedSerde[K]) Append(dst []byte, v Windowed[K]) ([]byte, error) {
	w, err := s.span(v)
	if err != nil {
		return dst, fmt.Errorf("encode %s: %w", s.layout, err)
	}
	out, err := s.key.Append(dst, v.Key)
	if err != nil {
		return dst, fmt.Errorf("encode %s: %w", s.layout, err)
	}
	return s.layout.append(out, w), nil
}

func (s windowedSerde[K]) Decode(b []byte) (Windowed[K], error) {
	width := s.layout.width()
	n := len(b) - width
	if n < 0 {
		return Windowed[K]{}, fmt.Errorf("decode %s: want at least %d bytes, got %d", s.layout, width, len(b))
	}
	w := s.layout.read(b[n:])
	if err := s.layout.check(w); err != nil {
		return Windowed[K]{}, fmt.Errorf("decode %s: %w", s.layout, err)
	}
	key, err := s.key.Decode(b[:n])
	if err != nil {
		return Windowed[K]{}, fmt.Errorf("decode %s: %w", s.layout, err)
	}
	return Windowed[K]{Key: key, Start: time.UnixMilli(w.startMs).UTC(), End: time.UnixMilli(w.endMs).UTC()}, nil
}

// span returns v's window, checked before a byte is written.
func (s windowedSerde[K]) span(v Windowed[K]) (span, error) {
	startMs, err := millis("start", v.Start)
	if err != nil {
		return span{}, err
	}
	endMs, err := millis("end", v.End)
	if err != nil {
		return span{}, err
	}
	w := span{startMs, endMs}
	return w, s.layout.check(w)
}

// PartitionKey returns the encoding of the plain key. What is too short for a windowed key is returned as it is.
func (s windowedSerde[K]) PartitionKey(encoded []byte) []byte {
	n := len(encoded) - s.layout.width()
	if n < 0 {
		return encoded
	}
	return encoded[:n:n]
}

// A windowedBinder is a type of its own, so that a serde counts as a Binder only where there is something to bind.
type windowedBinder[K any] struct {
	windowedSerde[K]
	binder Binder[K]
}

func (s windowedBinder[K]) Bind(topic string, role Role) (Serde[Windowed[K]], error) {
	key, err := s.binder.Bind(topic, role)
	if err != nil {
		return nil, fmt.Errorf("bind %s to topic %q: %w", s.layout, topic, err)
	}
	return newWindowed(key, s.layout), nil
}

// A span is a window in milliseconds since 1970.
type span struct{ startMs, endMs int64 }

// millis converts t. The way back shows both fractions of a millisecond and times beyond the range, which wrap
// around.
func millis(what string, t time.Time) (int64, error) {
	ms := t.UnixMilli()
	if !time.UnixMilli(ms).Equal(t) {
		return 0, fmt.Errorf("%s %s is no whole number of milliseconds", what, t.UTC().Format(time.RFC3339Nano))
	}
	return ms, nil
}

func (w span) check() error {
	if w.startMs < 0 {
		return fmt.Errorf("start %d ms is negative", w.startMs)
	}
	if w.startMs > w.endMs {
		return fmt.Errorf("start %d ms is behind end %d ms", w.startMs, w.endMs)
	}
	return nil
}

// A layout says what is written behind a plain key to make it a windowed one.
type layout interface {
	fmt.Stringer
	// width is the number of bytes that append writes and read wants.
	width() int
	append(dst []byte, w span) []byte
	read(b []byte) span
	// check tells why w cannot be written, or cannot have been.
	check(w span) error
}

type timeLayout struct{ sizeMs int64 }

func (timeLayout) String() string { return "time-windowed key" }

func (timeLayout) width() int { return 8 }

func (timeLayout) append(dst []byte, w span) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(w.startMs))
}

func (l timeLayout) read(b []byte) span {
	startMs := int64(binary.BigEndian.Uint64(b))
	return span{startMs, l.end(startMs)}
}

func (l timeLayout) end(startMs int64) int64 {
	if startMs > math.MaxInt64-l.sizeMs {
		return math.MaxInt64
	}
	return startMs + l.sizeMs
}

func (l timeLayout) check(w span) error {
	if err := w.check(); err != nil {
		return err
	}
	if want := l.end(w.startMs); w.endMs != want {
		return fmt.Errorf("end of a window of %d ms from %d ms is %d ms, got %d ms", l.sizeMs, w.startMs, want, w.endMs)
	}
	return nil
}

type sessionLayout struct{}

func (sessionLayout) String() string { return "session-windowed key" }

func (sessionLayout) width() int { return 16 }

// The end comes first: in a store, the sessions of a key are then ordered by the time at which they expire.
func (sessionLayout) append(dst []byte, w span) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.endMs))
	return binary.BigEndian.AppendUint64(dst, uint64(w.startMs))
}

func (sessionLayout) read(b []byte) span {
	return span{startMs: int64(binary.BigEndian.Uint64(b[8:])), endMs: int64(binary.BigEndian.Uint64(b))}
}

func (sessionLayout) check(w span) error { return w.check() }
