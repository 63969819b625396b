package state_test

import (
	"cmp"
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

func sessionSpec() state.SessionSpec[string, int64] {
	return state.Session("sessions", serde.String(), serde.Int64()).Retention(retention)
}

// A sessionKey is the key of a row in the model.
type sessionKey struct {
	key        string
	start, end int64
}

func (k sessionKey) window() serde.Windowed[string] {
	return serde.Windowed[string]{Key: k.key, Start: at(k.start), End: at(k.end)}
}

func byEnd(a, b sessionKey) int {
	return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.start, b.start), cmp.Compare(a.key, b.key))
}

// A sessionModel is what a session store must be. newest is its clock.
type sessionModel struct {
	rows   map[sessionKey]int64
	newest int64
}

func (m sessionModel) clone() sessionModel { return sessionModel{maps.Clone(m.rows), m.newest} }

func (m sessionModel) readable(k sessionKey) bool {
	return m.newest == state.NoTime || k.end > m.newest-retention.Milliseconds()
}

// list lists the readable rows that match, by end, start and key.
func (m sessionModel) list(match func(k sessionKey) bool) []string {
	rows := []string{}
	for _, k := range slices.SortedFunc(maps.Keys(m.rows), byEnd) {
		if m.readable(k) && match(k) {
			rows = append(rows, sessionText(k.window(), m.rows[k], at(k.end)))
		}
	}
	return rows
}

func sessionText(w serde.Windowed[string], value int64, ts time.Time) string {
	return fmt.Sprintf("%q %d-%d: %d @%d", w.Key, w.Start.UnixMilli(), w.End.UnixMilli(), value, ts.UnixMilli())
}

// sessionsOf lists what a read yields.
func sessionsOf(t fataler, seq func(func(state.Entry[serde.Windowed[string], int64], error) bool)) []string {
	t.Helper()
	rows := []string{}
	for e, err := range seq {
		require.NoError(t, err)
		rows = append(rows, sessionText(e.Key, e.Value, e.Timestamp))
	}
	return rows
}

func every(sessionKey) bool { return true }

func checkSession(t *testing.T, spec state.SessionSpec[string, int64], index bool, open func() state.Engine) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRoom(rt, open(), spec, rapid.SampledFrom([]int64{0, 300, 1 << 20}).Draw(rt, "cache"))
		s := spec.Open(r)
		now := sessionModel{map[sessionKey]int64{}, state.NoTime}
		record, committed := now.clone(), now.clone()
		keys := rapid.SampledFrom([]string{"", "a", "aa", "a\x00\x00\x00\x00\x00\x00\x00\x00", "a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\xff"})
		draw := func(rt *rapid.T) sessionKey {
			end := max(0, max(now.newest, 0)+rapid.Int64Range(-2*retention.Milliseconds(), retention.Milliseconds()/2).Draw(rt, "end"))
			end -= end % 20_000
			return sessionKey{keys.Draw(rt, "key"), max(0, end-rapid.Int64Range(0, 2).Draw(rt, "length")*20_000), end}
		}
		n := int64(0)
		actions := map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				k := draw(rt)
				n++
				require.NoError(rt, s.Put(k.window(), n))
				if now.newest = max(now.newest, k.end); now.readable(k) {
					now.rows[k] = n
				}
			},
			"remove": func(rt *rapid.T) {
				k := draw(rt)
				if there := now.list(every); len(there) > 0 && rapid.Bool().Draw(rt, "one that is there") {
					k = rapid.SampledFrom(slices.SortedFunc(maps.Keys(now.rows), byEnd)).Draw(rt, "which")
				}
				require.NoError(rt, s.Remove(k.window()))
				now.newest = max(now.newest, k.end)
				delete(now.rows, k)
			},
			"get": func(rt *rapid.T) {
				k := draw(rt)
				v, ok, err := s.Get(k.window())
				require.NoError(rt, err)
				want, has := now.rows[k]
				require.Equal(rt, has && now.readable(k), ok)
				if ok {
					require.Equal(rt, want, v)
				}
			},
			"find": func(rt *rapid.T) {
				a, b := draw(rt), draw(rt)
				require.Equal(rt, now.list(func(k sessionKey) bool {
					return k.key == a.key && k.end >= a.end && k.start <= b.start
				}), sessionsOf(rt, s.Find(a.key, at(a.end), at(b.start))))
			},
			"end of a record":     func(*rapid.T) { r.journal.Release(); record = now.clone() },
			"failure of a record": func(*rapid.T) { r.journal.Undo(); now = record.clone() },
			"commit": func(*rapid.T) {
				r.commit()
				record, committed = now.clone(), now.clone()
			},
			"abort": func(*rapid.T) { r.rollback(); now, record = committed.clone(), committed.clone() },
			"restart": func(*rapid.T) {
				r.open()
				s = spec.Open(r)
				now, record = committed.clone(), committed.clone()
			},
			"": func(rt *rapid.T) {
				require.ElementsMatch(rt, now.list(every), sessionsOf(rt, s.All()))
				if index && now.newest != state.NoTime {
					low := now.newest - retention.Milliseconds() + 1
					require.Equal(rt, now.list(every), sessionsOf(rt, s.ScanEnds(at(low), at(now.newest))))
				}
			},
		}
		rt.Repeat(actions)
		restored := r.restored(state.NewMemory(), 0)
		require.ElementsMatch(rt, committed.list(every), sessionsOf(rt, spec.Open(restored).All()))
		if low := committed.newest - retention.Milliseconds() + 1; index {
			require.Equal(rt, committed.list(every), sessionsOf(rt, spec.Open(restored).ScanEnds(at(low), at(1<<50))))
		}
	})
}

