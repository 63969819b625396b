package serde_test

import (
	"encoding/hex"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
)

// golden pins bytes as Kafka 4.3's own serializers write them.
type golden[T any] struct {
	name  string
	value T
	hex   string
}

func testGolden[T any](t *testing.T, s serde.Serde[T], cases []golden[T]) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, err := s.Append([]byte("dst"), c.value)
			require.NoError(t, err)
			require.Equal(t, "dst", string(b[:3]), "Append must keep what is in dst")
			require.Equal(t, c.hex, hex.EncodeToString(b[3:]))

			v, err := s.Decode(unhex(t, c.hex))
			require.NoError(t, err)
			require.Equal(t, c.value, v)
		})
	}
}

func testRoundTrip[T any](t *testing.T, s serde.Serde[T], gen *rapid.Generator[T]) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SliceOf(rapid.Byte()).Draw(t, "prefix")
		want := gen.Draw(t, "value")
		b, err := s.Append(append([]byte{}, prefix...), want)
		require.NoError(t, err)
		require.Equal(t, prefix, b[:len(prefix):len(prefix)])

		b = b[len(prefix):]
		got, err := s.Decode(b)
		require.NoError(t, err)
		clear(b)
		require.Equal(t, want, got, "the value must not share memory with its encoding")
	})
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func encode[T any](t testing.TB, s serde.Serde[T], v T) []byte {
	t.Helper()
	b, err := s.Append([]byte{}, v)
	require.NoError(t, err)
	return b
}

func TestString_MatchesKafka(t *testing.T) {
	t.Parallel()
	testGolden(t, serde.String(), []golden[string]{
		{"empty", "", ""},
		{"ascii", "weir", "77656972"},
		{"more planes", "gr\u00fc\u00dfe \u20ac \U0001f600", "6772c3bcc39f6520e282ac20f09f9880"},
	})
}

func TestString_KeepsInvalidUTF8(t *testing.T) {
	t.Parallel()
	testGolden(t, serde.String(), []golden[string]{{"lone continuation and cut sequence", "a\x80\xe2\x82", "6180e282"}})
}

func TestBytes_MatchesKafka(t *testing.T) {
	t.Parallel()
	testGolden(t, serde.Bytes(), []golden[[]byte]{
		{"empty", []byte{}, ""},
		{"some", []byte{0, 255, 1}, "00ff01"},
	})
}

func TestBytes_DecodesNilToEmpty(t *testing.T) {
	t.Parallel()
	b, err := serde.Bytes().Decode(nil)
	require.NoError(t, err)
	require.NotNil(t, b)
	require.Empty(t, b)
}

func TestInt32_MatchesKafka(t *testing.T) {
	t.Parallel()
	testGolden(t, serde.Int32(), []golden[int32]{
		{"zero", 0, "00000000"},
		{"one", 1, "00000001"},
		{"minus one", -1, "ffffffff"},
		{"two bytes", 258, "00000102"},
		{"min", math.MinInt32, "80000000"},
		{"max", math.MaxInt32, "7fffffff"},
	})
}

func TestInt64_MatchesKafka(t *testing.T) {
	t.Parallel()
	testGolden(t, serde.Int64(), []golden[int64]{
		{"zero", 0, "0000000000000000"},
		{"one", 1, "0000000000000001"},
		{"minus two", -2, "fffffffffffffffe"},
		{"all bytes", 72623859790382856, "0102030405060708"},
		{"min", math.MinInt64, "8000000000000000"},
		{"max", math.MaxInt64, "7fffffffffffffff"},
	})
}

func TestUint64_IsBigEndian(t *testing.T) {
	t.Parallel()
	testGolden(t, serde.Uint64(), []golden[uint64]{
		{"zero", 0, "0000000000000000"},
		{"all bytes", 0x0102030405060708, "0102030405060708"},
		{"max", math.MaxUint64, "ffffffffffffffff"},
	})
}

func TestFloat64_MatchesKafka(t *testing.T) {
	t.Parallel()
	testGolden(t, serde.Float64(), []golden[float64]{
		{"zero", 0, "0000000000000000"},
		{"negative zero", math.Copysign(0, -1), "8000000000000000"},
		{"one", 1, "3ff0000000000000"},
		{"fraction", -1.5, "bff8000000000000"},
		{"pi", math.Pi, "400921fb54442d18"},
		{"max", math.MaxFloat64, "7fefffffffffffff"},
		{"smallest", math.SmallestNonzeroFloat64, "0000000000000001"},
		{"infinity", math.Inf(1), "7ff0000000000000"},
		{"negative infinity", math.Inf(-1), "fff0000000000000"},
	})
}

func TestFloat64_WritesEveryNaNAsJavaDoes(t *testing.T) {
	t.Parallel()
	for _, nan := range []float64{math.NaN(), math.Float64frombits(0xfff8000000000001)} {
		b := encode(t, serde.Float64(), nan)
		require.Equal(t, "7ff8000000000000", hex.EncodeToString(b))
		v, err := serde.Float64().Decode(b)
		require.NoError(t, err)
		require.True(t, math.IsNaN(v))
	}
}

