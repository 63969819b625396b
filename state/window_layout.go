package state

import (
	"encoding/binary"
	"fmt"

	"github.com/weirstream/weir/serde"
)

// A windowLayout is the form of a window store's engine keys, eight-byte numbers big-endian:
//
//	segment | key | start     the rows of a key lie together; segment = start / segmentMs
//	start | key               time first: what closes together lies together
//
// In both, what expires together is a range.
type windowLayout struct {
	timeFirst bool
	segmentMs int64
}

// layout is that of the descriptor's rows.
func (s settings) layout() windowLayout {
	return windowLayout{timeFirst: s.timeFirst, segmentMs: max(s.retention.Milliseconds()/2, 60_000)}
}

// String names the layout, for the DB to notice that another was used before.
func (l windowLayout) String() string {
	if l.timeFirst {
		return "start, key"
	}
	return fmt.Sprintf("segment of %d ms, key, start", l.segmentMs)
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
	if err != nil {
		return append(dst, b...)
	}
	return serde.AppendWindowKey(dst, key, start, 0)
}
