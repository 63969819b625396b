package serde_test

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
)

func TestAppendWindowKey_MatchesKafkaStreams(t *testing.T) {
	t.Parallel()
	b := serde.AppendWindowKey([]byte("dst"), []byte("a"), 60_000, 5)
	require.Equal(t, "dst", string(b[:3]))
	require.Equal(t, "61000000000000ea6000000005", hex.EncodeToString(b[3:]))
}

func TestSplitWindowKey_RejectsForeignBytes(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, hex, want string }{
		{"short", "0000000000000000000000", "split window key: want at least 12 bytes, got 11"},
		{"negative start", "61ffffffffffffffff00000000", "split window key: start -1 ms is negative"},
		{"negative sequence", "61000000000000000080000000",
			"split window key: sequence number -2147483648 is negative"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, _, _, err := serde.SplitWindowKey(unhex(t, c.hex))
			require.EqualError(t, err, c.want)
		})
	}
}

func TestWindowKey_RoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		wantMs := rapid.Int64Min(0).Draw(t, "start")
		wantSeq := rapid.Int32Min(0).Draw(t, "seq")
		key, startMs, seq, err := serde.SplitWindowKey(serde.AppendWindowKey(nil, want, wantMs, wantSeq))
		require.NoError(t, err)
		require.Equal(t, want, key)
		require.Len(t, key, cap(key), "an append to the key must not reach the window")
		require.Equal(t, wantMs, startMs)
		require.Equal(t, wantSeq, seq)
	})
}

func TestWindowKey_OrdersAKeysWindowsByStartThenSequence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		starts, seqs := rapid.Int64Range(0, math.MaxInt64), rapid.Int32Range(0, 3)
		a, b := starts.Draw(t, "a"), starts.Draw(t, "b")
		i, j := seqs.Draw(t, "i"), seqs.Draw(t, "j")
		want := cmp.Or(cmp.Compare(a, b), cmp.Compare(i, j))
		got := bytes.Compare(serde.AppendWindowKey(nil, key, a, i), serde.AppendWindowKey(nil, key, b, j))
		require.Equal(t, want, got)
	})
}
