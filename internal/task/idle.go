package task

import (
	"time"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// An idle watches an input that may be quiet. While it is, event time goes on from the input's last timestamp as the wall clock does: windows
// close, and what waits for their end is sent.
//
// The event time of the input is a clock of the task: a restart goes on where it stood, and counts the quiet anew.
type idle struct {
	after   time.Duration
	clock   *state.Clock // the input's event time
	since   time.Time    // the wall time at which the clock was right
	busy    time.Time    // the wall time of the last record
	advance func(now int64) error
}

// idleLooks is how often a quiet input is looked at, in the time that it must be quiet for.
const idleLooks = 4

// OnIdle implements topology.Host.
func (t *Task) OnIdle(topic string, after time.Duration, advance func(now int64) error) {
	now := t.cfg.Now()
	w := &idle{after: after, clock: t.Clock("input/" + topic), since: now, busy: now, advance: advance}
	t.idles[topic] = w
	t.Schedule("idle/"+topic, topology.WallTime, max(after/idleLooks, time.Millisecond), func(now time.Time) error {
		q := t.byTopic[topic]
		if q == nil || q.len() > 0 || q.fetched < q.end || now.Sub(w.busy) < w.after || w.clock.Now() == state.NoTime {
			return nil
		}
		w.clock.Set(w.clock.Now() + now.Sub(w.since).Milliseconds())
		w.since = now
		t.streamTime.Advance(w.clock.Now())
		return w.advance(w.clock.Now())
	})
}

// took notes a record of the input, of that event time.
func (w *idle) took(ms int64, now time.Time) {
	w.clock.Advance(ms)
	w.since, w.busy = now, now
}
