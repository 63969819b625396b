package task

import (
	"cmp"
	"slices"

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

// loadClocks notes what commits saved. Where two commits saved a clock, the later one tells its reading, since clocks may be set back; commits are
// numbered. Clocks that a restore moved further keep their reading.
func (t *Task) loadClocks(commits ...[]byte) error {
	var sets [][]wire.Clock
	for _, b := range commits {
		if len(b) == 0 {
			continue
		}
		set, err := wire.DecodeClocks(b)
		if err != nil {
			return t.errorf("read clocks: %w", err)
		}
		sets = append(sets, set)
	}
	slices.SortStableFunc(sets, func(a, b []wire.Clock) int { return cmp.Compare(commitNumber(a), commitNumber(b)) })
	clear(t.saved)
	for _, set := range sets {
		for _, c := range set {
			t.saved[c.Name] = c.UnixMs
		}
	}
	for _, name := range t.clockOrder {
		if ms, ok := t.saved[name]; ok {
			t.clocks[name].Advance(ms)
		}
	}
	t.journal.Release()
	return nil
}

func commitNumber(set []wire.Clock) int64 {
	for _, c := range set {
		if c.Name == commitsClock {
			return c.UnixMs
		}
	}
	return state.NoTime
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
