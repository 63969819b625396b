package task

import (
	"github.com/weirstream/weir/internal/wire"
	"github.com/weirstream/weir/state"
)

// Clock implements topology.Host. A clock that was saved and that no code asks for any more is forgotten by the next commit.
func (t *Task) Clock(name string) *state.Clock {
	c := t.clocks[name]
	if c == nil {
		c = state.NewClock(&t.journal)
		if ms, ok := t.saved[name]; ok {
			c.Advance(ms)
		}
		t.clocks[name] = c
		t.clockOrder = append(t.clockOrder, name)
	}
	return c
}

// loadClocks notes what a commit saved. Clocks that a restore moved further keep their reading.
func (t *Task) loadClocks(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	saved, err := wire.DecodeClocks(b)
	if err != nil {
		return t.errorf("read clocks: %w", err)
	}
	for _, c := range saved {
		t.saved[c.Name] = max(c.UnixMs, t.saved[c.Name])
		if known := t.clocks[c.Name]; known != nil {
			known.Advance(c.UnixMs)
		}
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
