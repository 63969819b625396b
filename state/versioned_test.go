package state_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

const day = 24 * time.Hour

func versionedSpec(history time.Duration) state.VersionedSpec[string, int64] {
	return state.Versioned("versions", serde.String(), serde.Int64(), history)
}

// A versionModel is what a versioned store must be: of each key, its versions by time, 0 for a delete, and the clock.
type versionModel struct {
	keys    map[string]map[int64]int64
	clock   int64
	history int64
}

func (m *versionModel) clone() *versionModel {
	c := *m
	c.keys = map[string]map[int64]int64{}
	for k, v := range m.keys {
		c.keys[k] = maps.Clone(v)
	}
	return &c
}

// put answers as the store must.
func (m *versionModel) put(k string, v, ms int64) state.Placement {
	if ms < m.clock-m.history {
		return state.Placement{Refused: true}
	}
	m.clock = max(m.clock, ms)
	if m.keys[k] == nil {
		m.keys[k] = map[int64]int64{}
	}
	m.keys[k][ms] = v
	times := m.times(k)
	i := slices.Index(times, ms)
	if i == len(times)-1 {
		return state.Placement{Newest: true}
	}
	return state.Placement{ValidTo: at(times[i+1])}
}

func (m *versionModel) times(k string) []int64 { return slices.Sorted(maps.Keys(m.keys[k])) }

// versions are those valid from from to to, as the store tells them.
func (m *versionModel) versions(k string, from, to int64) []string {
	out := []string{}
	times := m.times(k)
	for i, ms := range times {
		newest := i == len(times)-1
		v := state.Version[int64]{Value: m.keys[k][ms], From: at(ms)}
		ends := int64(1) << 60
		if !newest {
			ends = times[i+1]
			v.To = at(ends)
		}
		since := max(from, m.clock-m.history)
		if newest {
			since = from
		}
		if v.Value != 0 && ms <= to && ends > since && from <= to {
			out = append(out, versionText(v))
		}
	}
	return out
}

func versionText(v state.Version[int64]) string {
	if v.To.IsZero() {
		return fmt.Sprintf("%d from %d", v.Value, v.From.UnixMilli())
	}
	return fmt.Sprintf("%d from %d to %d", v.Value, v.From.UnixMilli(), v.To.UnixMilli())
}

func (m *versionModel) newest() []string {
	out := []string{}
	for _, k := range slices.Sorted(maps.Keys(m.keys)) {
		times := m.times(k)
		if last := times[len(times)-1]; m.keys[k][last] != 0 {
			out = append(out, rowText(k, m.keys[k][last], at(last)))
		}
	}
	return out
}

func historyOf(t fataler, st *state.VersionedStore[string, int64], k string, from, to int64) []string {
	t.Helper()
	out := []string{}
	for v, err := range st.History(k, at(from), at(to)) {
		require.NoError(t, err)
		out = append(out, versionText(v))
	}
	return out
}

// require compares everything that the store can tell.
func (m *versionModel) require(t fataler, st *state.VersionedStore[string, int64], keys []string, times []int64) {
	t.Helper()
	require.Equal(t, m.newest(), rowsOf(t, st.All()))
	for _, k := range keys {
		row, ok, err := st.GetRow(k)
		require.NoError(t, err)
		require.Equal(t, m.versions(k, 1<<50, 1<<50), newestText(row, ok))
		require.Equal(t, m.versions(k, 0, 1<<50), historyOf(t, st, k, 0, 1<<50), "the history of %q", k)
		for i, ms := range times {
			v, ok, err := st.GetAsOf(k, at(ms))
			require.NoError(t, err)
			got := []string{}
			if ok {
				got = append(got, versionText(v))
			}
			want := m.versions(k, ms, ms)
			if ms < m.clock-m.history && len(want) > 0 && len(m.times(k)) > 0 && m.times(k)[len(m.times(k))-1] > ms {
				want = []string{}
			}
			require.Equal(t, want, got, "%q as of %d", k, ms)
			require.Equal(t, m.versions(k, times[0], ms), historyOf(t, st, k, times[0], ms), "%d", i)
		}
	}
}

