package task

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/arena"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A Task is the host of its nodes.
var _ topology.Host = (*Task)(nil)

// Application implements topology.Host.
func (t *Task) Application() string { return t.cfg.Application }

// Context implements topology.Host.
func (t *Task) Context() context.Context { return t.ctx }

// Partition implements topology.Host.
func (t *Task) Partition() int32 { return t.cfg.ID.Partition }

// Metadata implements topology.Host.
func (t *Task) Metadata() *topology.Metadata { return &t.meta }

// Cursor implements topology.Host.
func (t *Task) Cursor() *topology.Cursor { return &t.cursor }

// Arena implements topology.Host.
func (t *Task) Arena() *arena.Arena { return &t.arena }

// Store implements topology.Host.
func (t *Task) Store(name string) (state.Store, error) {
	if st := t.byName[name]; st != nil {
		return st, nil
	}
	return nil, fmt.Errorf("store %q is not declared", name)
}

// Global implements topology.Host.
func (t *Task) Global(name string) (state.Committed, error) {
	if t.cfg.Globals == nil {
		return state.Committed{}, fmt.Errorf("global store %q: the instance has none", name)
	}
	c, err := t.cfg.Globals(name)
	return c.For(&t.journal), err
}

// Counter implements topology.Host.
func (t *Task) Counter(node, reason string) *state.Counter {
	return t.counters.of(Dropped, node, reason)
}

// Now implements topology.Host.
func (t *Task) Now(clock topology.ClockType) (time.Time, bool) {
	if clock == topology.WallTime {
		return t.cfg.Now(), true
	}
	return time.UnixMilli(t.streamTime.Now()).UTC(), t.streamTime.Now() != state.NoTime
}

// RequestCommit implements topology.Host.
func (t *Task) RequestCommit() { t.wanted = true }

// Emit implements topology.Host.
func (t *Task) Emit(o topology.Output) error {
	if limit := t.cfg.MaxRecordBytes; limit > 0 {
		if n := size(&o); n > limit {
			return fmt.Errorf("the record has %d bytes with its headers, the limit is %d", n, limit)
		}
	}
	t.outputs = append(t.outputs, o)
	return nil
}

// size is about what a record takes in a batch.
func size(o *topology.Output) int {
	n := len(o.Key) + len(o.Value) + 64
	for i := range o.Headers {
		n += len(o.Headers[i].Key) + len(o.Headers[i].Value) + 10
	}
	return n
}

// Partitions implements topology.Host.
func (t *Task) Partitions(topic string) (int32, error) { return t.cfg.Partitions(topic) }

// Sticky implements topology.Host: records without a key go to one partition per commit interval.
func (t *Task) Sticky(n int32) int32 { return t.sticky % n }
