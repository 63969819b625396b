package stream

import (
	"fmt"
	"math"
	"time"

	"github.com/weirstream/weir/state"
)

// TimeWindows are windows of a fixed size: Tumbling, Hopping or Sliding; or Unlimited, which is a single one.
type TimeWindows interface {
	// windowing checks the windows and returns what an aggregation must know of them.
	windowing() (windowing, error)
}

// Tumbling windows follow one another without overlap, aligned to 1970: [0, Size), [Size, 2*Size), ...
type Tumbling struct {
	// Size is the length of a window. The end is not part of it.
	Size time.Duration
	// Grace is how long, in stream time behind its end, a window still takes records. None means that it closes at its end.
	Grace time.Duration
}

func (w Tumbling) windowing() (windowing, error) { return aligned(w.Size, w.Size, w.Grace) }

// Hopping windows begin every Advance, aligned to 1970, and overlap: a record is in Size/Advance of them.
type Hopping struct {
	// Size is the length of a window. The end is not part of it.
	Size time.Duration
	// Advance is the distance between the starts of two windows, at most Size.
	Advance time.Duration
	// Grace is how long, in stream time behind its end, a window still takes records. None means that it closes at its end.
	Grace time.Duration
}

func (w Hopping) windowing() (windowing, error) { return aligned(w.Size, w.Advance, w.Grace) }

// Unlimited is a single window per key, from From on, that never closes. Earlier records are dropped from it, counted as early.
type Unlimited struct {
	// From is the start of the window, not before 1970; none means 1970.
	From time.Time
}

func (w Unlimited) windowing() (windowing, error) {
	from := int64(0)
	if !w.From.IsZero() {
		from = w.From.UnixMilli()
	}
	if from < 0 || !w.From.IsZero() && !w.From.Equal(time.UnixMilli(from)) {
		return windowing{}, fmt.Errorf("%s is %v: use whole milliseconds, not before 1970", "From", w.From)
	}
	return windowing{fromMs: from, sizeMs: math.MaxInt64 - from, retention: state.Forever}, nil
}

// A windowing is what an aggregation knows of its windows. Their length is sizeMs: the end is not part of a window, unless it is a sliding one.
type windowing struct {
	sizeMs, hopMs, graceMs int64 // no hop: Unlimited or Sliding
	fromMs                 int64 // where an unlimited window starts
	sliding                bool
	retention              time.Duration // of the store, unless the descriptor asks for more
}

// longest bounds durations, so that their sums can be told.
const longest time.Duration = 1 << 60

// A span is a duration of a window's descriptor with its bounds.
type span struct {
	name             string
	value, low, high time.Duration
}

func (s span) wrong() bool {
	return s.value < s.low || s.value > s.high || s.value%time.Millisecond != 0
}

func aligned(size, advance, grace time.Duration) (windowing, error) {
	for _, s := range []span{{"Size", size, 1, longest}, {"Advance", advance, 1, max(size, 1)}, {"Grace", grace, 0, longest}} {
		if s.wrong() {
			return windowing{}, fmt.Errorf("%s is %v: use whole milliseconds; Size above 0, Advance above 0 and at most Size, Grace not negative",
				s.name, s.value)
		}
	}
	return windowing{
		sizeMs: size.Milliseconds(), hopMs: advance.Milliseconds(), graceMs: grace.Milliseconds(), retention: size + grace,
	}, nil
}

func (w windowing) unlimited() bool { return w.hopMs == 0 && !w.sliding }

// size is the length of a window as a window store takes it.
func (w windowing) size() time.Duration {
	if w.unlimited() {
		return state.Forever
	}
	return time.Duration(w.sizeMs) * time.Millisecond
}

// closes is how long behind its end a window takes records.
func (w windowing) closes() time.Duration { return time.Duration(w.graceMs) * time.Millisecond }

// leastRetention is the shortest retention that a store may have.
func (w windowing) leastRetention() time.Duration {
	switch {
	case w.unlimited():
		return time.Millisecond // its clock stands at the only start
	case w.sliding:
		return 2*w.size() + w.closes()
	}
	return w.size() + w.closes()
}

// first is the start of the first window that holds ts. No window starts before 1970.
func (w windowing) first(ts int64) (start int64, ok bool) {
	if w.hopMs == 0 {
		return w.fromMs, true
	}
	return max(0, ts-w.sizeMs+w.hopMs) / w.hopMs * w.hopMs, true
}

// following is the start of the window behind the one that starts at start, if it holds ts.
func (w windowing) following(start, ts int64) (int64, bool) {
	start += w.hopMs
	return start, w.hopMs > 0 && start <= ts
}

// closing returns the starts of the windows that closed since the last emission, both bounds included. last is the close time of that emission: windows
// that ended by then are out. closed is the close time now.
func (w windowing) closing(last, closed int64) (from, to int64, ok bool) {
	if last != state.NoTime && last >= closed {
		return 0, 0, false
	}
	to = closed - w.sizeMs
	if w.sliding {
		to-- // its end is part of it
	}
	if to < 0 {
		return 0, 0, false
	}
	if last == state.NoTime {
		return 0, to, true
	}
	from = w.unsent(last)
	if !w.sliding && (from-1)/w.hopMs == to/w.hopMs {
		return 0, 0, false // no window starts between them
	}
	return from, to, true
}

// unsent is the first start that an emission at the close time last has not sent.
func (w windowing) unsent(last int64) int64 {
	switch {
	case last == state.NoTime:
		return 0
	case w.sliding:
		return max(0, last-w.sizeMs)
	}
	return max(0, last-w.sizeMs) + 1
}
