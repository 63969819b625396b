package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/topology"
)

// changeSerde writes the change of a table's row, in Kafka Streams' format of repartition topics behind tables:
//
//	old value | 0                        the row is deleted, or leaves its group
//	new value | 1                        the row is new there
//	varint n | new, n bytes | old | 2    both
type changeSerde[V any] struct{ value serde.Serde[V] }

const (
	onlyOld byte = iota
	onlyNew
	newAndOld
)

// Bind implements serde.Binder.
func (s changeSerde[V]) Bind(topic string, role serde.Role) (serde.Serde[topology.Change[V]], error) {
	value, err := bindTo(s.value, topic, role)
	return changeSerde[V]{value}, err
}

// Append implements serde.Serde.
func (s changeSerde[V]) Append(dst []byte, c topology.Change[V]) ([]byte, error) {
	start, kind := len(dst), onlyOld
	var err error
	switch {
	case !c.HasNew && !c.HasOld:
		return dst, errors.New("encode a change: it has neither an old value nor a new one")
	case c.HasNew:
		if dst, err = s.value.Append(dst, c.New); err != nil {
			return dst, fmt.Errorf("encode the new value of a change: %w", err)
		}
		kind = onlyNew
	}
	if c.HasNew && c.HasOld {
		var length [binary.MaxVarintLen64]byte
		dst = slices.Insert(dst, start, length[:binary.PutVarint(length[:], int64(len(dst)-start))]...)
		kind = newAndOld
	}
	if c.HasOld {
		if dst, err = s.value.Append(dst, c.Old); err != nil {
			return dst, fmt.Errorf("encode the old value of a change: %w", err)
		}
	}
	return append(dst, kind), nil
}

// Decode implements serde.Serde.
func (s changeSerde[V]) Decode(b []byte) (c topology.Change[V], err error) {
	last := len(b) - 1
	if last < 0 {
		return c, errors.New("decode a change: it is empty")
	}
	var now, before []byte
	switch kind := b[last]; kind {
	case onlyOld:
		before, c.HasOld = b[:last], true
	case onlyNew:
		now, c.HasNew = b[:last], true
	case newAndOld:
		n, head := binary.Varint(b[:last])
		if head <= 0 || n < 0 || n > int64(last-head) {
			return c, fmt.Errorf("decode a change: a new value of %d bytes does not fit into %d", n, last)
		}
		end := head + int(n)
		now, before, c.HasNew, c.HasOld = b[head:end], b[end:last], true, true
	default:
		return c, fmt.Errorf("decode a change: its last byte is %d: it must be 0, 1 or 2", kind)
	}
	if c.HasNew {
		if c.New, err = s.value.Decode(now); err != nil {
			return c, fmt.Errorf("decode the new value of a change: %w", err)
		}
	}
	if c.HasOld {
		if c.Old, err = s.value.Decode(before); err != nil {
			return c, fmt.Errorf("decode the old value of a change: %w", err)
		}
	}
	return c, nil
}
