package state_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/state"
)

func TestJournal_UndoesClocksAndCounters(t *testing.T) {
	t.Parallel()
	var j state.Journal
	clock, counter := state.NewClock(&j), state.NewCounter(&j)
	require.Equal(t, state.NoTime, clock.Now())
	require.EqualValues(t, 5, clock.Advance(5))
	require.EqualValues(t, 5, clock.Advance(3), "it never goes back by itself")
	counter.Add(2)
	j.Undo()
	require.Equal(t, state.NoTime, clock.Now())
	require.Zero(t, counter.Value())

	clock.Advance(5)
	counter.Add(2)
	j.Release()
	clock.Set(1)
	clock.Advance(9)
	counter.Add(1)
	counter.Add(1)
	j.Undo()
	require.EqualValues(t, 5, clock.Now())
	require.EqualValues(t, 2, counter.Value())
	j.Undo()
	require.EqualValues(t, 5, clock.Now(), "an undo is undone with nothing")
}

func TestCounter_SetIsForGood(t *testing.T) {
	t.Parallel()
	var j state.Journal
	counter := state.NewCounter(&j)
	counter.Add(2)
	counter.Set(7)
	j.Undo()
	require.EqualValues(t, 7, counter.Value())
}
