package statetest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/state"
)

// RunEngine runs the tests of the contract as subtests of t. open returns a new, empty engine; every test closes its
// own, once. It may be called from several goroutines.
func RunEngine(t *testing.T, open func(t *testing.T) state.Engine) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, e state.Engine)
	}{
		{"KeepsWhatIsPut", testPut},
		{"CopiesWhatItIsGiven", testCopies},
		{"AppendsValuesToDst", testDst},
		{"KeepsEmptyValuesAndRefusesTheEmptyKey", testEmpty},
		{"KeepsLargeValuesAndBatches", testLarge},
		{"AppliesABatchInOrder", testBatchOrder},
		{"DeletesRanges", testDeleteRange},
		{"IteratesRangesInBothDirections", testIterate},
		{"IteratesASnapshot", testSnapshot},
		{"Drops", testDrop},
		{"DiscardsBatches", testDiscard},
		{"ShowsBatchesWholeToConcurrentReaders", testConcurrent},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := open(t)
			test.run(t, e)
			require.NoError(t, e.Close())
		})
	}
	t.Run("IsAnOrderedMap", func(t *testing.T) {
		t.Parallel()
		testModel(t, open)
	})
}

// apply runs f on a batch and applies it.
func apply(t require.TestingT, e state.Engine, f func(b state.Batch)) {
	b := e.NewBatch()
	f(b)
	require.NoError(t, e.Apply(b))
}

// put applies one batch with the rows, each a "key=value".
func put(t require.TestingT, e state.Engine, rows ...string) {
	apply(t, e, func(b state.Batch) {
		for _, row := range rows {
			key, value, _ := strings.Cut(row, "=")
			require.NoError(t, b.Put([]byte(key), []byte(value)))
		}
	})
}

// rows returns the rest of an iterator as "key=value", and closes it.
func rows(t require.TestingT, it state.Iterator) []string {
	all := []string{}
	for it.Next() {
		all = append(all, string(it.Key())+"="+string(it.Value()))
	}
	require.NoError(t, it.Err())
	require.False(t, it.Next(), "Next after the end")
	require.NoError(t, it.Close())
	return all
}

// scan returns the rows of [lo, hi).
func scan(t require.TestingT, e state.Engine, lo, hi []byte, reverse bool) []string {
	it, err := e.Iterate(lo, hi, reverse)
	require.NoError(t, err)
	return rows(t, it)
}

func all(t require.TestingT, e state.Engine) []string { return scan(t, e, nil, nil, false) }

func requireValue(t require.TestingT, e state.Engine, key, want string) {
	v, ok, err := e.Get(nil, []byte(key))
	require.NoError(t, err)
	require.True(t, ok, "key %q", key)
	require.Equal(t, want, string(v), "key %q", key)
}

func requireNone(t require.TestingT, e state.Engine, key string) {
	_, ok, err := e.Get(nil, []byte(key))
	require.NoError(t, err)
	require.False(t, ok, "key %q", key)
}

func testPut(t *testing.T, e state.Engine) {
	requireNone(t, e, "a")
	require.Empty(t, all(t, e))
	put(t, e, "a=1", "b=2")
	requireValue(t, e, "a", "1")
	requireNone(t, e, "aa")
	put(t, e, "a=3")
	requireValue(t, e, "a", "3")
	apply(t, e, func(b state.Batch) {
		require.NoError(t, b.Delete([]byte("a")))
		require.NoError(t, b.Delete([]byte("never there")))
	})
	requireNone(t, e, "a")
	require.Equal(t, []string{"b=2"}, all(t, e))
	require.NoError(t, e.Flush())
	require.Equal(t, []string{"b=2"}, all(t, e))
	apply(t, e, func(state.Batch) {})
	require.Equal(t, []string{"b=2"}, all(t, e))
}

