package state_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

func TestKeyValueStore_ReadsBackwardsAndByPrefix(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		r := newRoom(t, open(), plainSpec, 0)
		kv := plainSpec.Open(r)
		r.now = at(1)
		for i, k := range []string{"a", "b/2", "b/1", "c", "\xff\xff", "b"} {
			require.NoError(t, kv.Put(k, int64(i)))
			if k == "b/1" {
				r.commit() // half of the rows are the engine's
			}
		}
		require.NoError(t, kv.Delete("a"))
		require.Equal(t, []string{`"\xff\xff": 4 @1`, `"c": 3 @1`, `"b/2": 1 @1`, `"b/1": 2 @1`, `"b": 5 @1`}, rowsOf(t, kv.AllReverse()))
		require.Equal(t, []string{`"b/2": 1 @1`, `"b/1": 2 @1`}, rowsOf(t, kv.RangeReverse("b/1", "c")))
		require.Empty(t, rowsOf(t, kv.RangeReverse("c", "a")))
		require.Empty(t, rowsOf(t, kv.RangeReverse("a", "")))
		require.Equal(t, []string{`"b/1": 2 @1`, `"b/2": 1 @1`}, rowsOf(t, kv.Prefix("b/", serde.String())))
		require.Equal(t, []string{`"\xff\xff": 4 @1`}, rowsOf(t, kv.Prefix([]byte{0xff}, serde.Bytes())))
		require.Len(t, rowsOf(t, kv.Prefix("", serde.String())), 5)
		require.Empty(t, rowsOf(t, kv.Prefix("d", serde.String())))
		for _, err := range kv.Prefix("a", nil) {
			require.ErrorContains(t, err, "the prefix has no serde")
		}
		// The rows are those of the beginning of the loop.
		var seen []string
		for e, err := range kv.AllReverse() {
			require.NoError(t, err)
			seen = append(seen, e.Key)
			require.NoError(t, kv.Delete("b"))
		}
		require.Equal(t, "b", seen[len(seen)-1])
	})
}

func TestKeyValueStore_PutsIfAbsent(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), plainSpec, 0)
	kv := plainSpec.Open(r)
	r.now = at(1)
	_, had, err := kv.PutIfAbsent("k", 1)
	require.NoError(t, err)
	require.False(t, had)
	was, had, err := kv.PutIfAbsent("k", 2)
	require.NoError(t, err)
	require.True(t, had)
	require.EqualValues(t, 1, was)
	require.Equal(t, []string{`"k": 1 @1`}, rowsOf(t, kv.All()))
	broken := state.KeyValue("plain", serde.String(), serde.String()).Open(r)
	_, _, err = broken.PutIfAbsent("k", "v")
	require.Error(t, err)
	for _, err := range broken.Prefix("a", serde.String()) {
		require.ErrorContains(t, err, "is not open")
	}
}
