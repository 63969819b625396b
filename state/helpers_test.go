package state_test

import (
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// A fataler is a test or a rapid test.
type fataler interface {
	require.TestingT
	Helper()
}

// A logged record is one of a changelog.
type logged struct {
	key, value string
	deleted    bool
	ms         int64
}

// A room is a task with one store on an engine: what commits, rolls back and restores it.
type room struct {
	t         fataler
	engine    state.Engine
	spec      state.Spec
	cache     int64
	db        *state.DB
	store     state.Store
	journal   state.Journal
	clocks    map[string]*state.Clock
	committed map[string]int64 // of the clocks
	now       time.Time
	log       []logged
}

func newRoom(t fataler, e state.Engine, spec state.Spec, cache int64) *room {
	t.Helper()
	r := &room{t: t, engine: e, spec: spec, cache: cache, committed: map[string]int64{}}
	r.open()
	return r
}

// open opens the store on the engine, as a start of the task would.
func (r *room) open() {
	r.t.Helper()
	r.journal, r.clocks = state.Journal{}, map[string]*state.Clock{}
	var err error
	r.db, err = state.NewDB(r.engine, state.NewMemory())
	require.NoError(r.t, err)
	r.store, err = r.db.Open(r.spec, state.Env{
		Journal: &r.journal, Time: func() time.Time { return r.now }, CacheBytes: r.cache,
		Clock: func(name string) *state.Clock {
			if r.clocks[name] == nil {
				r.clocks[name] = state.NewClock(&r.journal)
			}
			return r.clocks[name]
		},
	})
	require.NoError(r.t, err)
	for name, ms := range r.committed {
		r.clocks[name].Set(ms)
	}
	r.journal.Release()
}

// OpenStore implements state.Opener.
func (r *room) OpenStore(state.Spec) (state.Store, error) { return r.store, nil }

func (r *room) commit() {
	r.t.Helper()
	r.journal.Release()
	c := r.db.Begin()
	require.NoError(r.t, c.Prepare(r.store, func(key, value []byte, ms int64) error {
		r.log = append(r.log, logged{string(key), string(value), value == nil, ms})
		return nil
	}))
	require.NoError(r.t, c.Apply())
	require.NoError(r.t, r.store.Committed())
	for name, clock := range r.clocks {
		r.committed[name] = clock.Now()
	}
	rows, bytes := r.store.Pending()
	require.Zero(r.t, rows)
	require.Zero(r.t, bytes)
}

// rollback takes the store back to its last commit.
func (r *room) rollback() {
	r.journal.Undo()
	r.store.Reset()
	for name, clock := range r.clocks {
		ms, ok := r.committed[name]
		if !ok {
			ms = state.NoTime
		}
		clock.Set(ms)
	}
	r.journal.Release()
}

// restored is a room on another engine, restored from the changelog of this one.
func (r *room) restored(e state.Engine, cache int64) *room {
	r.t.Helper()
	out := newRoom(r.t, e, r.spec, cache)
	c := out.db.Begin()
	for _, l := range r.log {
		var value []byte
		if !l.deleted {
			value = append([]byte{}, l.value...)
		}
		require.NoError(r.t, c.Restore(out.store, []byte(l.key), value, l.ms))
	}
	require.NoError(r.t, c.Apply())
	out.journal.Release()
	for name, ms := range r.committed {
		out.clocks[name].Advance(ms)
	}
	out.journal.Release()
	out.log = append(out.log, r.log...)
	for name, clock := range out.clocks {
		out.committed[name] = clock.Now()
	}
	return out
}

// rowsOf lists what a range read yields.
func rowsOf[K, V any](t fataler, seq iter.Seq2[state.Entry[K, V], error]) []string {
	t.Helper()
	rows := []string{}
	for e, err := range seq {
		require.NoError(t, err)
		rows = append(rows, rowText(e.Key, e.Value, e.Timestamp))
	}
	return rows
}

func rowText(key, value any, at time.Time) string {
	if w, ok := key.(serde.Windowed[string]); ok {
		key = fmt.Sprintf("%q from %d", w.Key, w.Start.UnixMilli())
	} else {
		key = fmt.Sprintf("%q", key)
	}
	return fmt.Sprintf("%s: %v @%d", key, value, at.UnixMilli())
}

// engines are the engines that stores run on.
func engines(t *testing.T, run func(t *testing.T, open func() state.Engine)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		run(t, state.NewMemory)
	})
	t.Run("pebble", func(t *testing.T) {
		t.Parallel()
		run(t, func() state.Engine {
			e := openPebble(t, t.TempDir())
			t.Cleanup(func() { require.NoError(t, e.Close()) })
			return e
		})
	})
}
