package state_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

// Held rows are older than the retention where the store's clock is ahead of its user's: with at-least-once processing, a crash may leave rows in the
// changelog of records that are processed again.

func TestHold_RowsBeyondTheRetentionComeBackFromTheChangelog(t *testing.T) {
	t.Parallel()
	hour := time.Hour.Milliseconds()
	t.Run("windows", func(t *testing.T) {
		t.Parallel()
		for _, spec := range []state.WindowSpec[string, int64]{windowSpec().TimeFirst(), windowSpec().TimeIndex()} {
			r := newRoom(t, state.NewMemory(), spec, 0)
			w := spec.Open(r)
			w.Hold(at(0))
			require.NoError(t, w.Put("k", at(hour), 2))
			r.commit()
			require.NoError(t, w.Put("k", at(0), 1))
			r.commit()
			other := r.restored(state.NewMemory(), 0)
			again := spec.Open(other)
			again.Hold(at(0))
			other.commit()
			require.Equal(t, rowsOf(t, w.ScanStarts(at(0), at(hour))), rowsOf(t, again.ScanStarts(at(0), at(hour))))
			require.Len(t, rowsOf(t, again.ScanStarts(at(0), at(hour))), 2)
		}
	})
	t.Run("sessions", func(t *testing.T) {
		t.Parallel()
		spec := sessionSpec().TimeIndex()
		r := newRoom(t, state.NewMemory(), spec, 0)
		s := spec.Open(r)
		s.Hold(at(0))
		require.NoError(t, s.Put(sessionKey{"k", hour, hour}.window(), 2))
		r.commit()
		require.NoError(t, s.Put(sessionKey{"k", 0, 1}.window(), 1))
		r.commit()
		other := r.restored(state.NewMemory(), 0)
		again := spec.Open(other)
		again.Hold(at(0))
		other.commit()
		require.Equal(t, sessionsOf(t, s.ScanEnds(at(0), at(hour))), sessionsOf(t, again.ScanEnds(at(0), at(hour))))
		require.Len(t, sessionsOf(t, again.ScanEnds(at(0), at(hour))), 2)
	})
}

// A record may move the hold on and then fail further down.
func TestHold_IsUndoneWithTheRecord(t *testing.T) {
	t.Parallel()
	hour := time.Hour.Milliseconds()
	windows := windowSpec().TimeFirst()
	r := newRoom(t, state.NewMemory(), windows, 0)
	w := windows.Open(r)
	w.Hold(at(0))
	r.journal.Release()
	w.Hold(at(hour))
	r.journal.Undo()
	require.NoError(t, w.Put("k", at(0), 1))
	require.NoError(t, w.Put("k", at(hour), 2))
	r.commit()
	require.Len(t, rowsOf(t, w.ScanStarts(at(0), at(hour))), 2)

	sessions := sessionSpec().TimeIndex()
	r = newRoom(t, state.NewMemory(), sessions, 0)
	s := sessions.Open(r)
	s.Hold(at(0))
	r.journal.Release()
	s.Hold(at(hour))
	r.journal.Undo()
	require.NoError(t, s.Put(sessionKey{"k", 0, 1}.window(), 1))
	require.NoError(t, s.Put(sessionKey{"k", hour, hour}.window(), 2))
	r.commit()
	require.Len(t, sessionsOf(t, s.ScanEnds(at(0), at(hour))), 2)
}

// A row that is deleted and expires within one commit must not come back where the clocks do not come as far.
func TestPrepare_LogsTheDeleteOfARowThatHasExpiredMeanwhile(t *testing.T) {
	t.Parallel()
	hour := time.Hour.Milliseconds()
	spec := sessionSpec().TimeIndex()
	r := newRoom(t, state.NewMemory(), spec, 0)
	s := spec.Open(r)
	gone := serde.Windowed[string]{Key: "k", Start: at(0), End: at(1)}
	require.NoError(t, s.Put(gone, 1))
	r.commit()
	require.NoError(t, s.Remove(gone))
	require.NoError(t, s.Put(sessionKey{"k", hour, hour}.window(), 2))
	r.commit()
	require.True(t, slices.ContainsFunc(r.log, func(l logged) bool { return l.deleted }))
	other := r.restored(state.NewMemory(), 0)
	again := spec.Open(other)
	again.Hold(at(0))
	require.Len(t, sessionsOf(t, again.ScanEnds(at(0), at(hour))), 1)
	require.Len(t, sessionsOf(t, s.ScanEnds(at(0), at(hour))), 1)
}
