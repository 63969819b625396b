package wire

import (
	"encoding/binary"
	"fmt"
)

// A Subscription is what a member tells the group's leader about itself, beside the partitions it owns.
type Subscription struct {
	// ProcessID is the instance's persisted id.
	ProcessID string
	// Workers is the number of workers that share its tasks.
	Workers uint32
	// Signature identifies the durable parts of its topology.
	Signature string
}

const subscriptionVersion = 1

// Append appends the encoding to dst: a version byte, the number of workers, and the two texts behind their lengths, numbers as varints.
func (s Subscription) Append(dst []byte) []byte {
	dst = append(dst, subscriptionVersion)
	dst = binary.AppendUvarint(dst, uint64(s.Workers))
	dst = appendText(dst, s.ProcessID)
	return appendText(dst, s.Signature)
}

// DecodeSubscription reads what Append wrote.
func DecodeSubscription(b []byte) (s Subscription, err error) {
	if len(b) == 0 || b[0] != subscriptionVersion {
		return s, fmt.Errorf("decode subscription: unknown version: it is a newer release's, or another program's")
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > 1<<20 {
		return s, fmt.Errorf("decode subscription: %w", errShort)
	}
	s.Workers = uint32(n)
	b = b[1+size:]
	if s.ProcessID, b, err = takeText(b); err == nil {
		s.Signature, b, err = takeText(b)
	}
	if err == nil && len(b) > 0 {
		err = fmt.Errorf("%d bytes too many", len(b))
	}
	if err != nil {
		return Subscription{}, fmt.Errorf("decode subscription: %w", err)
	}
	return s, nil
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func takeText(b []byte) (s string, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", nil, errShort
	}
	return string(b[size : size+int(n)]), b[size+int(n):], nil
}
