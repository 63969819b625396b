package state_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

func lruSpec(maxRows int) state.LRUSpec[string, int64] {
	return state.LRU("recent", serde.String(), serde.Int64(), maxRows)
}

// An lruModel is what an LRU store must be: a list, the row that was used longest ago first.
type lruModel []state.Entry[string, int64]

func (m lruModel) at(k string) int {
	return slices.IndexFunc(m, func(e state.Entry[string, int64]) bool { return e.Key == k })
}

func (m *lruModel) use(i int) { *m = append(slices.Delete(slices.Clone(*m), i, i+1), (*m)[i]) }

func (m *lruModel) put(k string, v int64, limit int) {
	*m = append(m.without(k), state.Entry[string, int64]{Key: k, Value: v})
	if len(*m) > limit {
		*m = (*m)[1:]
	}
}

func (m lruModel) without(k string) lruModel {
	out := slices.Clone(m)
	if i := m.at(k); i >= 0 {
		out = slices.Delete(out, i, i+1)
	}
	return out
}

func (m lruModel) rows() []string {
	rows := []string{}
	for _, e := range m {
		rows = append(rows, rowText(e.Key, e.Value, at(0)))
	}
	slices.Sort(rows)
	return rows
}

func TestLRUStore_IsAListByLastUseThatCommitsAndRollsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(rt, "limit")
		spec := lruSpec(limit)
		r := newRoom(rt, state.NewMemory(), spec, 1<<20)
		r.now = at(0)
		st := spec.Open(r)
		var now, record, committed lruModel
		keys := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
		n := int64(0)
		put := func(rt *rapid.T) {
			k := keys.Draw(rt, "key")
			n++
			require.NoError(rt, st.Put(k, n))
			now.put(k, n, limit)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put": put, "put again": put, "and again": put,
			"get": func(rt *rapid.T) {
				k := keys.Draw(rt, "key")
				v, ok, err := st.Get(k)
				require.NoError(rt, err)
				i := now.at(k)
				require.Equal(rt, i >= 0, ok)
				if ok {
					require.Equal(rt, now[i].Value, v)
					now.use(i)
				}
			},
			"delete": func(rt *rapid.T) {
				k := keys.Draw(rt, "key")
				require.NoError(rt, st.Delete(k))
				now = now.without(k)
			},
			"end of a record":     func(*rapid.T) { r.journal.Release(); record = slices.Clone(now) },
			"failure of a record": func(*rapid.T) { r.journal.Undo(); now = slices.Clone(record) },
			"commit":              func(*rapid.T) { r.commit(); record, committed = slices.Clone(now), slices.Clone(now) },
			"abort":               func(*rapid.T) { r.rollback(); now, record = slices.Clone(committed), slices.Clone(committed) },
			"":                    func(rt *rapid.T) { require.Equal(rt, now.rows(), rowsOf(rt, st.All())) },
		})
		// The order shows in what is deleted first.
		r.rollback()
		for i := range limit {
			require.NoError(rt, st.Put(string(rune('p'+i)), 1))
			committed.put(string(rune('p'+i)), 1, limit)
			require.Equal(rt, committed.rows(), rowsOf(rt, st.All()))
		}
	})
}

func TestLRUStore_RebuildsItsOrderFromTheLastUseBeforeEachCommit(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), lruSpec(3), 1<<20)
	st := lruSpec(3).Open(r)
	r.now = at(1)
	for _, k := range []string{"a", "b", "c", "a", "d"} { // b goes
		require.NoError(t, st.Put(k, 1))
	}
	_, ok, err := st.Get("c")
	require.NoError(t, err)
	require.True(t, ok)
	r.commit()
	var order []string
	for _, l := range r.log {
		order = append(order, l.key)
	}
	require.Equal(t, []string{"b", "a", "d", "c"}, order, "deletes, then rows by their last use")
	require.True(t, r.log[0].deleted)

	other := r.restored(state.NewMemory(), 0)
	again := lruSpec(3).Open(other)
	other.now = at(2)
	require.NoError(t, again.Put("e", 1))
	require.Equal(t, []string{`"c": 1 @1`, `"d": 1 @1`, `"e": 1 @2`}, rowsOf(t, again.All()))
	other.rollback()
	require.Equal(t, []string{`"a": 1 @1`, `"c": 1 @1`, `"d": 1 @1`}, rowsOf(t, again.All()))
	row, ok, err := again.Peek("a")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, state.Row[int64]{Value: 1, Timestamp: at(1)}, row)
	require.NoError(t, again.Put("f", 1))
	_, ok, err = again.Peek("a")
	require.NoError(t, err)
	require.False(t, ok, "a look without use keeps no row")
}

func TestLRUStore_ThatIsNotOpenSaysSo(t *testing.T) {
	t.Parallel()
	st := lruSpec(1).Open(newRoom(t, state.NewMemory(), plainSpec, 0)) // another kind
	_, _, err := st.Get("k")
	require.ErrorContains(t, err, "is not open")
	_, _, err = st.Peek("k")
	require.Error(t, err)
	require.Error(t, st.Put("k", 1))
	require.Error(t, st.PutRow("k", state.Row[int64]{}))
	require.Error(t, st.Delete("k"))
	for _, err := range st.All() {
		require.Error(t, err)
	}
}

func TestInfo_RefusesHistoriesLimitsAndNamesThatCannotBe(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, lruSpec(0).Info().Validate(), "use 1 or more")
	require.ErrorContains(t, versionedSpec(-1).Info().Validate(), "use 0 or more")
	require.NoError(t, versionedSpec(0).Info().Validate())
	require.ErrorContains(t, lruSpec(1).RenamedFrom("a b").Info().Validate(), `no store can have been called "a b"`)
	i := lruSpec(1).RenamedFrom("before").Info()
	require.NoError(t, i.Validate())
	require.Equal(t, "recent", i.Name)
	require.Equal(t, "before", i.DurableName())
	require.Equal(t, "recent", lruSpec(1).Info().DurableName())
}
