package serde

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Int32 returns the serde of 32-bit integers: 4 bytes, big-endian two's complement, as Kafka's IntegerSerializer
// writes them.
//
// As keys, negative numbers sort behind positive ones, because stores compare bytes unsigned. Decode rejects any
// other length.
func Int32() Serde[int32] { return int32Serde{} }

// Int64 returns the serde of 64-bit integers: 8 bytes, big-endian two's complement, as Kafka's LongSerializer
// writes them.
//
// As keys, negative numbers sort behind positive ones, because stores compare bytes unsigned. Decode rejects any
// other length.
func Int64() Serde[int64] { return int64Serde{} }

// Uint64 returns the serde of unsigned 64-bit integers: 8 bytes, big-endian. Kafka has no serializer of that kind;
// its LongDeserializer reads numbers up to math.MaxInt64 as they are.
//
// As keys, numbers sort by value. Decode rejects any other length.
func Uint64() Serde[uint64] { return uint64Serde{} }

// Float64 returns the serde of 64-bit floats: the 8 bytes of IEEE 754, big-endian, as Kafka's DoubleSerializer
// writes them.
//
// Every NaN is written as the one that Java writes, 0x7ff8000000000000; all other values keep their bits, negative
// zero included. As keys, negative numbers sort behind positive ones, in reverse. Decode rejects any other length.
func Float64() Serde[float64] { return float64Serde{} }

type int32Serde struct{}

func (int32Serde) Append(dst []byte, v int32) ([]byte, error) {
	return binary.BigEndian.AppendUint32(dst, uint32(v)), nil
}

func (int32Serde) Decode(b []byte) (int32, error) {
	if err := wantLen("int32", b, 4); err != nil {
		return 0, err
	}
	return int32(binary.BigEndian.Uint32(b)), nil
}

type int64Serde struct{}

func (int64Serde) Append(dst []byte, v int64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(v)), nil
}

func (int64Serde) Decode(b []byte) (int64, error) {
	if err := wantLen("int64", b, 8); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

type uint64Serde struct{}

func (uint64Serde) Append(dst []byte, v uint64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, v), nil
}

func (uint64Serde) Decode(b []byte) (uint64, error) {
	if err := wantLen("uint64", b, 8); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

// javaNaN is the only NaN that Double.doubleToLongBits returns. Go's math.NaN has another bit set.
const javaNaN = 0x7ff8000000000000

type float64Serde struct{}

func (float64Serde) Append(dst []byte, v float64) ([]byte, error) {
	bits := math.Float64bits(v)
	if math.IsNaN(v) {
		// One NaN, not 2^53: equal keys have equal bytes.
		bits = javaNaN
	}
	return binary.BigEndian.AppendUint64(dst, bits), nil
}

func (float64Serde) Decode(b []byte) (float64, error) {
	if err := wantLen("float64", b, 8); err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

func wantLen(what string, b []byte, want int) error {
	if len(b) != want {
		return fmt.Errorf("decode %s: want %d bytes, got %d", what, want, len(b))
	}
	return nil
}
