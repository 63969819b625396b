package state_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

// counted is a type whose values share memory.
type counted map[string]int

var (
	plainSpec  = state.KeyValue("plain", serde.String(), serde.Int64())
	sharedSpec = state.KeyValue("shared", serde.String(), serde.JSON[counted]())
)

// A kvModel is what a key-value store must be: three maps.
type kvModel[V any] struct {
	now, record, committed map[string]state.Row[V]
}

func (m *kvModel[V]) rows(from, to string) []string {
	rows := []string{}
	for _, k := range slices.Sorted(maps.Keys(m.now)) {
		if k >= from && (to == "" || k < to) {
			rows = append(rows, rowText(k, m.now[k].Value, m.now[k].Timestamp))
		}
	}
	return rows
}

// checkKeyValue runs random operations on a store and on the model. fresh makes the value of a number.
func checkKeyValue[V any](t *testing.T, spec state.KeyValueSpec[string, V], fresh func(n int) V, open func() state.Engine) {
	rapid.Check(t, func(rt *rapid.T) {
		cache := rapid.SampledFrom([]int64{0, 300, 1 << 20}).Draw(rt, "cache")
		r := newRoom(rt, open(), spec, cache)
		kv := spec.Open(r)
		m := kvModel[V]{map[string]state.Row[V]{}, map[string]state.Row[V]{}, map[string]state.Row[V]{}}
		keys := rapid.SampledFrom([]string{"", "a", "aa", "a\x00", "b", "\x00", "\xff", "\xff\xff", "c", "d", "e", "f"})
		n := 0
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				k := keys.Draw(rt, "key")
				n++
				r.now = at(int64(n))
				require.NoError(rt, kv.Put(k, fresh(n)))
				m.now[k] = state.Row[V]{Value: fresh(n), Timestamp: r.now}
			},
			"put with a time": func(rt *rapid.T) {
				k := keys.Draw(rt, "key")
				n++
				row := state.Row[V]{Value: fresh(n), Timestamp: at(rapid.Int64Range(0, 1<<40).Draw(rt, "time"))}
				require.NoError(rt, kv.PutRow(k, row))
				m.now[k] = state.Row[V]{Value: fresh(n), Timestamp: row.Timestamp}
			},
			"delete": func(rt *rapid.T) {
				k := keys.Draw(rt, "key")
				require.NoError(rt, kv.Delete(k))
				delete(m.now, k)
			},
			"get": func(rt *rapid.T) {
				k := keys.Draw(rt, "key")
				row, ok, err := kv.GetRow(k)
				require.NoError(rt, err)
				want, has := m.now[k]
				require.Equal(rt, has, ok)
				require.Equal(rt, want, row)
			},
			"range": func(rt *rapid.T) {
				from, to := keys.Draw(rt, "from"), keys.Draw(rt, "to")
				want := m.rows(from, to)
				if to == "" {
					want = []string{} // no key is below the empty one
				}
				require.Equal(rt, want, rowsOf(rt, kv.Range(from, to)))
			},
			"end of a record": func(*rapid.T) {
				r.journal.Release()
				m.record = maps.Clone(m.now)
			},
			"failure of a record": func(*rapid.T) {
				r.journal.Undo()
				m.now = maps.Clone(m.record)
			},
			"commit": func(*rapid.T) {
				r.commit()
				m.record, m.committed = maps.Clone(m.now), maps.Clone(m.now)
			},
			"abort": func(*rapid.T) {
				r.rollback()
				m.now, m.record = maps.Clone(m.committed), maps.Clone(m.committed)
			},
			"restart": func(*rapid.T) {
				r.open()
				kv = spec.Open(r)
				m.now, m.record = maps.Clone(m.committed), maps.Clone(m.committed)
			},
			"": func(rt *rapid.T) { require.Equal(rt, m.rows("", ""), rowsOf(rt, kv.All())) },
		})
		m.now = m.committed
		other := r.restored(state.NewMemory(), cache)
		require.Equal(rt, m.rows("", ""), rowsOf(rt, spec.Open(other).All()), "restored from the changelog")
		require.Equal(rt, dump(rt, r.engine), dump(rt, other.engine), "to the byte")
	})
}

// dump lists the rows of an engine.
func dump(t fataler, e state.Engine) []string {
	t.Helper()
	it, err := e.Iterate(nil, nil, false)
	require.NoError(t, err)
	var rows []string
	for it.Next() {
		rows = append(rows, string(it.Key())+" = "+string(it.Value()))
	}
	require.NoError(t, errors.Join(it.Err(), it.Close()))
	return rows
}

func TestKeyValueStore_IsAMapThatCommitsAndRollsBack(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		// A rapid test opens many engines: one database serves them all, wiped in between.
		reuse := func() state.Engine {
			e := open()
			return e
		}
		t.Run("decoded", func(t *testing.T) {
			t.Parallel()
			checkKeyValue(t, plainSpec, func(n int) int64 { return int64(n) }, wiped(t, reuse))
		})
		t.Run("as bytes", func(t *testing.T) {
			t.Parallel()
			checkKeyValue(t, sharedSpec, func(n int) counted { return counted{"n": n} }, wiped(t, reuse))
		})
		t.Run("cloned", func(t *testing.T) {
			t.Parallel()
			checkKeyValue(t, sharedSpec.Clone(maps.Clone), func(n int) counted { return counted{"n": n} }, wiped(t, reuse))
		})
	})
}

