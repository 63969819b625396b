package task

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/arena"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A globalHost is what the nodes that fill global stores are wired into: a task that has stores and neither outputs nor timers.
type globalHost struct {
	g      *Global
	cursor topology.Cursor
	arena  arena.Arena
}

var _ topology.Host = (*globalHost)(nil)

// Application implements topology.Host.
func (h *globalHost) Application() string { return h.g.cfg.Application }

// Context implements topology.Host.
func (h *globalHost) Context() context.Context { return h.g.ctx }

// Partition implements topology.Host: there is no single one.
func (h *globalHost) Partition() int32 { return -1 }

// Metadata implements topology.Host.
func (h *globalHost) Metadata() *topology.Metadata { return &h.g.meta }

// Cursor implements topology.Host.
func (h *globalHost) Cursor() *topology.Cursor { return &h.cursor }

// Arena implements topology.Host.
func (h *globalHost) Arena() *arena.Arena { return &h.arena }

// Store implements topology.Host.
func (h *globalHost) Store(name string) (state.Store, error) {
	for _, s := range h.g.stores {
		if s.store.Info().Name == name {
			return s.store, nil
		}
	}
	return nil, fmt.Errorf("global store %q is not declared", name)
}

// Global implements topology.Host.
func (h *globalHost) Global(name string) (state.Committed, error) { return h.g.Committed(name) }

// Clock implements topology.Host. No store of a global kind keeps one.
func (h *globalHost) Clock(string) *state.Clock { return state.NewClock(&h.g.journal) }

// Counter implements topology.Host.
func (h *globalHost) Counter(node, reason string) *state.Counter {
	return h.g.counters.of(Dropped, node, reason)
}

// Now implements topology.Host: there is no clock.
func (h *globalHost) Now(topology.ClockType) (time.Time, bool) { return time.Time{}, false }

// Schedule implements topology.Host: there are no timers.
func (h *globalHost) Schedule(string, topology.ClockType, time.Duration, func(time.Time) error) {}

// OnCommit implements topology.Host: nothing is held back.
func (h *globalHost) OnCommit(func() error) {}

// OnIdle implements topology.Host: there is no event time.
func (h *globalHost) OnIdle(string, time.Duration, func(int64) error) {}

// RequestCommit implements topology.Host.
func (h *globalHost) RequestCommit() {}

// Emit implements topology.Host.
func (h *globalHost) Emit(topology.Output) error {
	return errors.New("a global store has no outputs")
}

// Partitions implements topology.Host.
func (h *globalHost) Partitions(topic string) (int32, error) {
	return 0, fmt.Errorf("a global store writes to no topic: not to %q either", topic)
}

// Sticky implements topology.Host.
func (h *globalHost) Sticky(int32) int32 { return 0 }
