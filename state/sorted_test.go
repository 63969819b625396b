package state

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// requireSorted checks the shape that the comments of sortedMap promise.
func requireSorted[V any](t require.TestingT, m *sortedMap[V]) {
	var previous string
	rows := 0
	for i, c := range m.chunks {
		require.NotEmpty(t, c.keys)
		require.LessOrEqual(t, len(c.keys), chunkRows)
		require.Len(t, c.values, len(c.keys))
		for j, key := range c.keys {
			if i > 0 || j > 0 {
				require.Less(t, previous, key)
			}
			previous = key
		}
		rows += len(c.keys)
	}
	require.Equal(t, rows, m.len())
}

func TestSortedMap_DoesWhatAMapAndASortDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// Enough keys for a few chunks, and few enough that they meet again.
		key := rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprintf("%04x", rapid.IntRange(0, 4000).Draw(t, "key"))
		})
		var m sortedMap[int]
		model := map[string]int{}
		for i := range rapid.IntRange(0, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0: // a run of keys in order
				start := rapid.IntRange(0, 4000).Draw(t, "start")
				for j := range rapid.IntRange(0, 1500).Draw(t, "length") {
					k := fmt.Sprintf("%04x", start+j)
					_, known := model[k]
					require.Equal(t, !known, m.set(k, i))
					model[k] = i
				}
			case 1: // keys in any order
				for _, k := range rapid.SliceOfN(key, 0, 300).Draw(t, "keys") {
					_, known := model[k]
					require.Equal(t, !known, m.set(k, i))
					model[k] = i
				}
			case 2:
				for _, k := range rapid.SliceOfN(key, 0, 300).Draw(t, "deletes") {
					_, known := model[k]
					require.Equal(t, known, m.delete(k))
					delete(model, k)
				}
			case 3:
				lo, hi := key.Draw(t, "lo"), key.Draw(t, "hi")
				hasHi := rapid.Bool().Draw(t, "hasHi")
				m.deleteRange(lo, hi, hasHi)
				maps.DeleteFunc(model, func(k string, _ int) bool { return k >= lo && (!hasHi || k < hi) })
			case 4: // every other key of a range, which leaves small chunks
				lo, hi := key.Draw(t, "lo"), key.Draw(t, "hi")
				for j, k := range slices.Sorted(maps.Keys(model)) {
					if k >= lo && k < hi && j%8 != 0 {
						require.True(t, m.delete(k))
						delete(model, k)
					}
				}
			}
			requireSorted(t, &m)
		}

		lo, hi := key.Draw(t, "lo"), key.Draw(t, "hi")
		hasHi := rapid.Bool().Draw(t, "hasHi")
		limit := rapid.IntRange(1, 5000).Draw(t, "limit")
		inRange := func(k string) bool { return k >= lo && (!hasHi || k < hi) }
		want := slices.DeleteFunc(slices.Sorted(maps.Keys(model)), func(k string) bool { return !inRange(k) })
		var up, down []string
		m.ascend(lo, hi, hasHi, func(k string, v int) bool {
			require.Equal(t, model[k], v)
			up = append(up, k)
			return len(up) < limit
		})
		m.descend(lo, hi, hasHi, func(k string, v int) bool {
			require.Equal(t, model[k], v)
			down = append(down, k)
			return len(down) < limit
		})
		n := min(limit, len(want))
		require.True(t, slices.Equal(want[:n], up), "want %q, got %q", want[:n], up)
		slices.Reverse(want)
		require.True(t, slices.Equal(want[:n], down), "want %q, got %q", want[:n], down)

		require.Len(t, model, m.len())
		probe := key.Draw(t, "probe")
		v, ok := m.get(probe)
		wantValue, wantOK := model[probe]
		require.Equal(t, wantOK, ok)
		require.Equal(t, wantValue, v)
	})
}

func TestSortedMap_OrdersKeysAsUnsignedBytes(t *testing.T) {
	t.Parallel()
	var m sortedMap[int]
	for i, k := range []string{"\xff", "a", "", "\x80", "a\x00", "\x7f"} {
		require.True(t, m.set(k, i))
	}
	var keys []string
	m.ascend("", "", false, func(k string, _ int) bool {
		keys = append(keys, k)
		return true
	})
	require.Equal(t, []string{"", "a", "a\x00", "\x7f", "\x80", "\xff"}, keys)
}

func TestSortedMap_FillsItsChunksWhenKeysComeInOrder(t *testing.T) {
	t.Parallel()
	var m sortedMap[int]
	for i := range 10 * chunkRows {
		m.set(fmt.Sprintf("%08d", i), i)
	}
	require.Len(t, m.chunks, 10)
	for i := range 10 * chunkRows {
		require.True(t, m.delete(fmt.Sprintf("%08d", i)))
	}
	require.Empty(t, m.chunks)
	require.Zero(t, m.len())
}

func BenchmarkSortedMap_Set(b *testing.B) {
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("%08x", uint32(i)*2654435761)
	}
	var m sortedMap[int]
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i++; i == len(keys) {
			i, m = 0, sortedMap[int]{}
		}
		m.set(keys[i], i)
	}
}
