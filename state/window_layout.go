package state

import (
	"encoding/binary"
	"fmt"

	"github.com/weirstream/weir/serde"
)

// A windowLayout is the form of a window store's engine keys, eight-byte numbers big-endian:
//
//	segment | key | start               the rows of a key lie together; segment = start / segmentMs
//	start | key                         time first: what closes together lies together
//	segment | key | start | arrival     numbered: any number of rows per key and start
//
// In all, what expires together is a range. A store with a time index has its rows in the first form, in part 0 of its table, and in part 1 their
// keys in the second form.
type windowLayout struct {
	timeFirst bool
	timeIndex bool
	numbered  bool
	segmentMs int64
}

const (
	rowsPart  = 0
	indexPart = 1
)

// layout is that of the descriptor's rows.
func (s settings) layout() windowLayout {
	return windowLayout{timeFirst: s.timeFirst, timeIndex: s.timeIndex && !s.timeFirst, numbered: s.duplicates, segmentMs: s.segmentMs()}
}

// segmentMs is the time that a segment of rows spans, which expire together.
func (s settings) segmentMs() int64 { return max(s.retention.Milliseconds()/2, 60_000) }

// byTime is the layout of the time index.
func (l windowLayout) byTime() windowLayout {
	return windowLayout{timeFirst: true, segmentMs: l.segmentMs}
}

// String names the layout, for the DB to notice that another was used before.
func (l windowLayout) String() string {
	if l.timeFirst {
		return "start, key"
	}
	form := fmt.Sprintf("segment of %d ms, key, start", l.segmentMs)
	if l.timeIndex {
		form += "; index of start, key"
	}
	if l.numbered {
		form += ", arrival"
	}
	return form
}

// tail is the length of what follows the start in a key.
func (l windowLayout) tail() int {
	if l.numbered {
		return 8
	}
	return 0
}

// lead is the number that a key with this start begins with.
func (l windowLayout) lead(start int64) int64 {
	if l.timeFirst {
		return start
	}
	return start / l.segmentMs
}

func (l windowLayout) key(dst, key []byte, start int64) []byte {
	dst = append(binary.BigEndian.AppendUint64(dst, uint64(l.lead(start))), key...)
	if !l.timeFirst {
		dst = binary.BigEndian.AppendUint64(dst, uint64(start))
	}
	return dst
}

func (l windowLayout) inSegment(segment int64, key []byte, start int64) []byte {
	dst := binary.BigEndian.AppendUint64(nil, uint64(segment))
	return binary.BigEndian.AppendUint64(append(dst, key...), uint64(start))
}

func (l windowLayout) split(b []byte) (key []byte, start int64, err error) {
	if len(b) >= l.tail() {
		b = b[:len(b)-l.tail()]
	}
	switch {
	case l.timeFirst && len(b) >= 8:
		return b[8:], int64(binary.BigEndian.Uint64(b)), nil
	case !l.timeFirst && len(b) >= 16:
		return b[8 : len(b)-8], int64(binary.BigEndian.Uint64(b[len(b)-8:])), nil
	}
	return nil, 0, fmt.Errorf("read window key: %d bytes are too few: the state is damaged", len(b))
}

// logKey turns an engine key into the changelog's.
func (l windowLayout) logKey(dst, b []byte) []byte {
	key, start, err := l.split(b)
	switch {
	case err != nil:
		return append(dst, b...)
	case l.numbered:
		return append(dst, b[8:]...)
	}
	return serde.AppendWindowKey(dst, key, start, 0)
}
