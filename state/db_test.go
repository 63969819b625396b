package state_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

// kept is an engine that outlives the DBs on it.
type kept struct{ state.Engine }

func (kept) Close() error { return nil }

func openDB(t fataler, disk state.Engine) *state.DB {
	t.Helper()
	db, err := state.NewDB(kept{disk}, state.NewMemory())
	require.NoError(t, err)
	return db
}

func env(journal *state.Journal) state.Env {
	return state.Env{
		Journal: journal, Clock: func(string) *state.Clock { return state.NewClock(journal) },
		Time: func() time.Time { return at(0x0102030405) },
	}
}

func numbered(name string) state.KeyValueSpec[string, int64] {
	return state.KeyValue(name, serde.String(), serde.Int64())
}

// put writes one row of a store and commits it.
func put(t *testing.T, db *state.DB, spec state.KeyValueSpec[string, int64], key string, v int64) {
	t.Helper()
	var journal state.Journal
	st, err := db.Open(spec, env(&journal))
	require.NoError(t, err)
	require.NoError(t, st.(*state.KeyValueStore[string, int64]).Put(key, v))
	c := db.Begin()
	require.NoError(t, c.Prepare(st, nil))
	require.Positive(t, c.Size())
	require.NoError(t, c.Apply())
	require.NoError(t, st.Committed())
}

func get(t *testing.T, db *state.DB, spec state.KeyValueSpec[string, int64], key string) (int64, bool) {
	t.Helper()
	var journal state.Journal
	st, err := db.Open(spec, env(&journal))
	require.NoError(t, err)
	v, ok, err := st.(*state.KeyValueStore[string, int64]).Get(key)
	require.NoError(t, err)
	return v, ok
}

func TestDB_KeepsTheRowsOfItsStoresApart(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		disk := open()
		db := openDB(t, disk)
		for i, name := range []string{"one", "two", "three"} {
			put(t, db, numbered(name), "k", int64(i))
		}
		// Stores come in another order, and one is gone.
		db = openDB(t, disk)
		for _, name := range []string{"three", "new", "one"} {
			want := map[string]int64{"one": 0, "three": 2}
			v, ok := get(t, db, numbered(name), "k")
			_, known := want[name]
			require.Equal(t, known, ok, name)
			require.Equal(t, want[name], v, name)
		}
		db = openDB(t, disk)
		v, ok := get(t, db, numbered("two"), "k")
		require.True(t, ok, "a store that is not opened for a while keeps its rows")
		require.EqualValues(t, 1, v)
	})
}

func TestDB_KeepsInMemoryStoresOffTheDisk(t *testing.T) {
	t.Parallel()
	disk := state.NewMemory()
	db := openDB(t, disk)
	before := len(dump(t, disk))
	spec := numbered("one").InMemory()
	put(t, db, spec, "k", 1)
	c := db.Begin()
	require.NoError(t, c.SaveCheckpoint(spec.Info(), state.Checkpoint{Offset: 5}))
	require.NoError(t, c.Apply())
	require.Len(t, dump(t, disk), before+1, "its number alone")
	v, ok := get(t, db, spec, "k")
	require.True(t, ok)
	require.EqualValues(t, 1, v)
	_, ok, err := openDB(t, disk).Checkpoint(spec.Info())
	require.NoError(t, err)
	require.False(t, ok, "its checkpoint goes with it")
}

func TestDB_WipesOneStore(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		db := openDB(t, open())
		one, two := numbered("one"), numbered("two")
		for _, spec := range []state.KeyValueSpec[string, int64]{one, two} {
			put(t, db, spec, "k", 1)
			c := db.Begin()
			require.NoError(t, c.SaveCheckpoint(spec.Info(), state.Checkpoint{Offset: 5}))
			require.NoError(t, c.Apply())
		}
		require.NoError(t, db.Wipe(one.Info()))
		_, ok := get(t, db, one, "k")
		require.False(t, ok)
		_, ok, err := db.Checkpoint(one.Info())
		require.NoError(t, err)
		require.False(t, ok)
		_, ok = get(t, db, two, "k")
		require.True(t, ok)
		_, ok, err = db.Checkpoint(two.Info())
		require.NoError(t, err)
		require.True(t, ok)
	})
}

