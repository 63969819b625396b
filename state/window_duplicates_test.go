package state_test

import (
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

func duplicatesSpec() state.WindowSpec[string, int64] { return windowSpec().Duplicates() }

// An added row is one of the model: rows in the order of their adds.
type added struct {
	key   string
	start int64
	value int64
}

// An addedModel is what a store of duplicates must be.
type addedModel struct {
	rows   []added
	newest int64
}

func (m addedModel) clone() addedModel { return addedModel{slices.Clone(m.rows), m.newest} }

func (m *addedModel) add(row added) {
	m.newest = max(m.newest, row.start)
	m.rows = append(m.rows, row)
}

func (m addedModel) fetch(key string, from, to int64) []string {
	out := []string{}
	rows := slices.Clone(m.rows)
	slices.SortStableFunc(rows, func(a, b added) int { return cmp.Compare(a.start, b.start) })
	for _, row := range rows {
		if row.key == key && row.start >= from && row.start <= to && row.start > m.newest-retention.Milliseconds() {
			out = append(out, rowText(serde.Windowed[string]{Key: row.key, Start: at(row.start)}, row.value, at(row.start)))
		}
	}
	return out
}

func checkDuplicates(t *testing.T, open func() state.Engine) {
	spec := duplicatesSpec()
	rapid.Check(t, func(rt *rapid.T) {
		r := newRoom(rt, open(), spec, rapid.SampledFrom([]int64{0, 300, 1 << 20}).Draw(rt, "cache"))
		w := spec.Open(r)
		now := addedModel{newest: state.NoTime}
		record, committed := now.clone(), now.clone()
		keys := rapid.SampledFrom([]string{"", "a", "aa", "a\x00\x00\x00\x00\x00\x00\x00\x00", "\xff"})
		n := int64(0)
		compare := func(rt *rapid.T) {
			k := keys.Draw(rt, "fetched")
			from := rapid.Int64Range(-10, 600_000).Draw(rt, "from")
			to := from + rapid.Int64Range(-1, 400_000).Draw(rt, "span")
			require.Equal(rt, now.fetch(k, from, to), rowsOf(rt, w.Fetch(k, at(from), at(to))))
			require.Equal(rt, now.fetch(k, 0, 1<<40), rowsOf(rt, w.Fetch(k, at(0), at(1<<40))))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": compare,
			"add": func(rt *rapid.T) {
				n++
				row := added{keys.Draw(rt, "key"), rapid.Int64Range(0, 12).Draw(rt, "start") * 40_000, n}
				now.add(row)
				require.NoError(rt, w.Add(row.key, at(row.start), row.value))
			},
			"record": func(*rapid.T) { r.journal.Release(); record = now.clone() },
			"undo":   func(*rapid.T) { r.journal.Undo(); now = record.clone() },
			"commit": func(*rapid.T) { r.commit(); record, committed = now.clone(), now.clone() },
			"rollback": func(*rapid.T) {
				r.rollback()
				now, record = committed.clone(), committed.clone()
			},
			"restart": func(*rapid.T) {
				r.open()
				w = spec.Open(r)
				now, record = committed.clone(), committed.clone()
			},
			"restore": func(*rapid.T) {
				r = r.restored(open(), r.cache)
				w = spec.Open(r)
				now, record = committed.clone(), committed.clone()
			},
		})
	})
}

func TestWindowStore_WithDuplicatesIsAListThatCommitsRollsBackAndForgets(t *testing.T) {
	t.Parallel()
	checkDuplicates(t, state.NewMemory)
}

func TestWindowStore_WithDuplicatesYieldsRowsByTimeAndThenArrival(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		r := newRoom(t, open(), duplicatesSpec(), 0)
		w := duplicatesSpec().Open(r)
		for i, ms := range []int64{5, 3, 5, 3, 4} {
			require.NoError(t, w.Add("k", at(ms), int64(i)))
			require.NoError(t, w.Add("l", at(ms), 9))
			if i == 2 {
				r.commit()
			}
		}
		want := []string{`"k" from 3: 1 @3`, `"k" from 3: 3 @3`, `"k" from 4: 4 @4`, `"k" from 5: 0 @5`, `"k" from 5: 2 @5`}
		require.Equal(t, want, rowsOf(t, w.Fetch("k", at(0), at(9))))
		require.Equal(t, want[:3], rowsOf(t, w.Fetch("k", at(3), at(4))), "both ends are in")
		r.commit()
		require.Equal(t, want, rowsOf(t, w.Fetch("k", at(0), at(9))))
		require.Len(t, r.log, 10)
	})
}

func TestWindowStore_WithDuplicatesGivesNoNumberTwice(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), duplicatesSpec(), 0)
	for i := range int64(3) { // of starts on the same disk, then on another
		require.NoError(t, duplicatesSpec().Open(r).Add("k", at(5), i))
		r.commit()
		r.open()
	}
	r = r.restored(state.NewMemory(), 0)
	r.committed = map[string]int64{} // the clocks are lost: the changelog has the numbers
	r = r.restored(state.NewMemory(), 0)
	w := duplicatesSpec().Open(r)
	require.NoError(t, w.Add("k", at(5), 3))
	r.commit()
	require.Equal(t, []string{`"k" from 5: 0 @5`, `"k" from 5: 1 @5`, `"k" from 5: 2 @5`, `"k" from 5: 3 @5`},
		rowsOf(t, w.Fetch("k", at(0), at(9))))
}

func TestWindowStore_RefusesTheWordsOfTheOtherMode(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), duplicatesSpec(), 0)
	w := duplicatesSpec().Open(r)
	_, _, err := w.Get("k", at(1))
	require.ErrorContains(t, err, "use Add and Fetch")
	require.ErrorContains(t, w.Put("k", at(1), 1), "use Add and Fetch")
	require.ErrorContains(t, w.Delete("k", at(1)), "use Add and Fetch")
	require.ErrorContains(t, w.Add("k", at(-1), 1), "is before 1970")

	plain := windowSpec().Open(newRoom(t, state.NewMemory(), windowSpec(), 0))
	require.ErrorContains(t, plain.Add("k", at(1), 1), "declare it with Duplicates")

	db, err := state.NewDB(state.NewMemory(), state.NewMemory())
	require.NoError(t, err)
	_, err = db.Open(duplicatesSpec().TimeFirst(), state.Env{Clock: func(string) *state.Clock { return state.NewClock(&state.Journal{}) }})
	require.ErrorContains(t, err, "use one of them")
	require.Error(t, state.Window("none", serde.String(), serde.Int64()).Duplicates().Info().Validate(), "the retention is missing")
}

func TestWindowStore_WithDuplicatesRefusesDamagedChangelogKeys(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), duplicatesSpec(), 0)
	b := r.db.Begin()
	require.ErrorContains(t, b.Restore(r.store, []byte("too short"), []byte("12345678v"), 1), "is too short")
	require.ErrorContains(t, b.Restore(r.store, []byte("\xff2345678\xff2345678"), []byte("12345678v"), 1), "can be negative")
}
