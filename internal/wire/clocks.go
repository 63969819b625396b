package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A Clock is the reading of a named clock.
type Clock struct {
	Name   string
	UnixMs int64
}

const clocksVersion = 1

// AppendClocks appends the encoding of clocks to dst: a version byte, their number, and for each the length of its name, the name
// and the reading, numbers as varints.
func AppendClocks(dst []byte, clocks []Clock) []byte {
	dst = append(dst, clocksVersion)
	dst = binary.AppendUvarint(dst, uint64(len(clocks)))
	for _, c := range clocks {
		dst = binary.AppendUvarint(dst, uint64(len(c.Name)))
		dst = append(dst, c.Name...)
		dst = binary.AppendVarint(dst, c.UnixMs)
	}
	return dst
}

var errShort = errors.New("the bytes end too soon")

// DecodeClocks reads what AppendClocks wrote.
func DecodeClocks(b []byte) ([]Clock, error) {
	if len(b) == 0 || b[0] != clocksVersion {
		return nil, fmt.Errorf("decode clocks: unknown version: it was written by a newer release, or by another program")
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > uint64(len(b)) {
		return nil, fmt.Errorf("decode clocks: %w", errShort)
	}
	b = b[1+size:]
	clocks := make([]Clock, 0, n)
	for range n {
		length, size := binary.Uvarint(b)
		if size <= 0 || length > uint64(len(b)-size) {
			return nil, fmt.Errorf("decode clocks: %w", errShort)
		}
		name := string(b[size : size+int(length)])
		b = b[size+int(length):]
		ms, size := binary.Varint(b)
		if size <= 0 {
			return nil, fmt.Errorf("decode clocks: %w", errShort)
		}
		b = b[size:]
		clocks = append(clocks, Clock{name, ms})
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("decode clocks: %d bytes too many", len(b))
	}
	return clocks, nil
}