func TestBool_MatchesKafka(t *testing.T) {
	t.Parallel()
	testGolden(t, serde.Bool(), []golden[bool]{{"true", true, "01"}, {"false", false, "00"}})
}

func TestDecode_RejectsForeignBytes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		decode func([]byte) error
		hex    string
		want   string
	}{
		{"int32 empty", decoder(serde.Int32()), "", "decode int32: want 4 bytes, got 0"},
		{"int32 short", decoder(serde.Int32()), "000000", "decode int32: want 4 bytes, got 3"},
		{"int32 trailing", decoder(serde.Int32()), "0000000000", "decode int32: want 4 bytes, got 5"},
		{"int64 short", decoder(serde.Int64()), "000000", "decode int64: want 8 bytes, got 3"},
		{"int64 trailing", decoder(serde.Int64()), "000000000000000000", "decode int64: want 8 bytes, got 9"},
		{"uint64 short", decoder(serde.Uint64()), "00", "decode uint64: want 8 bytes, got 1"},
		{"float64 trailing", decoder(serde.Float64()), "000000000000000000", "decode float64: want 8 bytes, got 9"},
		{"bool empty", decoder(serde.Bool()), "", "decode bool: want 1 byte, got 0"},
		{"bool trailing", decoder(serde.Bool()), "0100", "decode bool: want 1 byte, got 2"},
		{"bool other byte", decoder(serde.Bool()), "02", "decode bool: want byte 0 or 1, got 2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, c.decode(unhex(t, c.hex)), c.want)
		})
	}
}

// decoder forgets the type of s, so that serdes of several types fit into one table.
func decoder[T any](s serde.Serde[T]) func([]byte) error {
	return func(b []byte) error {
		_, err := s.Decode(b)
		return err
	}
}

func TestScalars_RoundTrip(t *testing.T) {
	t.Parallel()
	anyString := rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })
	t.Run("string", func(t *testing.T) { testRoundTrip(t, serde.String(), anyString) })
	t.Run("bytes", func(t *testing.T) { testRoundTrip(t, serde.Bytes(), rapid.SliceOf(rapid.Byte())) })
	t.Run("int32", func(t *testing.T) { testRoundTrip(t, serde.Int32(), rapid.Int32()) })
	t.Run("int64", func(t *testing.T) { testRoundTrip(t, serde.Int64(), rapid.Int64()) })
	t.Run("uint64", func(t *testing.T) { testRoundTrip(t, serde.Uint64(), rapid.Uint64()) })
	t.Run("float64", func(t *testing.T) { testRoundTrip(t, serde.Float64(), rapid.Float64()) })
	t.Run("bool", func(t *testing.T) { testRoundTrip(t, serde.Bool(), rapid.Bool()) })
}

func TestKeys_OrderOfBytesIsOrderOfValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		require.Equal(t, a < b, less(t, serde.Uint64(), a, b))
		s, u := rapid.String().Draw(t, "s"), rapid.String().Draw(t, "u")
		require.Equal(t, s < u, less(t, serde.String(), s, u))
		i, j := rapid.Int64Min(0).Draw(t, "i"), rapid.Int64Min(0).Draw(t, "j")
		require.Equal(t, i < j, less(t, serde.Int64(), i, j))
	})
}

func TestKeys_NegativeNumbersSortBehindPositiveOnes(t *testing.T) {
	t.Parallel()
	require.True(t, less[int32](t, serde.Int32(), 1, -1))
	require.True(t, less[int64](t, serde.Int64(), math.MaxInt64, math.MinInt64))
	require.True(t, less[float64](t, serde.Float64(), 1, -1))
	require.True(t, less[float64](t, serde.Float64(), -1, -2), "negative floats are in reverse")
}

func less[T any](t require.TestingT, s serde.Serde[T], a, b T) bool {
	x, err := s.Append(nil, a)
	require.NoError(t, err)
	y, err := s.Append(nil, b)
	require.NoError(t, err)
	return string(x) < string(y)
}

// Not parallel: testing.AllocsPerRun counts the allocations of the whole process.
func TestAppend_DoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 64)
	key, window := serde.String(), serde.TimeWindowed(serde.String(), 60_000_000_000)
	number, decimal := serde.Int64(), serde.Float64()
	w := windowed("key", 0, 60_000)
	text := "a string that fits into the buffer"

	require.Zero(t, testing.AllocsPerRun(100, func() { buf, _ = key.Append(buf[:0], text) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { buf, _ = number.Append(buf[:0], math.MaxInt64) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { buf, _ = decimal.Append(buf[:0], math.Pi) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { buf, _ = window.Append(buf[:0], w) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = serde.AppendWindowKey(buf[:0], []byte("key"), 1, 2) }))
}

// Not parallel: see TestAppend_DoesNotAllocate.
func TestDecode_AllocatesTheValueAlone(t *testing.T) {
	text, number := serde.String(), serde.Int64()
	b, n := make([]byte, 100), make([]byte, 8)
	var s string
	var i int64
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { s, _ = text.Decode(b) }), 1.0)
	require.Zero(t, testing.AllocsPerRun(100, func() { i, _ = number.Decode(n) }))
	require.Len(t, s, 100)
	require.Zero(t, i)
}
