package state_test

import (
	"cmp"
	"encoding/binary"
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

const retention = 3 * time.Minute

func windowSpec() state.WindowSpec[string, int64] {
	return state.Window("windows", serde.String(), serde.Int64()).Retention(retention)
}

// A windowKey is the key of a row in the model.
type windowKey struct {
	key   string
	start int64
}

// A windowModel is what a window store must be. newest is its clock.
type windowModel struct {
	rows   map[windowKey]state.Row[int64]
	newest int64
}

func (m windowModel) clone() windowModel { return windowModel{maps.Clone(m.rows), m.newest} }

func (m windowModel) readable(start int64) bool {
	return m.newest == state.NoTime || start > m.newest-retention.Milliseconds()
}

// list lists the readable rows that match, in the order of less.
func (m windowModel) list(match func(k windowKey) bool, order func(a, b windowKey) int) []string {
	rows := []string{}
	for _, k := range slices.SortedFunc(maps.Keys(m.rows), order) {
		if m.readable(k.start) && match(k) {
			row := m.rows[k]
			rows = append(rows, rowText(serde.Windowed[string]{Key: k.key, Start: at(k.start)}, row.Value, row.Timestamp))
		}
	}
	return rows
}

func byStart(a, b windowKey) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.key, b.key))
}

// bySegment is the order of a store that is not ordered by time first.
func bySegment(a, b windowKey) int {
	segment := (retention / 2).Milliseconds()
	return cmp.Or(cmp.Compare(a.start/segment, b.start/segment), cmp.Compare(segmentKey(a), segmentKey(b)))
}

func segmentKey(k windowKey) string {
	return string(binary.BigEndian.AppendUint64([]byte(k.key), uint64(k.start)))
}

func checkWindow(t *testing.T, spec state.WindowSpec[string, int64], timeFirst bool, open func() state.Engine) {
	order := bySegment
	if timeFirst {
		order = byStart
	}
	rapid.Check(t, func(rt *rapid.T) {
		r := newRoom(rt, open(), spec, rapid.SampledFrom([]int64{0, 300, 1 << 20}).Draw(rt, "cache"))
		w := spec.Open(r)
		now := windowModel{map[windowKey]state.Row[int64]{}, state.NoTime}
		record, committed := now.clone(), now.clone()
		keys := rapid.SampledFrom([]string{"", "a", "aa", "a\x00\x00\x00\x00\x00\x00\x00\x00", "\xff", "b"})
		n := int64(0)
		draw := func(rt *rapid.T) windowKey {
			newest := max(now.newest, 0)
			start := max(0, newest+rapid.Int64Range(-2*retention.Milliseconds(), retention.Milliseconds()/2).Draw(rt, "start"))
			return windowKey{keys.Draw(rt, "key"), start - start%10_000}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				k := draw(rt)
				n++
				r.now = at(n)
				require.NoError(rt, w.Put(k.key, at(k.start), n))
				now.newest = max(now.newest, k.start)
				if now.readable(k.start) {
					now.rows[k] = state.Row[int64]{Value: n, Timestamp: at(n)}
				}
			},
			"delete": func(rt *rapid.T) {
				k := draw(rt)
				require.NoError(rt, w.Delete(k.key, at(k.start)))
				now.newest = max(now.newest, k.start)
				delete(now.rows, k)
			},
			"get": func(rt *rapid.T) {
				k := draw(rt)
				row, ok, err := w.Get(k.key, at(k.start))
				require.NoError(rt, err)
				want, has := now.rows[k]
				require.Equal(rt, has && now.readable(k.start), ok)
				if ok {
					require.Equal(rt, want, row)
				}
			},
			"fetch": func(rt *rapid.T) {
				if timeFirst {
					rt.Skip("not in this order")
				}
				from, to := draw(rt), draw(rt)
				require.Equal(rt, now.list(func(k windowKey) bool {
					return k.key == from.key && k.start >= from.start && k.start <= to.start
				}, byStart), rowsOf(rt, w.Fetch(from.key, at(from.start), at(to.start))))
			},
			"end of a record":     func(*rapid.T) { r.journal.Release(); record = now.clone() },
			"failure of a record": func(*rapid.T) { r.journal.Undo(); now = record.clone() },
			"commit": func(rt *rapid.T) {
				r.commit()
				record, committed = now.clone(), now.clone()
				for _, start := range engineStarts(rt, r.engine, timeFirst) {
					require.Greater(rt, start, now.newest-retention.Milliseconds()-(retention/2).Milliseconds(), "it should be gone")
				}
			},
			"abort": func(*rapid.T) { r.rollback(); now, record = committed.clone(), committed.clone() },
			"restart": func(*rapid.T) {
				r.open()
				w = spec.Open(r)
				now, record = committed.clone(), committed.clone()
			},
			"": func(rt *rapid.T) {
				require.Equal(rt, now.list(func(windowKey) bool { return true }, order), rowsOf(rt, w.All()))
				newest, ok := w.Clock()
				require.Equal(rt, now.newest != state.NoTime, ok)
				if ok {
					require.Equal(rt, at(now.newest), newest)
				}
			},
		})
		restored := r.restored(state.NewMemory(), 0)
		require.Equal(rt, committed.list(func(windowKey) bool { return true }, order), rowsOf(rt, spec.Open(restored).All()))
	})
}