func TestDB_RemembersCheckpoints(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cp := state.Checkpoint{
			ClusterID: rapid.String().Draw(rt, "cluster"), LeaderEpoch: rapid.Int32Min(-1).Draw(rt, "epoch"),
			Offset: rapid.Int64Min(0).Draw(rt, "offset"), AppliedAt: at(rapid.Int64Range(0, 1<<50).Draw(rt, "time")),
		}
		copy(cp.TopicID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "topic"))
		disk := state.NewMemory()
		db := openDB(rt, disk)
		_, ok, err := db.Checkpoint(numbered("one").Info())
		require.NoError(rt, err)
		require.False(rt, ok)
		c := db.Begin()
		require.NoError(rt, c.SaveCheckpoint(numbered("one").Info(), cp))
		require.NoError(rt, c.Apply())
		got, ok, err := openDB(rt, disk).Checkpoint(numbered("one").Info())
		require.NoError(rt, err)
		require.True(rt, ok)
		require.Equal(rt, cp, got)
	})
}

func TestDB_RefusesCheckpointsItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{"empty": {}, "short": make([]byte, 36), "of a later version": append([]byte{2}, make([]byte, 50)...)} {
		disk := state.NewMemory()
		batch := disk.NewBatch()
		require.NoError(t, batch.Put([]byte("\x00\x00cone"), b))
		require.NoError(t, disk.Apply(batch))
		_, ok, err := openDB(t, disk).Checkpoint(numbered("one").Info())
		require.ErrorContains(t, err, `read checkpoint of store "one": decode checkpoint`, name)
		require.False(t, ok)
	}
}

func TestDB_RefusesNumbersItDoesNotKnow(t *testing.T) {
	t.Parallel()
	disk := state.NewMemory()
	batch := disk.NewBatch()
	require.NoError(t, batch.Put([]byte("\x00\x00none"), []byte{1}))
	require.NoError(t, disk.Apply(batch))
	_, err := state.NewDB(disk, state.NewMemory())
	require.ErrorContains(t, err, `number of store "one" has 1 bytes, want 2`)
}

func TestDB_DiscardsACommit(t *testing.T) {
	t.Parallel()
	db := openDB(t, state.NewMemory())
	c := db.Begin()
	require.NoError(t, c.SaveClocks([]byte("clocks")))
	c.Discard()
	b, err := db.Clocks()
	require.NoError(t, err)
	require.Nil(t, b)
}

func TestDB_ClosesItsEngines(t *testing.T) {
	t.Parallel()
	disk, mem := state.NewMemory(), state.NewMemory()
	db, err := state.NewDB(disk, mem)
	require.NoError(t, err)
	require.NoError(t, errors.Join(db.Flush(), db.Close()))
	for _, e := range []state.Engine{disk, mem} {
		_, _, err := e.Get(nil, []byte("k"))
		require.ErrorIs(t, err, state.ErrClosed)
	}
	_, err = state.NewDB(disk, mem)
	require.ErrorIs(t, err, state.ErrClosed)
}

