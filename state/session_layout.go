package state

import (
	"encoding/binary"
	"fmt"
)

// A sessionLayout is the form of a session store's engine keys, eight-byte numbers big-endian:
//
//	segment | key | end | start     the rows: those of a key lie together; segment = end / segmentMs
//	end | start | key               the time index, if there is one: what closes together lies together
//
// In both, what expires together is a range. With an index, the rows are in part 0 of the store's table and the index is part 1.
type sessionLayout struct {
	timeIndex bool
	segmentMs int64
}

func (s settings) sessionLayout() sessionLayout {
	return sessionLayout{timeIndex: s.timeIndex, segmentMs: s.segmentMs()}
}

// String names the layout, for the DB to notice that another was used before.
func (l sessionLayout) String() string {
	form := fmt.Sprintf("segment of %d ms, key, end, start", l.segmentMs)
	if l.timeIndex {
		form += "; index of end, start, key"
	}
	return form
}

// A sessionSpan is a session in milliseconds since 1970, both bounds part of it.
type sessionSpan struct{ start, end int64 }

// key appends the engine key of a row.
func (l sessionLayout) key(dst, key []byte, w sessionSpan) []byte {
	dst = append(binary.BigEndian.AppendUint64(dst, uint64(w.end/l.segmentMs)), key...)
	return appendSpan(dst, w)
}

// bound is where, in a segment, the sessions of a key begin that end at or after end.
func (l sessionLayout) bound(segment int64, key []byte, end int64) []byte {
	dst := append(binary.BigEndian.AppendUint64(nil, uint64(segment)), key...)
	return appendSpan(dst, sessionSpan{0, end})
}

// split takes an engine key apart.
func (l sessionLayout) split(b []byte) (key []byte, w sessionSpan, err error) {
	if len(b) < 24 {
		return nil, w, fmt.Errorf("read session key: %d bytes are too few: the state is damaged", len(b))
	}
	return splitSpan(b[8:])
}

// logKey turns an engine key into the changelog's, which is that of Kafka Streams: key, end, start.
func (sessionLayout) logKey(dst, b []byte) []byte { return append(dst, b[8:]...) }

// indexKey appends the time index's key of a row.
func (sessionLayout) indexKey(dst, key []byte, w sessionSpan) []byte {
	return append(appendSpan(dst, w), key...)
}

// splitIndex takes a key of the time index apart.
func (sessionLayout) splitIndex(b []byte) (key []byte, w sessionSpan, err error) {
	if len(b) < 16 {
		return nil, w, fmt.Errorf("read session index: %d bytes are too few: the state is damaged", len(b))
	}
	return b[16:], spanOf(b), nil
}

func appendSpan(dst []byte, w sessionSpan) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.end))
	return binary.BigEndian.AppendUint64(dst, uint64(w.start))
}

func spanOf(b []byte) sessionSpan {
	return sessionSpan{start: int64(binary.BigEndian.Uint64(b[8:])), end: int64(binary.BigEndian.Uint64(b))}
}

// splitSpan takes the span off the end of b.
func splitSpan(b []byte) (key []byte, w sessionSpan, err error) {
	n := len(b) - 16
	if n < 0 {
		return nil, w, fmt.Errorf("read session key: %d bytes are too few", len(b))
	}
	if w = spanOf(b[n:]); w.start < 0 || w.end < w.start {
		return nil, w, fmt.Errorf("read session key: %d to %d is no session", w.start, w.end)
	}
	return b[:n:n], w, nil
}