func testCopies(t *testing.T, e state.Engine) {
	key, value, lo, hi := []byte("k"), []byte("v"), []byte("x"), []byte("y")
	put(t, e, "x=1", "z=1")
	apply(t, e, func(b state.Batch) {
		require.NoError(t, b.Put(key, value))
		require.NoError(t, b.DeleteRange(lo, hi))
		key[0], value[0], lo[0], hi[0] = '?', '?', '?', '~'
	})
	require.Equal(t, []string{"k=v", "z=1"}, all(t, e))

	v, _, err := e.Get(nil, []byte("k"))
	require.NoError(t, err)
	v[0] = '?'
	requireValue(t, e, "k", "v")

	lo, hi = []byte("k"), []byte("l")
	it, err := e.Iterate(lo, hi, false)
	require.NoError(t, err)
	lo[0], hi[0] = 'z', 'z'
	require.Equal(t, []string{"k=v"}, rows(t, it))

	lo, hi = []byte("k"), []byte("l")
	require.NoError(t, e.Drop(lo, hi))
	lo[0], hi[0] = 'z', '~'
	require.Equal(t, []string{"z=1"}, all(t, e))
}

func testDst(t *testing.T, e state.Engine) {
	put(t, e, "a=1", "empty=")
	v, ok, err := e.Get([]byte("dst"), []byte("a"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "dst1", string(v))
	for _, key := range []string{"empty", "none"} {
		v, ok, err = e.Get([]byte("dst"), []byte(key))
		require.NoError(t, err)
		require.Equal(t, key == "empty", ok)
		require.Equal(t, "dst", string(v))
	}
}

func testEmpty(t *testing.T, e state.Engine) {
	apply(t, e, func(b state.Batch) {
		require.ErrorContains(t, b.Put(nil, []byte("1")), "key is empty")
		require.ErrorContains(t, b.Put([]byte{}, nil), "key is empty")
		require.NoError(t, b.Delete(nil))
		require.NoError(t, b.Put([]byte("a"), nil))
		require.NoError(t, b.Put([]byte{0}, []byte{}))
	})
	requireNone(t, e, "")
	require.Equal(t, []string{"\x00=", "a="}, all(t, e))
	require.Empty(t, scan(t, e, nil, []byte{}, false), "a bound that is empty but not nil")
	apply(t, e, func(b state.Batch) { require.NoError(t, b.DeleteRange(nil, []byte{})) })
	require.NoError(t, e.Drop(nil, []byte{}))
	require.NoError(t, e.Drop(nil, []byte{0}))
	require.NoError(t, e.Flush())
	require.Equal(t, []string{"\x00=", "a="}, all(t, e))
	requireValue(t, e, "a", "")
	apply(t, e, func(b state.Batch) { require.NoError(t, b.DeleteRange([]byte{}, []byte{0, 0})) })
	require.Equal(t, []string{"a="}, all(t, e))
}

func testLarge(t *testing.T, e state.Engine) {
	key, value := strings.Repeat("k", 60_000), strings.Repeat("v", 3<<20)
	put(t, e, key+"="+value, "a=1")
	requireValue(t, e, key, value)
	apply(t, e, func(b state.Batch) {
		for i := range 20_000 {
			require.NoError(t, b.Put(fmt.Appendf(nil, "row %06d", i), bytes.Repeat([]byte{'x'}, 100)))
		}
		require.Greater(t, b.Size(), 2_000_000)
	})
	require.Len(t, all(t, e), 20_002)
	requireValue(t, e, key, value)
	require.NoError(t, e.Flush())
	require.Len(t, all(t, e), 20_002)
	requireValue(t, e, key, value)
}

func testBatchOrder(t *testing.T, e state.Engine) {
	put(t, e, "a=0", "b=0", "c=0", "d=0")
	apply(t, e, func(b state.Batch) {
		require.NoError(t, b.Put([]byte("a"), []byte("1")))
		require.NoError(t, b.Put([]byte("a"), []byte("2")))
		require.NoError(t, b.Put([]byte("b"), []byte("1")))
		require.NoError(t, b.Delete([]byte("b")))
		require.NoError(t, b.Delete([]byte("c")))
		require.NoError(t, b.Put([]byte("c"), []byte("1")))
		require.NoError(t, b.Put([]byte("bb"), []byte("1")))
		require.NoError(t, b.DeleteRange([]byte("b"), []byte("e")))
		require.NoError(t, b.Put([]byte("d"), []byte("1")))
	})
	require.Equal(t, []string{"a=2", "d=1"}, all(t, e))
}

func testDeleteRange(t *testing.T, e state.Engine) {
	put(t, e, "a=1", "b=1", "c=1", "d=1", "\xff\xff\xff=1")
	apply(t, e, func(b state.Batch) { require.NoError(t, b.DeleteRange([]byte("b"), []byte("d"))) })
	require.Equal(t, []string{"a=1", "d=1", "\xff\xff\xff=1"}, all(t, e))
	apply(t, e, func(b state.Batch) {
		require.NoError(t, b.DeleteRange([]byte("d"), []byte("a"))) // crossed: empty
		require.NoError(t, b.DeleteRange([]byte("d"), []byte("d")))
	})
	require.Len(t, all(t, e), 3)

	// Without an upper bound: also what the batch put before, not what it puts afterwards.
	apply(t, e, func(b state.Batch) {
		require.NoError(t, b.Put([]byte("\xff\xff\xff\xff"), []byte("1")))
		require.NoError(t, b.Put([]byte("e"), []byte("1")))
		require.NoError(t, b.DeleteRange([]byte("d"), nil))
		require.NoError(t, b.Put([]byte("f"), []byte("1")))
		require.NoError(t, b.DeleteRange([]byte("a"), []byte("b")))
		require.NoError(t, b.Put([]byte("g"), []byte("1")))
		require.NoError(t, b.Delete([]byte("g")))
	})
	require.Equal(t, []string{"f=1"}, all(t, e))
	apply(t, e, func(b state.Batch) { require.NoError(t, b.DeleteRange(nil, nil)) })
	require.Empty(t, all(t, e))
	apply(t, e, func(b state.Batch) { require.NoError(t, b.DeleteRange(nil, nil)) })
	require.Empty(t, all(t, e))
}

func testIterate(t *testing.T, e state.Engine) {
	put(t, e, "a=1", "b=2", "b\x00=3", "\x7f=4", "\x80=5", "\xff=6")
	for _, test := range []struct {
		lo, hi []byte
		want   []string
	}{
		{nil, nil, []string{"a=1", "b=2", "b\x00=3", "\x7f=4", "\x80=5", "\xff=6"}},
		{[]byte("b"), nil, []string{"b=2", "b\x00=3", "\x7f=4", "\x80=5", "\xff=6"}},
		{nil, []byte("b"), []string{"a=1"}},
		{[]byte("b"), []byte("\x80"), []string{"b=2", "b\x00=3", "\x7f=4"}},
		{[]byte("aa"), []byte("b\x00"), []string{"b=2"}},
		{[]byte("c"), []byte("d"), []string{}},
		{[]byte("b"), []byte("b"), []string{}},
		{[]byte("\x80"), []byte("a"), []string{}},
		{[]byte("\xff\xff"), nil, []string{}},
	} {
		require.Equal(t, test.want, scan(t, e, test.lo, test.hi, false), "[%q, %q)", test.lo, test.hi)
		for i, j := 0, len(test.want)-1; i < j; i, j = i+1, j-1 {
			test.want[i], test.want[j] = test.want[j], test.want[i]
		}
		require.Equal(t, test.want, scan(t, e, test.lo, test.hi, true), "[%q, %q) downwards", test.lo, test.hi)
	}
	it, err := e.Iterate(nil, nil, false)
	require.NoError(t, err)
	require.True(t, it.Next())
	require.NoError(t, it.Close(), "before the end")
}

func testSnapshot(t *testing.T, e state.Engine) {
	put(t, e, "a=1", "b=1", "c=1")
	up, err := e.Iterate(nil, nil, false)
	require.NoError(t, err)
	down, err := e.Iterate(nil, nil, true)
	require.NoError(t, err)
	require.True(t, up.Next())
	apply(t, e, func(b state.Batch) {
		require.NoError(t, b.DeleteRange([]byte("a"), []byte("c")))
		require.NoError(t, b.Put([]byte("c"), []byte("2")))
		require.NoError(t, b.Put([]byte("bb"), []byte("2")))
	})
	require.NoError(t, e.Flush())
	require.Equal(t, []string{"b=1", "c=1"}, rows(t, up))
	require.Equal(t, []string{"c=1", "b=1", "a=1"}, rows(t, down))
	require.Equal(t, []string{"bb=2", "c=2"}, all(t, e))
}

func testDrop(t *testing.T, e state.Engine) {
	for _, flush := range []bool{false, true} {
		put(t, e, "a=1", "b=1", "c=1", "d=1")
		if flush {
			require.NoError(t, e.Flush())
		}
		for range 2 {
			require.NoError(t, e.Drop([]byte("b"), []byte("d")))
			require.Equal(t, []string{"a=1", "d=1"}, all(t, e))
		}
		requireNone(t, e, "b")
		put(t, e, "b=2")
		requireValue(t, e, "b", "2")
		require.NoError(t, e.Flush())
		require.Equal(t, []string{"a=1", "b=2", "d=1"}, all(t, e))
		require.NoError(t, e.Drop([]byte("x"), []byte("y")))
		require.NoError(t, e.Drop([]byte("d"), []byte("a")))
		require.Len(t, all(t, e), 3)
		require.NoError(t, e.Drop([]byte("b"), nil))
		require.Equal(t, []string{"a=1"}, all(t, e))
		require.NoError(t, e.Drop(nil, nil))
		require.Empty(t, all(t, e))
		require.NoError(t, e.Drop(nil, nil))
	}
}

func testDiscard(t *testing.T, e state.Engine) {
	b := e.NewBatch()
	empty := b.Size()
	require.NoError(t, b.Put([]byte("a"), []byte("1")))
	require.Greater(t, b.Size(), empty)
	require.NoError(t, b.Discard())
	require.Empty(t, all(t, e))
}

// testConcurrent has one writer, whose every batch gives all rows the same value, and readers that must never see
// two.
func testConcurrent(t *testing.T, e state.Engine) {
	const batches, keys = 500, 10
	write := func(n int) {
		apply(t, e, func(b state.Batch) {
			require.NoError(t, b.DeleteRange([]byte("k"), []byte("l")))
			for k := range keys {
				require.NoError(t, b.Put(fmt.Appendf(nil, "k%d", k), fmt.Appendf(nil, "%06d", n)))
			}
		})
	}
	write(0)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for reader := range 4 {
		readers.Go(func() {
			last := ""
			for running := true; running; {
				select {
				case <-done:
					running = false // and once more, for the last batch
				default:
				}
				seen := readTogether(t, e, reader%2 == 0, keys)
				if seen < last {
					t.Errorf("a read went back from %s to %s", last, seen)
				}
				last = seen
			}
			if last != fmt.Sprintf("%06d", batches) {
				t.Errorf("the last read saw %s", last)
			}
		})
	}
	for n := range batches {
		write(n + 1)
		if n%100 == 0 {
			require.NoError(t, e.Flush())
		}
	}
	close(done)
	readers.Wait()
}

// readTogether reads all keys and returns the value they share. It runs beside the test's goroutine: no require.
func readTogether(t *testing.T, e state.Engine, reverse bool, keys int) (seen string) {
	it, err := e.Iterate([]byte("k"), []byte("l"), reverse)
	if err != nil {
		t.Errorf("iterate: %v", err)
		return ""
	}
	n := 0
	for ; it.Next(); n++ {
		if seen != "" && seen != string(it.Value()) {
			t.Errorf("key %s of one snapshot has %s, another %s", it.Key(), it.Value(), seen)
		}
		seen = string(it.Value())
	}
	if n != keys || it.Err() != nil || it.Close() != nil {
		t.Errorf("a snapshot has %d keys of %d: %v", n, keys, it.Err())
	}
	v, ok, err := e.Get(nil, []byte("k5"))
	if err != nil || !ok || string(v) < seen {
		t.Errorf("get after a snapshot with %s: %q, %t, %v", seen, v, ok, err)
	}
	return string(v)
}