// The bytes on disk and in changelogs are a format: state that a program of yesterday wrote is read by that of today. A change of a
// file under testdata/format-1 needs a new format version and a way to read the old one.
func TestFormat_OfRowsCheckpointsAndClocks(t *testing.T) {
	t.Parallel()
	disk := state.NewMemory()
	db := openDB(t, disk)
	var journal state.Journal
	var log []logged
	var written []string
	c := db.Begin()
	prepare := func(spec state.Spec, fill func(st state.Store) error) {
		st, err := db.Open(spec, env(&journal))
		require.NoError(t, err)
		require.NoError(t, fill(st))
		require.NoError(t, c.Prepare(st, func(key, value []byte, ms int64) error {
			log = append(log, logged{string(key), string(value), value == nil, ms})
			written = append(written, spec.Info().Name)
			return nil
		}))
		require.NoError(t, c.SaveCheckpoint(spec.Info(), state.Checkpoint{
			ClusterID: "cluster", TopicID: [16]byte{0xaa, 0xbb, 15: 0xff}, LeaderEpoch: 7, Offset: 0x1122334455, AppliedAt: at(0x0a0b0c0d0e),
		}))
	}
	prepare(state.KeyValue("kv", serde.String(), serde.String()), func(st state.Store) error {
		kv := st.(*state.KeyValueStore[string, string])
		return errors.Join(kv.Put("key", "value"), kv.Put("", ""), kv.Delete("gone"))
	})
	window := state.Window("by-segment", serde.String(), serde.String()).Retention(time.Hour)
	fill := func(st state.Store) error {
		w := st.(*state.WindowStore[string, string])
		start := at((3*time.Hour + time.Second).Milliseconds())
		return errors.Join(w.Put("key", start, "value"), w.Put("", start, ""), w.Delete("gone", start))
	}
	prepare(window, fill)
	prepare(state.Window("time-first", serde.String(), serde.String()).Retention(time.Hour).TimeFirst(), fill)
	require.NoError(t, c.SaveClocks([]byte("clocks")))
	require.NoError(t, c.Apply())

	var text strings.Builder
	it, err := disk.Iterate(nil, nil, false)
	require.NoError(t, err)
	for it.Next() {
		text.WriteString(hex.EncodeToString(it.Key()) + " = " + hex.EncodeToString(it.Value()) + "\n")
	}
	require.NoError(t, errors.Join(it.Err(), it.Close()))
	golden.Equal(t, "testdata/format-1/engine.txt", text.String())

	text.Reset()
	for i, l := range log {
		value := hex.EncodeToString([]byte(l.value))
		if l.deleted {
			value = "null"
		}
		text.WriteString(written[i] + ": " + hex.EncodeToString([]byte(l.key)) + " = " + value + " @" + at(l.ms).Format(time.RFC3339Nano) + "\n")
	}
	golden.Equal(t, "testdata/format-1/changelog.txt", text.String())
}

func TestDB_WipesRowsOfAnotherLayout(t *testing.T) {
	t.Parallel()
	disk := state.NewMemory()
	spec := state.Window("w", serde.String(), serde.Int64()).Retention(time.Hour)
	open := func(spec state.Spec) (*state.DB, state.Store, error) {
		db := openDB(t, disk)
		var j state.Journal
		st, err := db.Open(spec, env(&j))
		return db, st, err
	}
	db, st, err := open(spec)
	require.NoError(t, err)
	w := st.(*state.WindowStore[string, int64])
	require.NoError(t, w.Put("k", time.UnixMilli(5), 1))
	c := db.Begin()
	require.NoError(t, c.Prepare(st, nil))
	require.NoError(t, c.SaveCheckpoint(st.Info(), state.Checkpoint{Offset: 1}))
	require.NoError(t, c.Apply())

	db, _, err = open(spec)
	require.NoError(t, err)
	_, ok, err := db.Checkpoint(spec.Info())
	require.NoError(t, err)
	require.True(t, ok, "the same layout is kept")

	db, st, err = open(spec.TimeFirst())
	require.NoError(t, err)
	_, ok, err = db.Checkpoint(spec.Info())
	require.NoError(t, err)
	require.False(t, ok, "another layout is restored from the start")
	for range st.(*state.WindowStore[string, int64]).All() {
		require.Fail(t, "a row of the old layout is left")
	}
	_, _, err = open(spec.WithoutChangelog())
	require.ErrorContains(t, err, "give the store another name")
}
