package task

import (
	"container/heap"
	"time"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A timer calls a function of a processor each time a clock reaches its next target. Targets are multiples of the interval, counted
// from the first; steps that the clock jumps over are merged. The target is a clock of the task: it survives restarts.
type timer struct {
	everyMs int64
	next    *state.Clock
	f       func(now time.Time) error
}

// Schedule implements topology.Host.
func (t *Task) Schedule(name string, clock topology.ClockType, every time.Duration, f func(now time.Time) error) {
	tm := &timer{everyMs: every.Milliseconds(), next: t.Clock("timer/" + name), f: f}
	if tm.next.Now() == state.NoTime {
		first := int64(0)
		if clock == topology.WallTime {
			first = t.cfg.Now().UnixMilli() + tm.everyMs
		}
		tm.next.Set(first)
	}
	heap.Push(t.timersOf(clock), tm)
}

func (t *Task) timersOf(clock topology.ClockType) *timerHeap {
	if clock == topology.WallTime {
		return &t.wallTimers
	}
	return &t.streamTimers
}

// Tick runs the timers of wall time that are due.
func (t *Task) Tick(now time.Time) error {
	before := t.streamTime.Now()
	if err := t.punctuate(topology.WallTime, now); err != nil {
		return err
	}
	if t.streamTime.Now() == before {
		return nil
	}
	return t.punctuate(topology.StreamTime, time.UnixMilli(t.streamTime.Now()).UTC()) // an idle input has moved it
}

// NextTimer is the time at which the next timer of wall time is due; ok is false if there is none.
func (t *Task) NextTimer() (at time.Time, ok bool) {
	if len(t.wallTimers) == 0 {
		return at, false
	}
	return time.UnixMilli(t.wallTimers[0].next.Now()).UTC(), true
}

// punctuate calls each timer of the clock that is due once, the earliest target first. What a timer does is all or nothing, as for a
// record; but there is no record to set aside: its failure fails the task.
func (t *Task) punctuate(clock topology.ClockType, now time.Time) error {
	timers := t.timersOf(clock)
	for len(*timers) > 0 && (*timers)[0].next.Now() <= now.UnixMilli() {
		tm := heap.Pop(timers).(*timer)
		err := t.fire(tm, now)
		heap.Push(timers, tm)
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Task) fire(tm *timer, now time.Time) error {
	t.orphan(now)
	target, ms := tm.next.Now(), now.UnixMilli()
	tm.next.Set(target + ((ms-target)/tm.everyMs+1)*tm.everyMs)
	return t.alone("timer", func() error { return tm.f(now) })
}

// orphan fills the metadata for code that no record has caused.
func (t *Task) orphan(now time.Time) {
	t.meta = noMetadata()
	t.meta.Timestamp, t.meta.Origin = now, t.origin
}

// alone runs code that no record has caused: what it does is all or nothing, and its failure fails the task.
func (t *Task) alone(what string, f func() error) error {
	if err := t.guard(f); err != nil {
		t.undo()
		if fault, ok := isFault(err); ok {
			err = &fault.Failure
		}
		return t.errorf("%s: %w", what, err)
	}
	return t.done()
}

// OnCommit implements topology.Host.
func (t *Task) OnCommit(f func() error) { t.onCommit = append(t.onCommit, f) }

// sendHeld lets operators send what they hold back until a commit.
func (t *Task) sendHeld() error {
	for _, f := range t.onCommit {
		t.orphan(time.UnixMilli(max(t.streamTime.Now(), 0)).UTC())
		if err := t.alone("commit", f); err != nil {
			return err
		}
	}
	return nil
}

// timerHeap orders the timers of one clock by their targets. As in queueHeap, its mechanics are those of Java's PriorityQueue: timers
// with equal targets fire in the same order as in Kafka Streams.
type timerHeap []*timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].next.Now() < h[j].next.Now() }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(*timer)) }

func (h *timerHeap) Pop() any {
	old := *h
	tm := old[len(old)-1]
	*h = old[:len(old)-1]
	return tm
}