func newestText(row state.Row[int64], ok bool) []string {
	if !ok {
		return []string{}
	}
	return []string{fmt.Sprintf("%d from %d", row.Value, row.Timestamp.UnixMilli())}
}

func TestVersionedStore_IsAListOfVersionsByTimeThatCommitsAndRollsBack(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		open = wiped(t, open)
		rapid.Check(t, func(rt *rapid.T) {
			history := rapid.SampledFrom([]int64{0, 10, 1000, 100_000, 400_000}).Draw(rt, "history")
			cache := rapid.SampledFrom([]int64{0, 400, 1 << 20}).Draw(rt, "cache")
			spec := versionedSpec(time.Duration(history) * time.Millisecond)
			r := newRoom(rt, open(), spec, cache)
			st := spec.Open(r)
			now := &versionModel{keys: map[string]map[int64]int64{}, history: history}
			record, committed := now.clone(), now.clone()
			keys := []string{"", "a", "aa", "a\x00", "\xff"}
			times := rapid.Custom(func(rt *rapid.T) int64 {
				step := max(history/7, 1)
				return max(0, now.clock+step*rapid.Int64Range(-9, 4).Draw(rt, "steps")+rapid.Int64Range(-1, 1).Draw(rt, "off"))
			})
			n := int64(0)
			put := func(rt *rapid.T) {
				k, ms := rapid.SampledFrom(keys).Draw(rt, "key"), times.Draw(rt, "time")
				n++
				placed, err := st.Put(k, n, at(ms))
				require.NoError(rt, err)
				require.Equal(rt, now.put(k, n, ms), placed)
			}
			rt.Repeat(map[string]func(*rapid.T){
				"put":       put,
				"put again": put,
				"delete": func(rt *rapid.T) {
					k, ms := rapid.SampledFrom(keys).Draw(rt, "key"), times.Draw(rt, "time")
					placed, err := st.Delete(k, at(ms))
					require.NoError(rt, err)
					require.Equal(rt, now.put(k, 0, ms), placed)
				},
				"end of a record":     func(*rapid.T) { r.journal.Release(); record = now.clone() },
				"failure of a record": func(*rapid.T) { r.journal.Undo(); now = record.clone() },
				"commit":              func(*rapid.T) { r.commit(); record, committed = now.clone(), now.clone() },
				"abort":               func(*rapid.T) { r.rollback(); now, record = committed.clone(), committed.clone() },
				"restart": func(*rapid.T) {
					r.open()
					st = spec.Open(r)
					now, record = committed.clone(), committed.clone()
				},
				"": func(rt *rapid.T) {
					var asked []int64
					for d := range int64(5) {
						asked = append(asked, max(0, now.clock-history*(d-1)/2+d%3-1))
					}
					now.require(rt, st, keys, asked)
				},
			})
			other := r.restored(state.NewMemory(), cache)
			rows, _ := other.store.Pending()
			require.Zero(rt, rows, "what a restore wrote is not to be written again")
			committed.require(rt, spec.Open(other), keys, []int64{max(committed.clock-history, 0), committed.clock, 1 << 40})
			r.rollback()
			// More puts must find both stores alike.
			for i := range int64(12) {
				k, ms := keys[i%5], max(0, committed.clock+(i*7%11-8)*max(history/7, 1))
				a, err := spec.Open(r).Put(k, i+1, at(ms))
				require.NoError(rt, err)
				b, err := spec.Open(other).Put(k, i+1, at(ms))
				require.NoError(rt, err)
				require.Equal(rt, a, b)
				require.Equal(rt, historyOf(rt, spec.Open(r), k, 0, 1<<50), historyOf(rt, spec.Open(other), k, 0, 1<<50))
			}
		})
	})
}

func placedAs(newest bool, to int64) state.Placement {
	if newest {
		return state.Placement{Newest: true}
	}
	return state.Placement{ValidTo: at(to)}
}

