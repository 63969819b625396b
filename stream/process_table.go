package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A RowNode is what the set-up of Table.ProcessValues gets: the stores, by their descriptors, and the clocks.
type RowNode struct {
	nc    *topology.NodeContext
	errs  []error
	ready bool
}

// OpenStore implements state.Opener.
func (n *RowNode) OpenStore(spec state.Spec) (state.Store, error) {
	st, err := n.nc.OpenStore(spec)
	if err != nil && !n.ready {
		n.errs = append(n.errs, err)
	}
	return st, err
}

// Metadata tells where the record in process came from.
func (n *RowNode) Metadata() topology.Metadata { return *n.nc.Metadata() }

// StreamTime is the task's stream time; ok is false before the first record.
func (n *RowNode) StreamTime() (now time.Time, ok bool) { return n.nc.Host().Now(topology.StreamTime) }

// WallTime is the time of the machine, or of the test.
func (n *RowNode) WallTime() time.Time {
	now, _ := n.nc.Host().Now(topology.WallTime)
	return now
}

// ProcessValues gives each row a new value with a function that may use stores of its own, and where the record came from. It is called once per
// update, with an absent value for a delete; what it returns is the new row, or none.
//
// What it did for a row is not asked again: joins that read the result, and operators that need to know what a row was before - Filter, GroupBy, left and outer
// joins - want it kept in a store. Without Materialize they are an error of Build.
//
// Key, Time: kept. State: what Stores declares. Errors: an error or panic of the function meets the policy; ErrSkip drops the update. Nulls: the function
// sees deletes; an absent value or a nil pointer that it returns deletes the row downstream.
func (t Table[K, V]) ProcessValues[V2 any](
	setup func(n *RowNode) (func(ctx context.Context, k K, v Opt[V]) (Opt[V2], error), error), opts ...ProcessOption,
) Table[K, V2] {
	if t.b == nil {
		return Table[K, V2]{}
	}
	spec := gather("table-process-values", opts, ProcessOption.processOption, setup).NodeSpec
	spec.Rejects = true
	out := &tableNode[K, V2]{spec: spec, derived: true, inherits: t.t.isVersioned}
	unkept := fmt.Errorf("the rows that ProcessValues at %s makes are not kept, and an operator downstream needs them: add "+
		"Materialize(state.KeyValue(\"...\", <serde of the key>, <serde of the value>)) to it", spec.Pos)
	out.stores = func() []state.Spec { return nil }
	out.read = func(*topology.NodeContext) (lookup[K, V2], error) { return nil, unkept }
	out.port = t.t.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, topology.Change[V2]]) (
		topology.Processor[K, topology.Change[V]], error) {
		if out.old && out.store == nil {
			return nil, unkept
		}
		n := &RowNode{nc: c}
		f, err := setup(n)
		if err = errors.Join(append(n.errs, err)...); err != nil {
			return nil, fmt.Errorf("set up node %q: %w", c.Name(), err)
		}
		if f == nil {
			return nil, fmt.Errorf("set up node %q: its set-up returned no function for rows", c.Name())
		}
		n.ready = true
		p := &processRows[K, V, V2]{nc: c, f: f, isNil: topology.NilCheck[V2](), old: out.keepsOld(), next: out.outlet(c, next)}
		if out.store != nil {
			p.store = out.store.Open(c)
		}
		return p, nil
	})
	return Table[K, V2]{t.b, out}
}

type processRows[K, V, V2 any] struct {
	nc    *topology.NodeContext
	f     func(ctx context.Context, k K, v Opt[V]) (Opt[V2], error)
	isNil func(V2) bool
	store *state.KeyValueStore[K, V2]
	old   bool
	next  topology.Processor[K, topology.Change[V2]]
	out   Record[K, topology.Change[V2]]
}

func (p *processRows[K, V, V2]) Process(r *Record[K, topology.Change[V]]) error {
	p.nc.Enter()
	v, err := p.f(p.nc.Context(), r.Key, Opt[V]{r.Value.New, r.Value.HasNew})
	switch {
	case err != nil && p.nc.Skipped(err):
		return nil
	case err != nil:
		return p.nc.Fail(err)
	}
	ch := topology.Change[V2]{HasNew: v.OK && (p.isNil == nil || !p.isNil(v.Value))}
	if ch.HasNew {
		ch.New = v.Value
	}
	if p.store == nil {
		ch.Superseded = r.Value.Superseded
	} else if err := replace(p.store, r.Key, &ch, r, p.old); err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	forward(&p.out, r, ch)
	return p.next.Process(&p.out)
}
