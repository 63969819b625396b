package task

import (
	"time"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A timer calls a function of a processor each time a clock reaches its next target. Targets are multiples of the interval, counted
// from the first; steps that the clock jumps over are merged. The target is a clock of the task: it survives restarts.
type timer struct {
	clock   topology.ClockType
	everyMs int64
	next    *state.Clock
	f       func(now time.Time) error
}

// Schedule implements topology.Host.
func (t *Task) Schedule(name string, clock topology.ClockType, every time.Duration, f func(now time.Time) error) {
	tm := &timer{clock: clock, everyMs: every.Milliseconds(), next: t.Clock("timer/" + name), f: f}
	if tm.next.Now() == state.NoTime {
		first := int64(0)
		if clock == topology.WallTime {
			first = t.cfg.Now().UnixMilli() + tm.everyMs
		}
		tm.next.Set(first)
	}
	t.timers = append(t.timers, tm)
}

// Tick runs the timers of wall time that are due.
func (t *Task) Tick(now time.Time) error { return t.punctuate(topology.WallTime, now) }

// NextTimer is the time at which the next timer of wall time is due; ok is false if there is none.
func (t *Task) NextTimer() (at time.Time, ok bool) {
	for _, tm := range t.timers {
		if next := time.UnixMilli(tm.next.Now()).UTC(); tm.clock == topology.WallTime && (!ok || next.Before(at)) {
			at, ok = next, true
		}
	}
	return at, ok
}

// punctuate calls each timer of the clock that is due once, the earliest target first. What a timer does is all or nothing, as for a
// record; but there is no record to set aside: its failure fails the task.
func (t *Task) punctuate(clock topology.ClockType, now time.Time) error {
	ms := now.UnixMilli()
	var due []*timer
	for _, tm := range t.timers {
		if tm.clock == clock && tm.next.Now() <= ms {
			due = append(due, tm)
		}
	}
	for len(due) > 0 {
		first := 0
		for i, tm := range due {
			if tm.next.Now() < due[first].next.Now() {
				first = i
			}
		}
		tm := due[first]
		due = append(due[:first], due[first+1:]...)
		if err := t.fire(tm, now); err != nil {
			return err
		}
	}
	return nil
}

func (t *Task) fire(tm *timer, now time.Time) error {
	t.meta = noMetadata()
	t.meta.Timestamp = now
	target, ms := tm.next.Now(), now.UnixMilli()
	tm.next.Set(target + ((ms-target)/tm.everyMs+1)*tm.everyMs)
	if err := t.guard(func() error { return tm.f(now) }); err != nil {
		t.undo()
		if fault, ok := isFault(err); ok {
			err = &fault.Failure
		}
		return t.errorf("timer: %w", err)
	}
	return t.done()
}