// wiped returns an opener of one engine that is empty each time.
func wiped(t *testing.T, open func() state.Engine) func() state.Engine {
	t.Helper()
	e := open()
	return func() state.Engine {
		b := e.NewBatch()
		require.NoError(t, b.DeleteRange(nil, []byte{0xff, 0xff, 0xff}))
		require.NoError(t, e.Apply(b))
		require.Empty(t, dump(t, e))
		return e
	}
}

func TestKeyValueStore_SharesNoMemoryWithItsUsers(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]state.KeyValueSpec[string, counted]{
		"as bytes": sharedSpec, "cloned": sharedSpec.Clone(maps.Clone[counted]),
	} {
		r := newRoom(t, state.NewMemory(), spec, 1<<20)
		kv := spec.Open(r)
		mine := counted{"n": 1}
		require.NoError(t, kv.Put("k", mine))
		mine["n"] = 2
		got, _, err := kv.Get("k")
		require.NoError(t, err)
		require.Equal(t, counted{"n": 1}, got, name)
		got["n"] = 3
		for e, err := range kv.All() {
			require.NoError(t, err)
			require.Equal(t, counted{"n": 1}, e.Value, name)
			e.Value["n"] = 4
		}
		r.commit()
		again, _, err := kv.Get("k")
		require.NoError(t, err)
		again["n"] = 5
		require.Equal(t, []string{`"k": map[n:1] @-62135596800000`}, rowsOf(t, kv.All()), name)
	}
}

func TestKeyValueStore_IteratesOverWhatWasThereAtTheStart(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		r := newRoom(t, open(), plainSpec, 0)
		kv := plainSpec.Open(r)
		r.now = at(1)
		for i, k := range []string{"a", "b", "c", "d"} {
			require.NoError(t, kv.Put(k, int64(i)))
			if k == "b" {
				r.commit() // half of the rows are the engine's
			}
		}
		var seen []string
		for e, err := range kv.All() {
			require.NoError(t, err)
			seen = append(seen, e.Key)
			require.NoError(t, errors.Join(kv.Delete(e.Key), kv.Delete("d"), kv.Put("z"+e.Key, 1), kv.Put("c", 77)))
			if e.Key == "c" {
				require.EqualValues(t, 2, e.Value)
			}
			v, ok, err := kv.Get("c")
			require.NoError(t, err)
			require.True(t, ok)
			require.EqualValues(t, 77, v, "a look-up sees the writes of the loop")
		}
		require.Equal(t, []string{"a", "b", "c", "d"}, seen)
		require.Equal(t, []string{`"c": 77 @1`, `"za": 1 @1`, `"zb": 1 @1`, `"zc": 1 @1`, `"zd": 1 @1`}, rowsOf(t, kv.All()))
	})
}

func TestKeyValueStore_MayBeLeftInTheMiddleOfALoop(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		r := newRoom(t, open(), plainSpec, 0)
		kv := plainSpec.Open(r)
		for _, k := range []string{"a", "b", "c"} {
			require.NoError(t, kv.Put(k, 1))
		}
		r.commit()
		for range kv.All() {
			break
		}
		require.PanicsWithValue(t, "enough", func() {
			for range kv.All() {
				panic("enough")
			}
		}, "a panic must not leave an iterator open: the engine could not be closed")
		for e := range kv.All() {
			for inner := range kv.Range(e.Key, "z") {
				require.LessOrEqual(t, e.Key, inner.Key)
			}
		}
	})
}

func TestKeyValueStore_LogsOneRecordPerRowAndCommitInFirstWriteOrder(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), plainSpec, 0)
	kv := plainSpec.Open(r)
	r.now = at(5)
	for _, k := range []string{"c", "a", "b", "a", "c"} {
		require.NoError(t, kv.Put(k, 1))
	}
	r.now = at(6)
	require.NoError(t, kv.Delete("b"))
	require.NoError(t, kv.Delete("never"))
	rows, bytes := r.store.Pending()
	require.Equal(t, 4, rows)
	require.Positive(t, bytes)
	r.commit()
	one := string([]byte{0, 0, 0, 0, 0, 0, 0, 1})
	require.Equal(t, []logged{
		{"c", one, false, 5}, {"a", one, false, 5}, {"b", "", true, 6}, {"never", "", true, 6},
	}, r.log)
	r.commit()
	require.Len(t, r.log, 4, "what is committed is not logged again")
}

func TestKeyValueStore_TellsEmptyValuesFromNone(t *testing.T) {
	t.Parallel()
	spec := state.KeyValue("texts", serde.String(), serde.String())
	r := newRoom(t, state.NewMemory(), spec, 0)
	kv := spec.Open(r)
	require.NoError(t, kv.Put("", ""))
	r.commit()
	require.Equal(t, []logged{{"", "", false, r.now.UnixMilli()}}, r.log)
	v, ok, err := spec.Open(r.restored(state.NewMemory(), 0)).Get("")
	require.NoError(t, err)
	require.True(t, ok)
	require.Empty(t, v)
}

