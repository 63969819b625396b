package topology

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/state"
)

// A Node is what a processor's set-up gets: its outlet, its timers and, through descriptors, its stores. K2 and V2 are what it
// forwards. It belongs to one task and is for its goroutine.
type Node[K2, V2 any] struct {
	nc       *NodeContext
	next     Processor[K2, V2]
	children map[string]Processor[K2, V2]
	errs     []error
	ready    bool
	nilKey   func(K2) bool
	nilValue func(V2) bool
}

// A Setup prepares a processor in one task: it opens stores, sets timers, and returns the function for records. It runs each time a
// task starts, and once with empty stores while the topology is built.
//
// The function gets the task's context, which ends when the task must stop and carries the record's Metadata.
type Setup[K, V, K2, V2 any] func(n *Node[K2, V2]) (func(ctx context.Context, r Record[K, V]) error, error)

// Name is the node's name.
func (n *Node[K2, V2]) Name() string { return n.nc.Name() }

// OpenStore implements state.Opener: descriptors open themselves with it.
func (n *Node[K2, V2]) OpenStore(spec state.Spec) (state.Store, error) {
	st, err := n.nc.OpenStore(spec)
	if err != nil {
		n.errs = append(n.errs, err)
	}
	return st, err
}

// Forward sends r to all children, in the order they were attached, and returns when they are done with it. A key or value that is a nil pointer
// is null. An error must be returned by the processor in turn.
func (n *Node[K2, V2]) Forward(r Record[K2, V2]) error { return n.send(n.next, &r) }

// Child returns the outlet to the child of that name alone. A name that no child has fails the set-up.
func (n *Node[K2, V2]) Child(name string) Outlet[K2, V2] {
	p, ok := n.children[name]
	if !ok {
		n.errs = append(n.errs, fmt.Errorf("node %q has no child %q", n.nc.Name(), name))
	}
	return Outlet[K2, V2]{n, p}
}

// An Outlet leads to one child of a node.
type Outlet[K2, V2 any] struct {
	n    *Node[K2, V2]
	next Processor[K2, V2]
}

// Forward sends r to the child: see Node.Forward.
func (o Outlet[K2, V2]) Forward(r Record[K2, V2]) error { return o.n.send(o.next, &r) }

func (n *Node[K2, V2]) send(to Processor[K2, V2], r *Record[K2, V2]) error {
	if !n.ready {
		return fmt.Errorf("node %q forwards a record while it is set up: only its record function and its timers may", n.nc.Name())
	}
	r.NullKey = r.NullKey || n.nilKey != nil && n.nilKey(r.Key)
	r.Tombstone = r.Tombstone || n.nilValue != nil && n.nilValue(r.Value)
	if r.Timestamp.IsZero() {
		r.Timestamp = n.nc.Metadata().Timestamp
	}
	if r.Timestamp.UnixMilli() < 0 {
		return n.nc.Fail(fmt.Errorf("forward a record with the timestamp %v, which is before 1970", r.Timestamp.UTC()))
	}
	err := to.Process(r)
	n.nc.Enter()
	return err
}

// Commit asks for a commit soon, before the interval is over.
func (n *Node[K2, V2]) Commit() { n.nc.host.RequestCommit() }

// EveryStreamTime, in the set-up, arranges that f is called when the task's stream time reaches the next multiple of d. It first does so at the first record. f gets the
// stream time; steps that it jumped over are merged into one call. An error stops the task: there is no record to set aside.
func (n *Node[K2, V2]) EveryStreamTime(d time.Duration, f func(now time.Time) error) {
	n.every(StreamTime, d, f)
}

// EveryWallTime, in the set-up, arranges that f is called every d of wall time, first d after the start. f gets the wall time; missed calls are merged into one. An
// error stops the task: there is no record to set aside.
func (n *Node[K2, V2]) EveryWallTime(d time.Duration, f func(now time.Time) error) {
	n.every(WallTime, d, f)
}

func (n *Node[K2, V2]) every(clock ClockType, d time.Duration, f func(now time.Time) error) {
	if n.ready {
		// Nothing would undo it if the record in process fails.
		_ = n.nc.Fail(errors.New("a timer is set outside of the set-up: set it there"))
		return
	}
	if f == nil {
		n.errs = append(n.errs, errors.New("a timer has no function"))
		return
	}
	if err := n.nc.every(clock, d, f); err != nil {
		n.errs = append(n.errs, err)
	}
}

// StreamTime is the task's stream time; ok is false before the first record.
func (n *Node[K2, V2]) StreamTime() (now time.Time, ok bool) { return n.nc.host.Now(StreamTime) }

// WallTime is the time of the machine, or of the test.
func (n *Node[K2, V2]) WallTime() time.Time {
	now, _ := n.nc.host.Now(WallTime)
	return now
}

// Metadata tells where the record in process came from.
func (n *Node[K2, V2]) Metadata() Metadata { return *n.nc.Metadata() }

// process is the receiver of a node that a Setup made.
type process[K, V any] struct {
	nc *NodeContext
	f  func(ctx context.Context, r Record[K, V]) error
}

func (p *process[K, V]) Process(r *Record[K, V]) error {
	p.nc.Enter()
	if err := p.f(p.nc.ctx, *r); err != nil && !p.nc.Skipped(err) {
		return p.nc.Fail(err)
	}
	return nil
}