// engineStarts are the starts of the rows that the engine holds, readable or not.
func engineStarts(t fataler, e state.Engine, timeFirst bool) []int64 {
	t.Helper()
	it, err := e.Iterate([]byte{0, 1}, []byte{0, 2}, false)
	require.NoError(t, err)
	var starts []int64
	for it.Next() {
		k := it.Key()[2:]
		if timeFirst {
			k = k[:8]
		}
		starts = append(starts, int64(binary.BigEndian.Uint64(k[len(k)-8:])))
	}
	require.NoError(t, it.Err())
	require.NoError(t, it.Close())
	return starts
}

func TestWindowStore_IsAMapThatCommitsRollsBackAndForgets(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		t.Run("by segment", func(t *testing.T) {
			t.Parallel()
			checkWindow(t, windowSpec(), false, wiped(t, open))
		})
		t.Run("time first", func(t *testing.T) {
			t.Parallel()
			checkWindow(t, windowSpec().TimeFirst(), true, wiped(t, open))
		})
	})
}

func TestWindowStore_RemovesExpiredRowsFromTheEngine(t *testing.T) {
	t.Parallel()
	for _, timeFirst := range []bool{false, true} {
		engines(t, func(t *testing.T, open func() state.Engine) {
			spec := windowSpec()
			if timeFirst {
				spec = spec.TimeFirst()
			}
			r := newRoom(t, open(), spec, 1<<20)
			w := spec.Open(r)
			for minute := range int64(60) {
				require.NoError(t, w.Put("k", at(minute*60_000), minute))
				r.commit()
			}
			starts := engineStarts(t, r.engine, timeFirst)
			require.LessOrEqual(t, len(starts), 5, "three minutes and a segment")
			require.Equal(t, int64(59*60_000), starts[len(starts)-1])
			require.Len(t, rowsOf(t, w.All()), 3)
		})
	}
}

func TestWindowStore_HoldsRowsThatAreStillToBeSent(t *testing.T) {
	t.Parallel()
	spec := windowSpec().TimeFirst()
	r := newRoom(t, state.NewMemory(), spec, 0)
	w := spec.Open(r)
	w.Hold(at(60_000))
	for minute := range int64(30) {
		require.NoError(t, w.Put("k", at(minute*60_000), minute))
		r.commit()
	}
	require.Len(t, rowsOf(t, w.ScanStarts(at(60_000), at(1<<40))), 29)
	w.Hold(at(28 * 60_000))
	require.NoError(t, w.Put("k", at(31*60_000), 31))
	r.commit()
	require.Less(t, len(engineStarts(t, r.engine, true)), 6)
}