func TestKeyValueStore_RefusesWhatItCannotEncode(t *testing.T) {
	t.Parallel()
	type bad struct{ C chan int }
	spec := state.KeyValue("bad", serde.Bool(), serde.JSON[bad]())
	r := newRoom(t, state.NewMemory(), spec, 0)
	kv := spec.Open(r)
	require.ErrorContains(t, kv.Put(true, bad{}), `encode row of store "bad"`)
	require.Empty(t, rowsOf(t, kv.All()))
	keys := state.KeyValue("keys", serde.JSON[bad](), serde.Bool())
	r = newRoom(t, state.NewMemory(), keys, 0)
	store := keys.Open(r)
	_, _, err := store.Get(bad{})
	require.ErrorContains(t, err, `encode key of store "keys"`)
	require.ErrorContains(t, store.Put(bad{}, true), `encode key of store "keys"`)
	require.ErrorContains(t, store.Delete(bad{}), `encode key of store "keys"`)
	for _, err := range store.Range(bad{}, bad{}) {
		require.ErrorContains(t, err, `encode key of store "keys"`)
	}
}

func TestKeyValueStore_ThatIsNotOpenSaysSo(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), sharedSpec, 0)
	kv := state.KeyValue("shared", serde.String(), serde.Int64()).Open(r) // another type
	_, _, err := kv.Get("k")
	require.ErrorContains(t, err, `store "shared" is not open: another descriptor of that name is declared`)
	require.Error(t, kv.Put("k", 1))
	require.Error(t, kv.PutRow("k", state.Row[int64]{}))
	require.Error(t, kv.Delete("k"))
	for _, seq := range []func(func(state.Entry[string, int64], error) bool){kv.All(), kv.Range("a", "b")} {
		for _, err := range seq {
			require.Error(t, err)
		}
	}
	w := state.Window("shared", serde.String(), serde.Int64()).Open(r)
	_, _, err = w.Get("k", at(0))
	require.ErrorContains(t, err, "is not open")
	require.Error(t, w.Put("k", at(0), 1))
	require.Error(t, w.PutRow("k", at(0), state.Row[int64]{}))
	require.Error(t, w.Delete("k", at(0)))
	_, ok := w.Clock()
	require.False(t, ok)
	for _, seq := range []func(func(state.Entry[serde.Windowed[string], int64], error) bool){
		w.All(), w.Fetch("k", at(0), at(9)), w.ScanStarts(at(0), at(9)),
	} {
		for _, err := range seq {
			require.ErrorContains(t, err, "is not open")
		}
	}
}

// A broken engine is never a record's fault.
func TestKeyValueStore_NamesItselfInErrorsOfItsEngine(t *testing.T) {
	t.Parallel()
	e := state.NewMemory()
	r := newRoom(t, e, plainSpec, 0)
	kv := plainSpec.Open(r)
	require.NoError(t, kv.Put("k", 1))
	require.NoError(t, e.Close())
	requireEngineError := func(err error) {
		broken, ok := errors.AsType[*state.EngineError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "plain", broken.Store)
		require.ErrorIs(t, err, state.ErrClosed)
	}
	_, _, err := kv.Get("other")
	requireEngineError(err)
	for _, err := range kv.All() {
		requireEngineError(err)
	}
}

func TestKeyValueStore_NamesRowsThatAreDamaged(t *testing.T) {
	t.Parallel()
	e := state.NewMemory()
	r := newRoom(t, e, plainSpec, 0)
	kv := plainSpec.Open(r)
	b := e.NewBatch()
	require.NoError(t, b.Put([]byte("\x00\x01short"), []byte{1, 2, 3}))
	require.NoError(t, b.Put([]byte("\x00\x01odd"), make([]byte, 8+3)))
	require.NoError(t, e.Apply(b))
	for _, k := range []string{"short", "odd"} {
		_, _, err := kv.Get(k)
		_, ok := errors.AsType[*state.EngineError](err)
		require.True(t, ok, "%s: %v", k, err)
	}
}

// The budget counts the values, not the maps around them only.
func TestKeyValueStore_CountsTheBytesOfItsValues(t *testing.T) {
	t.Parallel()
	spec := state.KeyValue("texts", serde.String(), serde.Bytes())
	r := newRoom(t, state.NewMemory(), spec, 1<<20)
	kv := spec.Open(r)
	require.NoError(t, kv.Put("k", make([]byte, 1<<16)))
	_, bytes := r.store.Pending()
	require.GreaterOrEqual(t, bytes, int64(1<<16))
	require.NoError(t, kv.Put("k", make([]byte, 1<<17)))
	_, bytes = r.store.Pending()
	require.GreaterOrEqual(t, bytes, int64(1<<17))
	require.Less(t, bytes, int64(1<<18))
}