func TestSessionStore_IsAMapThatCommitsRollsBackAndForgets(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		t.Run("without an index", func(t *testing.T) {
			t.Parallel()
			checkSession(t, sessionSpec(), false, wiped(t, open))
		})
		t.Run("with a time index", func(t *testing.T) {
			t.Parallel()
			checkSession(t, sessionSpec().TimeIndex(), true, wiped(t, open))
		})
	})
}

func TestSessionStore_RemovesExpiredRowsFromTheEngine(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		r := newRoom(t, open(), sessionSpec().TimeIndex(), 1<<20)
		s := sessionSpec().TimeIndex().Open(r)
		for minute := range int64(60) {
			require.NoError(t, s.Put(sessionKey{"k", minute * 60_000, minute * 60_000}.window(), minute))
			r.commit()
		}
		require.LessOrEqual(t, len(engineKeys(t, r.engine)), 2*5, "three minutes and a segment, in two orders")
		require.Len(t, sessionsOf(t, s.All()), 3)
	})
}

// engineKeys are the keys that the engine holds of its first store.
func engineKeys(t fataler, e state.Engine) []string {
	t.Helper()
	it, err := e.Iterate([]byte{0, 1}, []byte{0, 2}, false)
	require.NoError(t, err)
	var keys []string
	for it.Next() {
		keys = append(keys, string(it.Key()[2:]))
	}
	require.NoError(t, it.Err())
	require.NoError(t, it.Close())
	return keys
}

func TestSessionStore_HoldsRowsThatAreStillToBeSent(t *testing.T) {
	t.Parallel()
	spec := sessionSpec().TimeIndex()
	r := newRoom(t, state.NewMemory(), spec, 0)
	s := spec.Open(r)
	s.Hold(at(60_000))
	for minute := range int64(30) {
		require.NoError(t, s.Put(sessionKey{"k", minute * 60_000, minute * 60_000}.window(), minute))
		r.commit()
	}
	require.Len(t, sessionsOf(t, s.ScanEnds(at(60_000), at(1<<40))), 29)
	s.Hold(at(28 * 60_000))
	require.NoError(t, s.Put(sessionKey{"k", 1, 31 * 60_000}.window(), 31))
	r.commit()
	require.Less(t, len(engineKeys(t, r.engine)), 12)
}

func TestSessionStore_LogsAsKafkaStreamsDoes(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), sessionSpec(), 0)
	s := sessionSpec().Open(r)
	w := sessionKey{"k", 1, 258}.window()
	require.NoError(t, s.Put(w, 7))
	r.commit()
	require.NoError(t, s.Remove(w))
	r.commit()
	key := "k\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x00\x00\x00\x01"
	require.Equal(t, []logged{
		{key, "\x00\x00\x00\x00\x00\x00\x00\x07", false, 258},
		{key, "", true, 258},
	}, r.log, "the key, the end and the start; the value alone; the end as time")
}

func TestSessionStore_ScansWhileItChanges(t *testing.T) {
	t.Parallel()
	spec := sessionSpec().TimeIndex()
	r := newRoom(t, state.NewMemory(), spec, 0)
	s := spec.Open(r)
	for _, k := range []sessionKey{{"b", 1, 2}, {"a", 2, 2}, {"a", 1, 3}, {"c", 0, 4}} {
		require.NoError(t, s.Put(k.window(), k.end))
		if k.key == "b" {
			r.commit()
		}
	}
	var seen []string
	for e, err := range s.ScanEnds(at(-5), at(4)) {
		require.NoError(t, err)
		seen = append(seen, fmt.Sprint(e.Key.Key, e.Key.Start.UnixMilli(), "-", e.Key.End.UnixMilli()))
		require.NoError(t, s.Remove(e.Key))
		require.NoError(t, s.Remove(sessionKey{"a", 1, 3}.window()))
		require.NoError(t, s.Put(sessionKey{"z", 1, 4}.window(), 1))
	}
	require.Equal(t, []string{"b1-2", "a2-2", "c0-4"}, seen)
}

func TestSessionStore_RefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), sessionSpec(), 0)
	s := sessionSpec().Open(r)
	for _, k := range []sessionKey{{"k", -1, 1}, {"k", 2, 1}} {
		require.ErrorContains(t, s.Put(k.window(), 1), "is no session")
		require.ErrorContains(t, s.Remove(k.window()), "is no session")
		_, ok, err := s.Get(k.window())
		require.NoError(t, err)
		require.False(t, ok)
	}
	for _, err := range s.ScanEnds(at(0), at(1)) {
		require.ErrorContains(t, err, "declare it with TimeIndex")
	}
	require.ErrorContains(t, r.db.Begin().Restore(r.store, []byte("short"), nil, 1), `restore store "sessions"`)
	require.ErrorContains(t, sessionSpec().Retention(0).Info().Validate(), `session store "sessions": retention is 0s`)
	broken := sessionSpec().Open(r.without())
	_, _, err := broken.Get(serde.Windowed[string]{Key: "k"})
	require.ErrorContains(t, err, `store "sessions" is not open`)
	require.ErrorContains(t, broken.Put(serde.Windowed[string]{Key: "k"}, 1), "is not open")
	for _, err := range broken.All() {
		require.ErrorContains(t, err, "is not open")
	}
	for _, err := range broken.Find("k", at(0), at(1)) {
		require.ErrorContains(t, err, "is not open")
	}
	_, ok := broken.Clock()
	require.False(t, ok)
}

// An elsewhere opens a store of another kind.
type elsewhere struct{ store state.Store }

func (e elsewhere) OpenStore(state.Spec) (state.Store, error) { return e.store, nil }

func (r *room) without() elsewhere {
	other := newRoom(r.t, state.NewMemory(), windowSpec(), 0)
	return elsewhere{other.store}
}
