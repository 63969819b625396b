package stream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

func TestSuppressRows_AreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	bytes := rapid.Custom(func(t *rapid.T) []byte {
		if rapid.Bool().Draw(t, "nil") {
			return nil
		}
		return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "bytes")...)
	})
	header := rapid.Custom(func(t *rapid.T) Header {
		return Header{Key: rapid.StringN(0, 3, 9).Draw(t, "key"), Value: bytes.Draw(t, "value")}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := suppressRow[string]{
			prior: bytes.Draw(t, "prior"), latest: bytes.Draw(t, "latest"), timestamp: rapid.Int64().Draw(t, "timestamp"),
			oldSize: rapid.IntRange(0, 1<<20).Draw(t, "old"), topicSize: rapid.IntRange(0, 300).Draw(t, "topic"),
		}
		if hs := rapid.SliceOfN(header, 0, 3).Draw(t, "headers"); len(hs) > 0 {
			want.headers = hs
		}
		b, err := suppressRows[string]{}.Append(nil, want)
		require.NoError(t, err)
		got, err := suppressRows[string]{}.Decode(b)
		require.NoError(t, err)
		require.Equal(t, want, got)
		for i := range b {
			got, err := suppressRows[string]{}.Decode(b[:i])
			require.ErrorIs(t, err, errSuppressRow, "%v", got)
		}
		_, err = suppressRows[string]{}.Decode(append(b, 0))
		require.ErrorIs(t, err, errSuppressRow)
	})
}

func FuzzSuppressRows(f *testing.F) {
	f.Add([]byte("\x03\x00\x00\x00\x00\x00\x00\x00\x05\x01\x02\x01a\x01b\x01\x01k\x02v"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = suppressRows[string]{}.Decode(b) })
}

func TestSuppression_RefusesToWaitForWindowsWhereThereAreNone(t *testing.T) {
	t.Parallel()
	settle := func(parent *tableNode[string, string], until Until) error {
		s := suppression[string, string]{parent: parent, store: state.Buffer("x", serde.String(), suppressRows[string]{})}
		return s.settle(until)
	}
	require.ErrorContains(t, settle(&tableNode[string, string]{}, UntilWindowCloses{}), "the table is not windowed")
	require.NoError(t, settle(&tableNode[string, string]{}, UntilTimeLimit{}))
	require.NoError(t, settle(&tableNode[string, string]{closes: new(time.Second)}, UntilWindowCloses{}))
}
