package arena

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestArena_HandsOutSlicesThatDoNotTouchOneAnother(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var a Arena
		var got, want [][]byte
		size := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(400, 600), rapid.IntRange(0, 2*chunkBytes))
		for i := range rapid.IntRange(1, 60).Draw(t, "slices") {
			b := bytes.Repeat([]byte{byte(i)}, size.Draw(t, "size"))
			want = append(want, b)
			switch rapid.IntRange(0, 2).Draw(t, "how") {
			case 0:
				got = append(got, a.Take(append(a.Tail(), b...)))
			case 1:
				got = append(got, a.Copy(b))
			default: // what was appended to a tail is given up
				_ = append(a.Tail(), "given up"...)
				got = append(got, a.Copy(b))
			}
		}
		for i, b := range got {
			require.Equal(t, len(b), cap(b), "it has no room to grow into the next")
			require.True(t, bytes.Equal(want[i], b), "slice %d", i)
		}
	})
}

func TestArena_KeepsSlicesThatWereNotAppendedToItsTail(t *testing.T) {
	t.Parallel()
	var a Arena
	first := a.Copy([]byte("first"))
	own := []byte("own")
	require.Equal(t, own, a.Take(own))
	require.Empty(t, a.Take(nil))
	second := a.Copy([]byte("second"))
	require.Equal(t, "first", string(first))
	require.Equal(t, "second", string(second))
}

func TestArena_TellsEmptyFromNone(t *testing.T) {
	t.Parallel()
	var a Arena
	require.NotNil(t, a.Copy(nil))
	require.NotNil(t, a.Copy([]byte{}))
	require.NotNil(t, a.Take(a.Tail()))
	require.Empty(t, a.Take(a.Tail()))
}

func TestArena_AllocatesByTheChunk(t *testing.T) {
	t.Parallel()
	var a Arena
	b := make([]byte, 64)
	n := testing.Benchmark(func(bench *testing.B) {
		bench.ReportAllocs()
		for bench.Loop() {
			a.Copy(b)
		}
	})
	require.Zero(t, n.AllocsPerOp())
	require.Less(t, n.AllocedBytesPerOp(), int64(80))
}
