package serde

import "fmt"

// Bool returns the serde of booleans: one byte, 1 for true and 0 for false, as Kafka's BooleanSerializer writes
// them.
//
// Decode rejects any other byte and any other length, as Kafka does.
func Bool() Serde[bool] { return boolSerde{} }

type boolSerde struct{}

func (boolSerde) Append(dst []byte, v bool) ([]byte, error) {
	if v {
		return append(dst, 1), nil
	}
	return append(dst, 0), nil
}

func (boolSerde) Decode(b []byte) (bool, error) {
	if len(b) != 1 {
		return false, fmt.Errorf("decode bool: want 1 byte, got %d", len(b))
	}
	if b[0] > 1 {
		return false, fmt.Errorf("decode bool: want byte 0 or 1, got %d", b[0])
	}
	return b[0] == 1, nil
}
