package serde

import (
	"encoding/binary"
	"fmt"
)

// windowKeySuffix is the length of what a window store's key has behind the plain key: i64 start, i32 sequence
// number.
const windowKeySuffix = 12

// AppendWindowKey writes the key under which a window store of Kafka Streams keeps a window, and under which every
// window changelog records it, behind dst: the encoded plain key, then startMs (milliseconds since 1970) as 8 bytes
// and seq as 4 bytes, both big-endian. It returns the extended slice and keeps neither dst nor key.
//
// seq is 0 unless the store keeps duplicates. Neither startMs nor seq may be negative: SplitWindowKey rejects such
// a key. The keys of a plain key are ordered by startMs, then seq.
func AppendWindowKey(dst, key []byte, startMs int64, seq int32) []byte {
	dst = append(dst, key...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(startMs))
	return binary.BigEndian.AppendUint32(dst, uint32(seq))
}

// SplitWindowKey undoes AppendWindowKey. The key that it returns shares memory with b, and is never nil where b is
// not. Too few bytes, a negative start and a negative sequence number are errors.
func SplitWindowKey(b []byte) (key []byte, startMs int64, seq int32, err error) {
	n := len(b) - windowKeySuffix
	if n < 0 {
		return nil, 0, 0, fmt.Errorf("split window key: want at least %d bytes, got %d", windowKeySuffix, len(b))
	}
	startMs = int64(binary.BigEndian.Uint64(b[n:]))
	if startMs < 0 {
		return nil, 0, 0, fmt.Errorf("split window key: start %d ms is negative", startMs)
	}
	seq = int32(binary.BigEndian.Uint32(b[n+8:]))
	if seq < 0 {
		return nil, 0, 0, fmt.Errorf("split window key: sequence number %d is negative", seq)
	}
	return b[:n:n], startMs, seq, nil
}
