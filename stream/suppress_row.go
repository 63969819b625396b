package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/weirstream/weir/dlq"
)

// A suppressRow is what a suppressed table keeps of the updates of a key. Values of V are encoded; nil is no value. V is there for the store's name of its
// type: another V makes other rows.
type suppressRow[V any] struct {
	// prior is the value before the first of the updates: what those downstream have seen last.
	prior []byte
	// latest is the value of the last update, and so are timestamp, in milliseconds, and headers.
	latest    []byte
	timestamp int64
	headers   []Header
	// oldSize is the length of the value before the last update, if that is not prior, and topicSize that of the name of the topic it came from, in
	// characters: Kafka Streams counts them.
	oldSize, topicSize int
}

// size is what Kafka Streams counts for the row in a buffer with a bound: the values, and the context of the record. The key and eight bytes of time
// come on top.
func (r suppressRow[V]) size() int64 {
	n := len(r.prior) + r.oldSize + len(r.latest) + 8 + 8 + 4 + r.topicSize
	for _, h := range r.headers {
		n += utf8.RuneCountInString(h.Key) + len(h.Value)
	}
	return int64(n)
}

// suppressRows is the serde of suppressRow: a byte of flags, the timestamp 8, the two sizes, then the values, each with its length in front, then the
// headers. Numbers are varints but for the timestamp.
type suppressRows[V any] struct{}

const (
	rowHasPrior byte = 1 << iota
	rowHasLatest
)

// Append implements serde.Serde.
func (suppressRows[V]) Append(dst []byte, r suppressRow[V]) ([]byte, error) {
	flags := byte(0)
	if r.prior != nil {
		flags |= rowHasPrior
	}
	if r.latest != nil {
		flags |= rowHasLatest
	}
	dst = binary.BigEndian.AppendUint64(append(dst, flags), uint64(r.timestamp))
	dst = binary.AppendUvarint(dst, uint64(r.oldSize))
	dst = binary.AppendUvarint(dst, uint64(r.topicSize))
	if r.prior != nil {
		dst = append(binary.AppendUvarint(dst, uint64(len(r.prior))), r.prior...)
	}
	if r.latest != nil {
		dst = append(binary.AppendUvarint(dst, uint64(len(r.latest))), r.latest...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.headers)))
	for _, h := range r.headers {
		dst = append(binary.AppendUvarint(dst, uint64(len(h.Key))), h.Key...)
		if h.Value == nil {
			dst = append(dst, 0)
			continue
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(h.Value))+1), h.Value...)
	}
	return dst, nil
}

var errSuppressRow = errors.New("read suppressed row: the state is damaged")

// Decode implements serde.Serde.
func (suppressRows[V]) Decode(b []byte) (r suppressRow[V], err error) {
	if len(b) < 9 {
		return r, errSuppressRow
	}
	flags := b[0]
	r.timestamp = int64(binary.BigEndian.Uint64(b[1:]))
	d := rowDecoder{b: bytes.Clone(b[9:])} // one copy, whose parts the values are
	r.oldSize, r.topicSize = int(d.number()), int(d.number())
	if flags&rowHasPrior != 0 {
		r.prior = d.take(d.number())
	}
	if flags&rowHasLatest != 0 {
		r.latest = d.take(d.number())
	}
	if n := d.number(); n > 0 && n <= uint64(len(d.b)) {
		r.headers = make([]Header, n)
	} else if n > 0 {
		d.damaged = true
	}
	for i := range r.headers {
		r.headers[i] = dlq.Header{Key: string(d.take(d.number()))}
		if n := d.number(); n > 0 {
			r.headers[i].Value = d.take(n - 1)
		}
	}
	if d.damaged || len(d.b) > 0 {
		return suppressRow[V]{}, errSuppressRow
	}
	return r, nil
}

// A rowDecoder reads numbers and pieces.
type rowDecoder struct {
	b       []byte
	damaged bool
}

func (d *rowDecoder) number() uint64 {
	n, w := binary.Uvarint(d.b)
	if w <= 0 {
		d.b, d.damaged = nil, true
		return 0
	}
	d.b = d.b[w:]
	return n
}

func (d *rowDecoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.b, d.damaged = nil, true
		return nil
	}
	part := d.b[:n:n]
	d.b = d.b[n:]
	return part
}
