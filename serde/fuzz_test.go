package serde_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
)

// fuzz checks what every decoder owes: no panic, values apart from their encoding, and, where the encoding is
// canonical, the bytes that it was given when the value is encoded again.
func fuzz[T any](f *testing.F, s serde.Serde[T], canonical bool, seeds ...string) {
	f.Helper()
	for _, seed := range append(seeds, "", "\x00", "12345678", "1234567890123456", "\xff\xff\xff\xff\xff\xff\xff\xff") {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// A copy: the fuzzing engine forbids to change what it passed.
		in := bytes.Clone(b)
		v, err := s.Decode(in)
		if err != nil {
			return
		}
		for i := range in {
			in[i] ^= 0xff
		}
		first := encode(t, s, v)
		if canonical {
			require.Equal(t, string(b), string(first))
		}
		again, err := s.Decode(first)
		require.NoError(t, err, "what Append wrote must be readable")
		require.Equal(t, string(first), string(encode(t, s, again)))
	})
}

func FuzzString(f *testing.F) { fuzz(f, serde.String(), true, "weir", "\xe2\x82\xac", "\xe2\x82") }

func FuzzBytes(f *testing.F) { fuzz(f, serde.Bytes(), true, "weir") }

func FuzzInt32(f *testing.F) { fuzz(f, serde.Int32(), true, "\x80\x00\x00\x00", "\x00\x00\x01") }

func FuzzInt64(f *testing.F) {
	fuzz(f, serde.Int64(), true, "\x80\x00\x00\x00\x00\x00\x00\x00", "123456789")
}

func FuzzUint64(f *testing.F) { fuzz(f, serde.Uint64(), true, "123456789") }

// Not canonical: every NaN becomes the same one.
func FuzzFloat64(f *testing.F) { fuzz(f, serde.Float64(), false, "\x7f\xf8\x00\x00\x00\x00\x00\x01") }

func FuzzBool(f *testing.F) { fuzz(f, serde.Bool(), true, "\x01", "\x02", "\x00\x01") }

func FuzzJSON(f *testing.F) {
	fuzz(f, serde.JSON[order](), false, `{"id":"a","cents":1}`, `{"next":{"next":{}},"tags":{"a":"b"}}`, `null`, `{}x`,
		`{"id":"\ud800"}`, `{"ID":"a","id":"b"}`, "{\"id\":\"\xff\"}", `{"cents":1e3}`)
}

func FuzzJSONAny(f *testing.F) {
	fuzz(f, serde.JSON[any](), false, `null`, `[[[[]]]]`, `{"a":[1,2.5e300,true,null,"b"]}`, `1e400`, `-0`)
}

func FuzzNullable(f *testing.F) {
	fuzz[*int64](f, nonNull{serde.Nullable(serde.Int64())}, true, "\x80\x00\x00\x00\x00\x00\x00\x00", "123456789")
}

// nonNull hands nil on as an empty slice: the fuzzing engine does not tell them apart, and null has no encoding.
type nonNull struct{ serde.NullSerde[*int64] }

func (n nonNull) Decode(b []byte) (*int64, error) { return n.NullSerde.Decode(append([]byte{}, b...)) }

func FuzzTimeWindowed(f *testing.F) {
	fuzz(f, serde.TimeWindowed(serde.String(), time.Minute), true, "a\x00\x00\x00\x00\x00\x00\xea\x60",
		"k\x7f\xff\xff\xff\xff\xff\xff\xfa", "k\x7f\xff\xff\xff\xff\xff\xff\xff")
}

func FuzzSessionWindowed(f *testing.F) {
	fuzz(f, serde.SessionWindowed(serde.String()), true,
		"a\x00\x00\x00\x00\x00\x00\xec\x54\x00\x00\x00\x00\x00\x00\xea\x60",
		"\x7f\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff")
}

func FuzzPartitionKey(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("a\x00\x00\x00\x00\x00\x00\xea\x60"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range []serde.Serde[serde.Windowed[string]]{
			serde.TimeWindowed(serde.String(), time.Minute),
			serde.SessionWindowed(serde.String()),
			serde.TimeWindowed(serde.String(), 0),
		} {
			require.True(t, bytes.HasPrefix(b, s.(serde.Partitioned).PartitionKey(b)))
		}
	})
}

func FuzzSplitWindowKey(f *testing.F) {
	f.Add([]byte(""))
	f.Add(serde.AppendWindowKey(nil, []byte("a"), 60_000, 5))
	f.Add([]byte("a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, startMs, seq, err := serde.SplitWindowKey(b)
		if err != nil {
			return
		}
		require.Equal(t, string(b), string(serde.AppendWindowKey(nil, key, startMs, seq)))
	})
}
