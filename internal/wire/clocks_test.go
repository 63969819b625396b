package wire

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/golden"
)

func TestClocks_AreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	clock := rapid.Custom(func(t *rapid.T) Clock {
		return Clock{rapid.String().Draw(t, "name"), rapid.Int64().Draw(t, "time")}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(clock).Draw(t, "clocks")
		prefix := []byte("prefix")
		b := AppendClocks(prefix, want)
		require.Equal(t, prefix, b[:len(prefix)])
		got, err := DecodeClocks(b[len(prefix):])
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestDecodeClocks_RefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	good := AppendClocks(nil, []Clock{{"stream", 5}, {"timer/x/1", 1 << 40}})
	for n := range good {
		_, err := DecodeClocks(good[:n])
		require.ErrorContains(t, err, "decode clocks", "the first %d bytes", n)
	}
	_, err := DecodeClocks(append(good, 0))
	require.ErrorContains(t, err, "1 bytes too many")
	_, err = DecodeClocks(append([]byte{2}, good[1:]...))
	require.ErrorContains(t, err, "unknown version")
	_, err = DecodeClocks([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	require.ErrorContains(t, err, "end too soon", "a number that would take all memory")
}

func FuzzDecodeClocks(f *testing.F) {
	f.Add(AppendClocks(nil, nil))
	f.Add(AppendClocks(nil, []Clock{{"stream", 5}, {"", -1}}))
	f.Add([]byte{1, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		clocks, err := DecodeClocks(b)
		if err != nil {
			return
		}
		again, err := DecodeClocks(AppendClocks(nil, clocks))
		require.NoError(t, err)
		require.Equal(t, clocks, again)
	})
}

// Clocks of yesterday's commits are read by today's program: a change of the file needs a new version.
func TestFormat_OfClocks(t *testing.T) {
	t.Parallel()
	b := AppendClocks(nil, []Clock{{"stream", 1_700_000_000_000}, {"window/counts", 0}, {"", -1}})
	golden.Equal(t, "testdata/clocks-1.txt", hex.EncodeToString(b)+"\n")
}
