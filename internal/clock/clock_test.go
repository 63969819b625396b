package clock_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/internal/clock"
)

var start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// fired returns the time that the timer has sent, and false if it has sent none.
func fired(t clock.Timer) (time.Time, bool) {
	select {
	case at := <-t.C():
		return at, true
	default:
		return time.Time{}, false
	}
}

func requireFired(t *testing.T, timer clock.Timer, want time.Time) {
	t.Helper()
	at, ok := fired(timer)
	require.True(t, ok, "the timer has not fired")
	require.Equal(t, want, at)
}

func requireSilent(t *testing.T, timer clock.Timer) {
	t.Helper()
	at, ok := fired(timer)
	require.False(t, ok, "the timer fired at %s", at)
}

func TestManual_MovesOnlyByAdvance(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	require.Equal(t, start, m.Now())
	m.Advance(time.Hour)
	require.Equal(t, start.Add(time.Hour), m.Now())
	m.Advance(-time.Minute)
	require.Equal(t, start.Add(time.Hour), m.Now())
}

func TestManual_FiresATimerOnceAtItsTime(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	timer := m.NewTimer(time.Second)
	m.Advance(time.Second - 1)
	requireSilent(t, timer)
	m.Advance(time.Hour)
	requireFired(t, timer, start.Add(time.Second))
	m.Advance(time.Hour)
	requireSilent(t, timer)
}

func TestManual_FiresATimerOfNoDurationAtOnce(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	requireFired(t, m.NewTimer(0), start)
	requireFired(t, m.NewTimer(-time.Second), start)
}

func TestManual_FiresEveryTimerThatIsDue(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	late, early, later := m.NewTimer(3*time.Second), m.NewTimer(time.Second), m.NewTimer(4*time.Second)
	m.Advance(3 * time.Second)
	requireFired(t, early, start.Add(time.Second))
	requireFired(t, late, start.Add(3*time.Second))
	requireSilent(t, later)
}

func TestManual_StopTakesBackAFiringNobodyReceived(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	timer := m.NewTimer(time.Second)
	m.Advance(time.Second)
	require.False(t, timer.Stop())
	requireSilent(t, timer)
}

func TestManual_StoppedTimerStaysSilent(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	timer := m.NewTimer(time.Second)
	require.True(t, timer.Stop())
	require.False(t, timer.Stop())
	m.Advance(time.Hour)
	requireSilent(t, timer)
}

func TestManual_ResetCountsFromNow(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	timer := m.NewTimer(time.Second)
	m.Advance(time.Second)
	require.False(t, timer.Reset(time.Minute), "the timer had fired")
	requireSilent(t, timer)
	require.True(t, timer.Reset(time.Hour), "the timer was running")
	m.Advance(time.Minute)
	requireSilent(t, timer)
	m.Advance(time.Hour)
	requireFired(t, timer, start.Add(time.Second+time.Hour))
}

func TestManual_IsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	m := clock.NewManual(start)
	var timers sync.WaitGroup
	for range 8 {
		timers.Go(func() {
			for range 100 {
				timer := m.NewTimer(time.Second)
				m.Advance(time.Second)
				<-timer.C()
				timer.Reset(time.Hour)
				timer.Stop()
			}
		})
	}
	timers.Wait()
	require.Equal(t, start.Add(800*time.Second), m.Now())
}

func TestReal_FollowsTheMachine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		real := clock.Real()
		began := real.Now()
		timer := real.NewTimer(time.Hour)
		requireSilent(t, timer)
		at := <-timer.C()
		require.Equal(t, time.Hour, at.Sub(began))
		require.Equal(t, time.Hour, real.Now().Sub(began))
		require.False(t, timer.Reset(time.Hour))
		require.True(t, timer.Stop())
	})
}
