package task

import (
	"github.com/weirstream/weir/internal/wire"
	"github.com/weirstream/weir/state"
)

// Clock implements topology.Host. Clocks that no code asks for any more are kept until the task closes, and then forgotten.
func (t *Task) Clock(name string) *state.Clock {
	c := t.clocks[name]
	if c == nil {
		c = state.NewClock(&t.journal)
		t.clocks[name] = c
		t.clockOrder = append(t.clockOrder, name)
	}
	return c
}

// loadClocks sets the clocks to what a commit saved. Those that a restore moved further keep their reading.
func (t *Task) loadClocks(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	saved, err := wire.DecodeClocks(b)
	if err != nil {
		return t.errorf("read clocks: %w", err)
	}
	for _, c := range saved {
		t.Clock(c.Name).Advance(c.UnixMs)
	}
	t.journal.Release()
	return nil
}

// saveClocks encodes the clocks that have been set, in the order of their first use.
func (t *Task) saveClocks() []byte {
	var out []wire.Clock
	for _, name := range t.clockOrder {
		if now := t.clocks[name].Now(); now != state.NoTime {
			out = append(out, wire.Clock{Name: name, UnixMs: now})
		}
	}
	return wire.AppendClocks(nil, out)
}
