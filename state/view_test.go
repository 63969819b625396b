package state_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

// viewOf is a view of the room's store, as a task of another goroutine has one.
func viewOf[V any](r *room, spec state.KeyValueSpec[string, V], j *state.Journal) *state.KeyValueView[string, V] {
	r.t.Helper()
	c, err := r.db.Committed(spec.Info())
	require.NoError(r.t, err)
	require.Equal(r.t, spec.Info(), c.Info())
	v, err := spec.ViewOf(c.For(j))
	require.NoError(r.t, err)
	return v
}

func TestView_ShowsWhatIsCommitted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r := newRoom(rt, state.NewMemory(), plainSpec, 0)
		kv, view := plainSpec.Open(r), viewOf(r, plainSpec, nil)
		committed := map[string]string{}
		keys := rapid.SampledFrom([]string{"", "a", "aa", "b", "\x00", "\xff", "\xff\xff"})
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				r.now = at(rapid.Int64Range(-5, 1000).Draw(rt, "time"))
				require.NoError(rt, kv.Put(keys.Draw(rt, "key"), rapid.Int64().Draw(rt, "value")))
			},
			"delete": func(rt *rapid.T) { require.NoError(rt, kv.Delete(keys.Draw(rt, "key"))) },
			"commit": func(*rapid.T) {
				r.commit()
				clear(committed)
				for e, err := range kv.All() {
					require.NoError(rt, err)
					committed[e.Key] = rowText(e.Key, e.Value, e.Timestamp)
				}
			},
			"": func(rt *rapid.T) {
				from, to := keys.Draw(rt, "from"), keys.Draw(rt, "to")
				var all, some []string
				for k := range committed {
					all = append(all, k)
				}
				slices.Sort(all)
				text := []string{}
				for _, k := range all {
					text = append(text, committed[k])
					if k >= from && k < to {
						some = append(some, committed[k])
					}
				}
				require.Equal(rt, text, rowsOf(rt, view.All()))
				require.Equal(rt, append([]string{}, some...), rowsOf(rt, view.Range(from, to)))
				row, ok, err := view.GetRow(from)
				require.NoError(rt, err)
				require.Equal(rt, committed[from] != "", ok)
				if ok {
					require.Equal(rt, committed[from], rowText(from, row.Value, row.Timestamp))
				}
			},
		})
	})
}

func TestView_ReadsBesideTheWriter(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		r := newRoom(t, open(), sharedSpec, 0)
		kv := sharedSpec.Open(r)
		done := make(chan struct{})
		var readers sync.WaitGroup
		for range 2 {
			view := viewOf(r, sharedSpec, nil)
			readers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					v, ok, err := view.Get("k")
					if err != nil || ok && v["n"] != v["m"] {
						t.Errorf("got %v %v %v", v, ok, err)
						return
					}
					for e, err := range view.All() {
						if err != nil || e.Value["n"] != e.Value["m"] {
							t.Errorf("got %v %v", e, err)
							return
						}
						e.Value["n"]++ // the reader's own
					}
				}
			})
		}
		for n := range 300 {
			require.NoError(t, kv.Put("k", counted{"n": n, "m": n}))
			require.NoError(t, kv.Put(fmt.Sprint("k", n), counted{"n": n, "m": n}))
			r.commit()
		}
		close(done)
		readers.Wait()
	})
}

func TestView_ReportsWhatIsWrong(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), plainSpec, 0)
	c, err := r.db.Committed(plainSpec.Info())
	require.NoError(t, err)
	_, err = state.KeyValue("plain", serde.String(), serde.String()).ViewOf(c)
	require.ErrorContains(t, err, `store "plain" is viewed as key-value of string and string, and is key-value of string and int64`)
	require.NoError(t, plainSpec.Open(r).Put("k", 1))
	r.commit()
	var j state.Journal
	view := viewOf(r, plainSpec, &j)
	for _, err := range view.All() {
		require.NoError(t, err)
		break
	}
	require.NoError(t, r.db.Close())
	_, _, err = view.Get("k")
	require.ErrorIs(t, err, state.ErrClosed)
	broken := &state.EngineError{}
	require.ErrorAs(t, err, &broken)
	require.Equal(t, err, j.Broken(), "the task knows")
	for _, err := range view.All() {
		require.ErrorIs(t, err, state.ErrClosed)
	}
}

func TestPartitionCheckpoints_BelongToTheirStore(t *testing.T) {
	t.Parallel()
	db, err := state.NewDB(state.NewMemory(), state.NewMemory())
	require.NoError(t, err)
	infos := []state.Info{
		plainSpec.Info(), state.KeyValue("plai", serde.String(), serde.Int64()).Info(), state.KeyValue("plain0", serde.String(), serde.Int64()).Info(),
		state.KeyValue("memory", serde.String(), serde.Int64()).InMemory().Info(),
	}
	c := db.Begin()
	for i, info := range infos {
		for p := range int32(3) {
			require.NoError(t, c.SavePartitionCheckpoint(info, p*1000, state.Checkpoint{Offset: int64(10*i) + int64(p), AppliedAt: at(5)}))
		}
		require.NoError(t, c.SaveCheckpoint(info, state.Checkpoint{Offset: 99, AppliedAt: at(5)}))
	}
	require.NoError(t, c.Apply())
	require.NoError(t, db.Wipe(infos[0]))
	for i, info := range infos {
		for p := range int32(3) {
			cp, ok, err := db.PartitionCheckpoint(info, p*1000)
			require.NoError(t, err)
			require.Equal(t, i > 0, ok)
			if ok {
				require.Equal(t, int64(10*i)+int64(p), cp.Offset)
			}
		}
		_, ok, err := db.Checkpoint(info)
		require.NoError(t, err)
		require.Equal(t, i > 0, ok)
	}
	_, ok, err := db.PartitionCheckpoint(infos[1], 7)
	require.NoError(t, err)
	require.False(t, ok)
}