func TestWindowStore_ScansByStartAndThenKey(t *testing.T) {
	t.Parallel()
	spec := windowSpec().TimeFirst()
	r := newRoom(t, state.NewMemory(), spec, 0)
	w := spec.Open(r)
	r.now = at(7)
	for _, k := range []windowKey{{"b", 2}, {"a", 3}, {"b", 1}, {"a", 2}, {"c", 4}} {
		require.NoError(t, w.Put(k.key, at(k.start), k.start))
		if k.key == "b" {
			r.commit()
		}
	}
	require.Equal(t, []string{
		`"b" from 1: 1 @7`, `"a" from 2: 2 @7`, `"b" from 2: 2 @7`, `"a" from 3: 3 @7`,
	}, rowsOf(t, w.ScanStarts(at(-5), at(3))))
	require.Empty(t, rowsOf(t, w.ScanStarts(at(-5), at(-1))))
	var seen []string
	for e, err := range w.ScanStarts(at(0), at(9)) {
		require.NoError(t, err)
		seen = append(seen, fmt.Sprint(e.Key.Key, e.Key.Start.UnixMilli()))
		require.NoError(t, w.Delete(e.Key.Key, e.Key.Start))
		require.NoError(t, w.Put("z"+e.Key.Key, e.Key.Start.Add(1), 1))
	}
	require.Equal(t, []string{"b1", "a2", "b2", "a3", "c4"}, seen, "as of the beginning of the loop")
}

func TestWindowStore_RefusesReadsThatItsOrderDoesNotServe(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), windowSpec(), 0)
	for _, err := range windowSpec().Open(r).ScanStarts(at(0), at(1)) {
		require.ErrorContains(t, err, "declare it with TimeFirst")
	}
	r = newRoom(t, state.NewMemory(), windowSpec().TimeFirst(), 0)
	for _, err := range windowSpec().Open(r).Fetch("k", at(0), at(1)) {
		require.ErrorContains(t, err, "use ScanStarts")
	}
}

func TestWindowStore_RefusesStartsBefore1970(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), windowSpec(), 0)
	w := windowSpec().Open(r)
	require.ErrorContains(t, w.Put("k", at(-1), 1), "is before 1970")
	require.ErrorContains(t, w.Delete("k", at(-1)), "is before 1970")
	_, ok, err := w.Get("k", at(-1))
	require.NoError(t, err)
	require.False(t, ok)
	_, ok = w.Clock()
	require.False(t, ok)
}

func TestWindowStore_NeitherLogsNorWritesRowsThatExpiredBeforeTheirCommit(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), windowSpec(), 0)
	w := windowSpec().Open(r)
	require.NoError(t, w.Put("k", at(0), 1))
	require.NoError(t, w.Put("k", at(time.Hour.Milliseconds()), 2))
	r.commit()
	require.Len(t, r.log, 1)
	require.Equal(t, []int64{time.Hour.Milliseconds()}, engineStarts(t, r.engine, false))
}

func TestWindowStore_DropsExpiredRecordsOfItsChangelog(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), windowSpec(), 0)
	w := windowSpec().Open(r)
	for minute := range int64(10) {
		require.NoError(t, w.Put("k", at(minute*60_000), minute))
		r.commit()
	}
	require.Len(t, r.log, 10)
	slices.Reverse(r.log) // the newest first
	other := r.restored(state.NewMemory(), 0)
	require.Len(t, engineStarts(t, other.engine, false), 3)
	require.Equal(t, rowsOf(t, w.All()), rowsOf(t, windowSpec().Open(other).All()))
}

func TestWindowStore_RefusesDamagedChangelogKeys(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), windowSpec(), 0)
	require.ErrorContains(t, r.db.Begin().Restore(r.store, []byte("short"), nil, 1), `restore store "windows"`)
}