func TestVersionedStore_PutsLateVersionsInTheirPlace(t *testing.T) {
	t.Parallel()
	spec := versionedSpec(day)
	r := newRoom(t, state.NewMemory(), spec, 0)
	st := spec.Open(r)
	steps := []struct {
		v, ms int64
		want  state.Placement
	}{
		{1, 10, placedAs(true, 0)},
		{3, 30, placedAs(true, 0)},
		{2, 20, placedAs(false, 30)},
		{5, 30, placedAs(true, 0)}, // the same time: replaced
		{0, 40, placedAs(true, 0)}, // deleted
		{4, 35, placedAs(false, 40)},
		{0, 15, placedAs(false, 20)}, // deleted for a while
	}
	for i, s := range steps {
		var got state.Placement
		var err error
		if s.v == 0 {
			got, err = st.Delete("k", at(s.ms))
		} else {
			got, err = st.Put("k", s.v, at(s.ms))
		}
		require.NoError(t, err)
		require.Equal(t, s.want, got, "step %d", i)
	}
	require.Equal(t, []string{"1 from 10 to 15", "2 from 20 to 30", "5 from 30 to 35", "4 from 35 to 40"}, historyOf(t, st, "k", 0, 100))
	require.Equal(t, []string{"2 from 20 to 30", "5 from 30 to 35"}, historyOf(t, st, "k", 20, 34))
	require.Empty(t, historyOf(t, st, "k", 34, 20))
	_, ok, err := st.Get("k")
	require.NoError(t, err)
	require.False(t, ok, "the newest version is a delete")
	clock, ok := st.Clock()
	require.True(t, ok)
	require.Equal(t, at(40), clock)
}

func TestVersionedStore_ForgetsWhatIsOlderThanItsHistory(t *testing.T) {
	t.Parallel()
	spec := versionedSpec(100 * time.Second)
	e := state.NewMemory()
	r := newRoom(t, e, spec, 0)
	st := spec.Open(r)
	put := func(k string, v, ms int64) state.Placement {
		p, err := st.Put(k, v, at(ms))
		require.NoError(t, err)
		return p
	}
	put("old", 1, 1000)
	put("k", 1, 1000)
	put("k", 2, 2000)
	r.commit()
	put("k", 3, 1_000_000)
	r.commit()
	require.Equal(t, state.Placement{Refused: true}, put("k", 9, 899_999))
	require.Equal(t, placedAs(false, 1_000_000), put("k", 4, 900_000))
	_, ok, err := st.GetAsOf("k", at(1500))
	require.NoError(t, err)
	require.False(t, ok)
	v, ok, err := st.GetAsOf("old", at(1500))
	require.NoError(t, err)
	require.True(t, ok, "the newest version does not expire")
	require.Equal(t, state.Version[int64]{Value: 1, From: at(1000)}, v)
	r.commit()
	require.Len(t, dump(t, e), 6, "the version that ended at 2000 is gone: %q", dump(t, e))
}

func TestVersionedStore_LogsItsPutsInOrderAndTheNewestLast(t *testing.T) {
	t.Parallel()
	spec := versionedSpec(day)
	r := newRoom(t, state.NewMemory(), spec, 0)
	st := spec.Open(r)
	do := func(_ state.Placement, err error) { require.NoError(t, err) }
	do(st.Put("k", 1, at(10)))
	r.journal.Release()
	do(st.Put("k", 7, at(70)))
	r.journal.Undo()
	do(st.Put("k", 3, at(30)))
	do(st.Put("k", 2, at(20))) // late: compaction must not take the newest
	do(st.Delete("d", at(30)))
	do(st.Put("d", 4, at(20)))
	r.commit()
	eight := func(n byte) string { return string([]byte{0, 0, 0, 0, 0, 0, 0, n}) }
	require.Equal(t, []logged{
		{"k", eight(1), false, 10}, {"k", eight(3), false, 30}, {"k", eight(2), false, 20}, {"k", eight(3), false, 30},
		{"d", "", true, 30}, {"d", eight(4), false, 20}, {"d", "", true, 30},
	}, r.log)
	r.commit()
	require.Len(t, r.log, 7, "what is committed is not logged again")
}

