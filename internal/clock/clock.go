package clock

import "time"

// A Clock tells the wall time and makes timers that follow it. All methods may be called from several goroutines at
// once.
type Clock interface {
	// Now returns the current wall time.
	Now() time.Time
	// NewTimer returns a running timer that fires once, when d has passed; at once if d is zero or negative.
	NewTimer(d time.Duration) Timer
}

// A Timer fires once. Stop and Reset leave no old firing in the channel, so that a receive after either of them sees
// only a firing of the timer's new life.
type Timer interface {
	// C returns the channel that receives the time at which the timer fired. It is the same channel for the timer's whole
	// life, and is never closed.
	C() <-chan time.Time
	// Reset lets the timer run again, for d from now. It reports whether the timer was still running.
	Reset(d time.Duration) bool
	// Stop ends the timer. It reports whether the timer was still running.
	Stop() bool
}

// Real returns the machine's clock. Its times carry a monotonic reading, so differences between them do not jump when
// the machine's time is set.
func Real() Clock { return realClock{} }

type realClock struct{}

func (realClock) Now() time.Time                 { return time.Now() }
func (realClock) NewTimer(d time.Duration) Timer { return realTimer{time.NewTimer(d)} }

type realTimer struct{ timer *time.Timer }

func (t realTimer) C() <-chan time.Time        { return t.timer.C }
func (t realTimer) Reset(d time.Duration) bool { return t.timer.Reset(d) }
func (t realTimer) Stop() bool                 { return t.timer.Stop() }
