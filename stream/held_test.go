package stream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
)

func TestHeldSerde_KeepsARecordAsItIs(t *testing.T) {
	t.Parallel()
	s := heldSerde[*string]{serde.Nullable(serde.String())}
	rapid.Check(t, func(rt *rapid.T) {
		var headers []Header
		for range rapid.IntRange(0, 4).Draw(rt, "headers") {
			headers = append(headers, Header{
				Key:   rapid.String().Draw(rt, "key"),
				Value: rapid.SampledFrom([][]byte{nil, {}, {0}, []byte("text")}).Draw(rt, "value"),
			})
		}
		r := Record[int, *string]{Timestamp: time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(rt, "time")).UTC(), Headers: headers}
		if r.Tombstone = rapid.Bool().Draw(rt, "tombstone"); !r.Tombstone {
			text := rapid.String().Draw(rt, "text")
			r.Value = &text
		}
		b, err := s.Append([]byte("in front"), hold(&r))
		require.NoError(rt, err)
		h, err := s.Decode(b[len("in front"):])
		require.NoError(rt, err)
		var got Record[int, *string]
		h.release(r.Key, &got)
		require.Equal(rt, r, got)
	})
}

func TestHeldSerde_RefusesForeignBytes(t *testing.T) {
	t.Parallel()
	s := heldSerde[string]{serde.String()}
	r := Record[int, string]{Value: "v", Timestamp: time.UnixMilli(5).UTC(), Headers: []Header{{Key: "k", Value: []byte("x")}, {Key: "n"}}}
	b, err := s.Append(nil, hold(&r))
	require.NoError(t, err)
	for n := range len(b) - 1 {
		_, err := s.Decode(b[:n])
		require.ErrorIs(t, err, errHeld, "%d bytes", n)
	}
	rapid.Check(t, func(rt *rapid.T) {
		_, _ = s.Decode(rapid.SliceOf(rapid.Byte()).Draw(rt, "bytes")) // it must not panic
	})
	bound, err := s.Bind("store", serde.Value)
	require.NoError(t, err)
	h, err := bound.Decode(b)
	require.NoError(t, err)
	require.Equal(t, hold(&r), h)
}