func TestVersionedStore_KeepsBytesAndSharesNoMemory(t *testing.T) {
	t.Parallel()
	plain := state.Versioned("versions", serde.String(), serde.JSON[counted](), day)
	for name, spec := range map[string]state.VersionedSpec[string, counted]{"as bytes": plain, "cloned": plain.Clone(maps.Clone)} {
		r := newRoom(t, state.NewMemory(), spec, 1<<20)
		st := spec.Open(r)
		mine := counted{"n": 1}
		_, err := st.Put("k", mine, at(1))
		require.NoError(t, err)
		mine["n"] = 2
		for range 2 {
			v, ok, err := st.GetAsOf("k", at(1))
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, counted{"n": 1}, v.Value, name)
			v.Value["n"] = 3
			if v.To.IsZero() {
				_, err = st.Put("k", counted{"n": 9}, at(5))
				require.NoError(t, err)
			}
		}
		r.commit()
		for v, err := range st.History("k", at(0), at(9)) {
			require.NoError(t, err)
			v.Value["n"] = 4
		}
		v, _, err := st.GetAsOf("k", at(4))
		require.NoError(t, err)
		require.Equal(t, state.Version[counted]{Value: counted{"n": 1}, From: at(1), To: at(5)}, v, name)
	}
}

func TestVersionedStore_TellsEmptyValuesFromNone(t *testing.T) {
	t.Parallel()
	spec := state.Versioned("texts", serde.String(), serde.String(), day)
	r := newRoom(t, state.NewMemory(), spec, 0)
	_, err := spec.Open(r).Put("", "", at(1))
	require.NoError(t, err)
	r.commit()
	require.Equal(t, []logged{{"", "", false, 1}}, r.log)
	v, ok, err := spec.Open(r.restored(state.NewMemory(), 0)).Get("")
	require.NoError(t, err)
	require.True(t, ok)
	require.Empty(t, v)
}

func TestVersionedStore_RefusesWhatItCannotEncodeAndChangesNothing(t *testing.T) {
	t.Parallel()
	type bad struct{ C chan int }
	for _, spec := range []state.VersionedSpec[bool, bad]{
		state.Versioned("bad", serde.Bool(), serde.JSON[bad](), day), state.Versioned("bad", serde.Bool(), serde.JSON[bad](), day).WithoutChangelog(),
	} {
		r := newRoom(t, state.NewMemory(), spec, 0)
		st := spec.Open(r)
		_, err := st.Put(true, bad{}, at(1))
		require.ErrorContains(t, err, `encode row of store "bad"`)
		_, err = st.Delete(true, at(-1))
		require.ErrorContains(t, err, "before 1970")
		rows, bytes := r.store.Pending()
		require.Zero(t, rows)
		require.Zero(t, bytes)
		require.Empty(t, rowsOf(t, st.All()))
	}
}

func TestVersionedStore_ThatIsNotOpenSaysSo(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), plainSpec, 0)
	st := versionedSpec(day).Open(r) // another kind
	_, _, err := st.Get("k")
	require.ErrorContains(t, err, "is not open")
	_, _, err = st.GetAsOf("k", at(1))
	require.Error(t, err)
	_, err = st.Put("k", 1, at(1))
	require.Error(t, err)
	_, err = st.Delete("k", at(1))
	require.Error(t, err)
	for _, err := range st.All() {
		require.Error(t, err)
	}
	for _, err := range st.History("k", at(0), at(1)) {
		require.Error(t, err)
	}
	_, ok := st.Clock()
	require.False(t, ok)
}

func TestVersionedStore_WipesRowsOfAnotherLayout(t *testing.T) {
	t.Parallel()
	e := state.NewMemory()
	r := newRoom(t, e, versionedSpec(day), 0)
	_, err := versionedSpec(day).Open(r).Put("k", 1, at(1))
	require.NoError(t, err)
	r.commit()
	r.spec = versionedSpec(3 * day) // other segments
	r.open()
	require.Empty(t, rowsOf(t, versionedSpec(3*day).Open(r).All()), "to be restored")
}
