package clock

import (
	"sync"
	"time"
)

// A Manual clock stands still until Advance moves it. Make one with NewManual; it may be used from several goroutines.
type Manual struct {
	mu      sync.Mutex
	now     time.Time
	running []*manualTimer // in the order in which they were started
}

// NewManual returns a clock that stands at start.
func NewManual(start time.Time) *Manual { return &Manual{now: start} }

// Now returns the time to which the clock was moved last.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// NewTimer returns a timer that fires during the Advance that reaches its time; at once if d is zero or negative.
func (m *Manual) NewTimer(d time.Duration) Timer {
	t := &manualTimer{clock: m, c: make(chan time.Time, 1)}
	t.Reset(d)
	return t
}

// Advance moves the clock by d and fires every timer that falls due, in the order of their times, those of equal
// times in the order in which they were started. Each channel receives the time for which its timer was set. Advance
// does not wait for the receivers: a timer that one of them starts in answer counts from the time at which the clock
// has arrived. A negative d is taken as zero.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(max(d, 0))
	for t := m.due(); t != nil; t = m.due() {
		m.remove(t)
		t.c <- t.at
	}
}

// due returns the running timer that is to fire next, or nil if none has reached its time.
func (m *Manual) due() *manualTimer {
	var first *manualTimer
	for _, t := range m.running {
		if !t.at.After(m.now) && (first == nil || t.at.Before(first.at)) {
			first = t
		}
	}
	return first
}

// remove ends t and reports whether it was running.
func (m *Manual) remove(t *manualTimer) bool {
	for i, other := range m.running {
		if other == t {
			m.running = append(m.running[:i], m.running[i+1:]...)
			return true
		}
	}
	return false
}

// manualTimer is guarded by its clock's mutex.
//
// Invariant: c is empty while the timer is running, so a firing never blocks.
type manualTimer struct {
	clock *Manual
	c     chan time.Time
	at    time.Time
}

func (t *manualTimer) C() <-chan time.Time { return t.c }

func (t *manualTimer) Reset(d time.Duration) bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	wasRunning := t.end()
	t.at = t.clock.now.Add(max(d, 0))
	if d <= 0 {
		t.c <- t.at
		return wasRunning
	}
	t.clock.running = append(t.clock.running, t)
	return wasRunning
}

func (t *manualTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.end()
}

// end stops the timer, takes back a firing that nobody received, and reports whether the timer was running.
func (t *manualTimer) end() bool {
	select {
	case <-t.c:
	default:
	}
	return t.clock.remove(t)
}
