package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/serde"
)

// A held is what is kept in a store of a record that waits: all but its key. Functions that see nulls get the value back as it was.
type held[V any] struct {
	value     V
	tombstone bool
	timestamp time.Time
	headers   []Header
}

// hold is what is to be kept of a record.
func hold[K, V any](r *Record[K, V]) held[V] {
	return held[V]{value: r.Value, tombstone: r.Tombstone, timestamp: r.Timestamp, headers: r.Headers}
}

// release fills out with the record of key k that was held.
func (h held[V]) release[K any](k K, out *Record[K, V]) {
	*out = Record[K, V]{Key: k, Value: h.value, Tombstone: h.tombstone, Timestamp: h.timestamp, Headers: h.headers}
}

// A heldSerde writes
//
//	timestamp 8 | number of headers uvarint | for each: length uvarint, key | length+1 uvarint, value | flag 1 | value
//
// where the length+1 of a header's null is 0, and the flag is 1 for a tombstone, which has no value.
type heldSerde[V any] struct{ value serde.Serde[V] }

// Bind implements serde.Binder.
func (s heldSerde[V]) Bind(topic string, role serde.Role) (serde.Serde[held[V]], error) {
	value, err := bindTo(s.value, topic, role)
	return heldSerde[V]{value}, err
}

// Append implements serde.Serde.
func (s heldSerde[V]) Append(dst []byte, h held[V]) ([]byte, error) {
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.timestamp.UnixMilli()))
	dst = binary.AppendUvarint(dst, uint64(len(h.headers)))
	for _, x := range h.headers {
		dst = append(binary.AppendUvarint(dst, uint64(len(x.Key))), x.Key...)
		if x.Value == nil {
			dst = append(dst, 0)
			continue
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(x.Value))+1), x.Value...)
	}
	if h.tombstone {
		return append(dst, 1), nil
	}
	return s.value.Append(append(dst, 0), h.value)
}

var errHeld = errors.New("decode a held record: the bytes end early or are of another form: the state is damaged")

// Decode implements serde.Serde.
func (s heldSerde[V]) Decode(b []byte) (h held[V], err error) {
	if len(b) < 8 {
		return h, errHeld
	}
	h.timestamp = time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
	n, b, ok := cutUvarint(b[8:])
	if !ok || n > uint64(len(b)) { // each header takes two bytes at least
		return h, errHeld
	}
	if n > 0 {
		h.headers = make([]Header, 0, n)
	}
	for range n {
		var key, value []byte
		if key, b, ok = cutBytes(b, 0); !ok {
			return h, errHeld
		}
		if value, b, ok = cutBytes(b, 1); !ok {
			return h, errHeld
		}
		h.headers = append(h.headers, Header{Key: string(key), Value: value})
	}
	switch {
	case len(b) == 1 && b[0] == 1:
		h.tombstone = true
		if null, ok := s.value.(serde.NullSerde[V]); ok {
			h.value, err = null.Decode(nil)
		}
		return h, err
	case len(b) == 0 || b[0] != 0:
		return h, errHeld
	}
	if h.value, err = s.value.Decode(b[1:]); err != nil {
		return h, fmt.Errorf("decode the value of a held record: %w", err)
	}
	return h, nil
}

// cutBytes returns a copy of the bytes behind their length, which is plus too large; nil if it is 0 and plus is not.
func cutBytes(b []byte, plus uint64) (part, rest []byte, ok bool) {
	n, b, ok := cutUvarint(b)
	switch {
	case !ok:
		return nil, nil, false
	case n < plus:
		return nil, b, true
	}
	if n -= plus; n > uint64(len(b)) {
		return nil, nil, false
	}
	return append([]byte{}, b[:n]...), b[n:], true
}

func cutUvarint(b []byte) (n uint64, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 {
		return 0, nil, false
	}
	return n, b[w:], true
}
