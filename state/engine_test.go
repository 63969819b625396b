package state_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openMemory(testing.TB) state.Engine { return state.NewMemory() }

// openPebble opens a database with the least memory, so that even small tests have it write files.
func openPebble(t testing.TB, dir string) state.Engine {
	e, err := state.OpenPebble(dir, state.PebbleOptions{MemTableBytes: 256 << 10})
	require.NoError(t, err)
	return e
}

func TestMemory_IsAnEngine(t *testing.T) {
	t.Parallel()
	statetest.RunEngine(t, func(t *testing.T) state.Engine { return openMemory(t) })
}

func TestPebble_IsAnEngine(t *testing.T) {
	t.Parallel()
	statetest.RunEngine(t, func(t *testing.T) state.Engine { return openPebble(t, t.TempDir()) })
}

func TestPebble_IsADurableEngine(t *testing.T) {
	t.Parallel()
	statetest.RunDurableEngine(t, func(t *testing.T, dir string) state.Engine { return openPebble(t, dir) })
}

func TestEngines_RefuseCallsAfterClose(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]state.Engine{"memory": openMemory(t), "pebble": openPebble(t, t.TempDir())} {
		b := e.NewBatch()
		require.NoError(t, b.Put([]byte("a"), nil), name)
		require.NoError(t, e.Close(), name)
		require.NoError(t, e.Close(), "%s: closed twice", name)
		v, ok, err := e.Get([]byte("dst"), []byte("a"))
		require.ErrorIs(t, err, state.ErrClosed, name)
		require.False(t, ok, name)
		require.Equal(t, "dst", string(v), name)
		_, err = e.Iterate(nil, nil, false)
		require.ErrorIs(t, err, state.ErrClosed, name)
		require.ErrorIs(t, e.Apply(b), state.ErrClosed, name)
		require.ErrorIs(t, e.Drop(nil, nil), state.ErrClosed, name)
		require.ErrorIs(t, e.Flush(), state.ErrClosed, name)
	}
}

func TestEngines_RefuseBatchesThatAreDoneOrNotTheirs(t *testing.T) {
	t.Parallel()
	memory, pebble := openMemory(t), openPebble(t, t.TempDir())
	another := openPebble(t, t.TempDir())
	require.ErrorContains(t, memory.Apply(pebble.NewBatch()), "not a batch of this engine")
	require.ErrorContains(t, pebble.Apply(memory.NewBatch()), "not a batch of this engine")
	require.ErrorContains(t, pebble.Apply(another.NewBatch()), "not a batch of this engine")
	for _, e := range []state.Engine{memory, pebble} {
		applied, discarded := e.NewBatch(), e.NewBatch()
		require.NoError(t, e.Apply(applied))
		require.NoError(t, discarded.Discard())
		for _, b := range []state.Batch{applied, discarded} {
			const want = "batch is applied or discarded already"
			require.ErrorContains(t, e.Apply(b), want)
			require.ErrorContains(t, b.Put([]byte("a"), nil), want)
			require.ErrorContains(t, b.Delete(nil), want)
			require.ErrorContains(t, b.DeleteRange(nil, nil), want)
			require.Zero(t, b.Size())
			require.NoError(t, b.Discard())
		}
	}
	require.NoError(t, pebble.Close())
	require.NoError(t, another.Close())
}

const benchRows = 100_000

func benchKey(i int) []byte {
	return binary.BigEndian.AppendUint64([]byte("\x00\x01bench-"), uint64(i)*2654435761)
}

func benchEngines(b *testing.B, run func(b *testing.B, e state.Engine)) {
	for _, engine := range []struct {
		name string
		open func(b *testing.B) state.Engine
	}{
		{"memory", func(b *testing.B) state.Engine { return openMemory(b) }},
		{"pebble", func(b *testing.B) state.Engine {
			shared := state.NewPebbleShared(64<<20, 100)
			b.Cleanup(func() { require.NoError(b, shared.Close()) })
			e, err := state.OpenPebble(b.TempDir(), state.PebbleOptions{Shared: shared})
			require.NoError(b, err)
			return e
		}},
	} {
		b.Run(engine.name, func(b *testing.B) {
			e := engine.open(b)
			run(b, e)
			require.NoError(b, e.Close())
		})
	}
}

// applyRows applies one batch of n rows of 100 bytes.
func applyRows(b *testing.B, e state.Engine, first, n int) {
	batch, value := e.NewBatch(), make([]byte, 100)
	for i := first; i < first+n; i++ {
		require.NoError(b, batch.Put(benchKey(i%benchRows), value))
	}
	require.NoError(b, e.Apply(batch))
}

func BenchmarkEngine_Get(b *testing.B) {
	benchEngines(b, func(b *testing.B, e state.Engine) {
		for i := 0; i < benchRows; i += 1000 {
			applyRows(b, e, i, 1000)
		}
		require.NoError(b, e.Flush())
		b.ReportAllocs()
		var dst []byte
		i := 0
		for b.Loop() {
			v, ok, err := e.Get(dst[:0], benchKey(i%benchRows))
			if !ok || err != nil {
				b.Fatal(ok, err)
			}
			dst, i = v, i+7919
		}
	})
}

// BenchmarkEngine_Iterate measures a range of 1000 rows.
func BenchmarkEngine_Iterate(b *testing.B) {
	benchEngines(b, func(b *testing.B, e state.Engine) {
		applyRows(b, e, 0, 1000)
		require.NoError(b, e.Flush())
		b.ReportAllocs()
		for b.Loop() {
			it, err := e.Iterate(nil, nil, false)
			require.NoError(b, err)
			n := 0
			for it.Next() {
				n += len(it.Key()) + len(it.Value())
			}
			require.NoError(b, it.Err())
			require.NoError(b, it.Close())
		}
	})
}

// BenchmarkEngine_Apply measures one batch of 1000 rows.
func BenchmarkEngine_Apply(b *testing.B) {
	benchEngines(b, func(b *testing.B, e state.Engine) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			applyRows(b, e, i, 1000)
			i += 1000
		}
	})
}
