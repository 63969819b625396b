package topology

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
)

// A NodeContext is what a node has at hand in one task. The wire functions of nodes get one each.
type NodeContext struct {
	host   Host
	node   *node
	cursor *Cursor
	ctx    context.Context
	skip   *state.Counter

	timers  int
	wired   bool
	starts  []func() // of the timers that the set-up asked for
	advance []func(now int64) error
}

func newNodeContext(h Host, n *node) *NodeContext {
	return &NodeContext{host: h, node: n, cursor: h.Cursor(), ctx: h.Context()}
}

// Name is the node's name.
func (c *NodeContext) Name() string { return c.node.name }

// Policy decides about failures of the node; nil if only the builder's default does.
func (c *NodeContext) Policy() dlq.Policy { return c.node.policy }

// Host is the task.
func (c *NodeContext) Host() Host { return c.host }

// Context is handed to user functions.
func (c *NodeContext) Context() context.Context { return c.ctx }

// Metadata describes the record in process.
func (c *NodeContext) Metadata() *Metadata { return c.host.Metadata() }

// Enter notes that the node's user function is about to run: if it panics, the failure is this node's.
func (c *NodeContext) Enter() { c.cursor.Node = c }

// Fail returns the error of a user function as a failure of this node, to be returned up the way the record came. It keeps an
// error that is a failure already, and that of a store's engine: a broken disk is no fault of the record.
func (c *NodeContext) Fail(err error) error { return c.FailAt(dlq.Process, err) }

// FailAt is Fail for another stage.
func (c *NodeContext) FailAt(stage dlq.Stage, err error) error {
	if _, ok := errors.AsType[*Fault](err); ok {
		return err
	}
	if _, ok := errors.AsType[*state.EngineError](err); ok {
		return err
	}
	f := &Fault{Failure: dlq.Failure{Node: c.node.name, Stage: stage, Attempts: 1, Err: err}, Policy: c.node.policy}
	c.cursor.Fault = f
	return f
}

// Panicked returns what user code at this node panicked with as a failure.
func (c *NodeContext) Panicked(value any, stack []byte) error {
	stage := dlq.Process
	switch c.node.kind {
	case SourceNode:
		stage = dlq.Decode
	case SinkNode:
		stage = dlq.Encode
	}
	return c.FailAt(stage, &dlq.PanicError{Value: value, Stack: stack})
}

// Skipped tells whether err is the answer of a user function that drops the record, and counts it if so.
func (c *NodeContext) Skipped(err error) bool {
	if _, failed := errors.AsType[*Fault](err); failed || !dlq.IsSkip(err) {
		return false
	}
	if c.skip == nil {
		c.skip = c.Drops("skipped")
	}
	c.skip.Add(1)
	return true
}

// Drops returns the counter of records that the node drops for that reason.
func (c *NodeContext) Drops(reason string) *state.Counter { return c.host.Counter(c.node.name, reason) }

// Clock returns the clock of that durable name, which is part of the task's state.
func (c *NodeContext) Clock(name string) *state.Clock { return c.host.Clock(name) }

// OpenStore implements state.Opener for the stores that the node declares.
func (c *NodeContext) OpenStore(spec state.Spec) (state.Store, error) {
	name := spec.Info().Name
	for _, s := range c.node.stores {
		if i := s.Info(); i.Name == name {
			if o := spec.Info(); o.Kind != i.Kind || o.KeyType != i.KeyType || o.ValueType != i.ValueType {
				return nil, fmt.Errorf("node %q opens store %q as %s of %s and %s, and declares it as %s of %s and %s",
					c.node.name, name, o.Kind, o.KeyType, o.ValueType, i.Kind, i.KeyType, i.ValueType)
			}
			return c.host.Store(name)
		}
	}
	return nil, fmt.Errorf("node %q does not declare store %q: list it with the node's stores", c.node.name, name)
}

func (c *NodeContext) every(clock ClockType, d time.Duration, f func(now time.Time) error) error {
	if d < time.Millisecond {
		return fmt.Errorf("node %q: a timer of %v: use at least a millisecond", c.node.name, d)
	}
	c.timers++
	name := fmt.Sprintf("%s/%d", c.node.name, c.timers)
	start := func() {
		c.host.Schedule(name, clock, d, func(now time.Time) error {
			return c.run(func() error { return f(now) })
		})
	}
	if !c.wired {
		c.starts = append(c.starts, start)
		return nil
	}
	start()
	return nil
}

// OnCommit, in wiring, has f called before each commit: an operator that holds results back sends them then. Nodes come in the order of the
// graph: those upstream first. A failure fails the task: there is no record to set aside.
func (c *NodeContext) OnCommit(f func() error) {
	c.starts = append(c.starts, func() { c.host.OnCommit(func() error { return c.run(f) }) })
}

// OnAdvance, in wiring, has f called when an input upstream has been quiet for the time that its IdleAfter says: the operator's clock is to go
// on to now, in Unix milliseconds, with all that follows from it. A failure fails the task.
func (c *NodeContext) OnAdvance(f func(now int64) error) {
	c.advance = append(c.advance, func(now int64) error { return c.run(func() error { return f(now) }) })
}

// EnterHeld notes that what the node does now is for a result that it has held back, and that earlier records have caused: the final result of a window, a
// record that waited for a partner. If that fails, no policy can drop it or set it aside, for the record in process is not at fault, and the next one would
// meet the same failure: the task fails, unless a retry helps. LeaveHeld ends it, with what EnterHeld returned; after a failure it need not be called.
func (c *NodeContext) EnterHeld() (outer *NodeContext) {
	outer, c.cursor.Held = c.cursor.Held, c
	return outer
}

// LeaveHeld ends what EnterHeld began.
func (c *NodeContext) LeaveHeld(outer *NodeContext) { c.cursor.Held = outer }

// run calls code of the node that no record has caused.
func (c *NodeContext) run(f func() error) error {
	c.Enter()
	if err := f(); err != nil {
		return c.Fail(err)
	}
	return nil
}

// start starts the timers of the set-up.
func (c *NodeContext) start() {
	c.wired = true
	for _, f := range c.starts {
		f()
	}
	c.starts = nil
}

// A Fault is a failure on its way to the place of decision, with the policy of the node it happened at.
type Fault struct {
	dlq.Failure
	Policy dlq.Policy
}

// Unwrap returns the failure.
func (f *Fault) Unwrap() error { return &f.Failure }
