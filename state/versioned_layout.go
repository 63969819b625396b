package state

import (
	"encoding/binary"
	"fmt"

	"github.com/weirstream/weir/serde"
)

// The rows of a versioned store lie in two parts of its table, eight-byte numbers big-endian:
//
//	0 | key                            the newest version, if it has a value; the row's timestamp is its time
//	1 | segment | key | to | from      an older version, valid from from until before to; segment = to / segmentMs
//
// A delete is a row of the second part with to = from, for good: it holds no time, and tells those before it when they end. Intervals of one key do not
// overlap, so that the order of their ends is that of their times. Versions that ended together expire together, as a range.
const (
	newestPart  = 0
	historyPart = 1
)

// A versionedLayout is the form of the keys in the second part.
type versionedLayout struct{ segmentMs int64 }

func (s settings) versionedLayout() versionedLayout {
	return versionedLayout{segmentMs: max(s.retention.Milliseconds()/2, 60_000)}
}

// String names the layout, for the DB to notice that another was used before.
func (l versionedLayout) String() string {
	return fmt.Sprintf("newest by key, older by segment of %d ms, key, end, start", l.segmentMs)
}

// segment is the one of a version that ended at to.
func (l versionedLayout) segment(to int64) int64 { return to / l.segmentMs }

// key appends the engine key of a version.
func (l versionedLayout) key(dst, key []byte, from, to int64) []byte {
	return binary.BigEndian.AppendUint64(l.ends(dst, key, l.segment(to), to), uint64(from))
}

// ends appends what the keys of the versions in a segment begin with that ended at to.
func (l versionedLayout) ends(dst, key []byte, segment, to int64) []byte {
	dst = append(binary.BigEndian.AppendUint64(dst, uint64(segment)), key...)
	return binary.BigEndian.AppendUint64(dst, uint64(to))
}

// overhead is the length of an engine key without the store's key.
const versionedOverhead = 24

// split returns the times in an engine key.
func (l versionedLayout) split(b []byte) (from, to int64, err error) {
	if len(b) < versionedOverhead {
		return 0, 0, fmt.Errorf("read the key of a version: %d bytes are too few: the state is damaged", len(b))
	}
	n := len(b) - 16
	return int64(binary.BigEndian.Uint64(b[n+8:])), int64(binary.BigEndian.Uint64(b[n:])), nil
}

// A past is the value of a version that is not the newest, or none for a delete.
type past[V any] struct {
	value V
	none  bool
}

// pastSerde writes a byte that tells whether there is a value, and the value.
type pastSerde[V any] struct{ value serde.Serde[V] }

func (s pastSerde[V]) Append(dst []byte, p past[V]) ([]byte, error) {
	if p.none {
		return append(dst, 0), nil
	}
	return s.value.Append(append(dst, 1), p.value)
}

func (s pastSerde[V]) Decode(b []byte) (p past[V], err error) {
	switch {
	case len(b) == 1 && b[0] == 0:
		p.none = true
		return p, nil
	case len(b) == 0 || b[0] != 1:
		return p, fmt.Errorf("decode a version: it does not begin with the byte 0 or 1: the state is damaged")
	}
	p.value, err = s.value.Decode(b[1:])
	return p, err
}

// pastClone lifts a descriptor's Clone.
func pastClone[V any](clone func(V) V) func(past[V]) past[V] {
	if clone == nil {
		return nil
	}
	return func(p past[V]) past[V] {
		if !p.none {
			p.value = clone(p.value)
		}
		return p
	}
}
