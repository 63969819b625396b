package stream

import (
	"context"
	"fmt"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A Cogrouped is several grouped streams, of any value types, that make one aggregate per key together: each has a function that adds its
// records to it.
//
// The streams must be partitioned alike by the key. They are added to in the order in which the task takes their records.
type Cogrouped[K, A any] struct {
	b       *Builder
	members []cogroupMember[K, A]
}

// A cogroupMember is one grouped stream with its function, without the type of its values.
type cogroupMember[K, A any] struct {
	port topology.AnyPort
	// attach adds the member's node to a table.
	attach func(spec topology.NodeSpec, t *tableNode[K, A], init func() A) topology.Port[K, topology.Change[A]]
}

// Cogroup begins an aggregate of several grouped streams: add makes the next aggregate of one and a record of this stream.
func (g Grouped[K, V]) Cogroup[A any](add func(k K, v V, a A) A) Cogrouped[K, A] {
	return Cogrouped[K, A]{b: g.b}.With(g, add)
}

// With adds a grouped stream. One that is there already gets another function.
func (c Cogrouped[K, A]) With[V any](g Grouped[K, V], add func(k K, v V, a A) A) Cogrouped[K, A] {
	spec := node("cogroup", nil, add)
	if c.b == nil || !sameBuilder(c.b, g.b, spec) {
		return c
	}
	if spec.Err != nil {
		c.b.report(spec, spec.Err)
	}
	try := func(_ context.Context, k K, v V, a A) (A, error) { return add(k, v, a), nil }
	m := cogroupMember[K, A]{
		port: g.port,
		attach: func(spec topology.NodeSpec, t *tableNode[K, A], init func() A) topology.Port[K, topology.Change[A]] {
			return attachAggregate(g, spec, t, init, try)
		},
	}
	members := append([]cogroupMember[K, A](nil), c.members...)
	for i := range members {
		if members[i].port == m.port {
			members[i] = m
			return Cogrouped[K, A]{c.b, members}
		}
	}
	return Cogrouped[K, A]{c.b, append(members, m)}
}

// Aggregate keeps one aggregate per key: what the streams' functions make of it and each of their records. It starts as init's.
//
// Key: kept; all streams must be partitioned alike by it. Time: the largest of the records added. State: st. Errors: a panic meets the policy. Nulls:
// records without a key or a value are dropped, counted; a nil pointer that a function returns deletes the row, and the next record starts from
// init again.
func (c Cogrouped[K, A]) Aggregate(init func() A, st state.KeyValueSpec[K, A], opts ...TableOption) Table[K, A] {
	if c.b == nil {
		return Table[K, A]{}
	}
	o := gather("cogroup", opts, TableOption.tableOption, init)
	t := &tableNode[K, A]{spec: o.NodeSpec, store: &st}
	t.port = cogroup(c, o.NodeSpec, st, func(m cogroupMember[K, A], spec topology.NodeSpec) topology.Port[K, topology.Change[A]] {
		return m.attach(spec, t, init)
	})
	return Table[K, A]{b: c.b, t: t}
}

// cogroup attaches a node per member, and merges what they send. All keep the store, which the first owns.
func cogroup[K, A, K2 any](
	c Cogrouped[K, A], spec topology.NodeSpec, st state.Spec,
	attach func(m cogroupMember[K, A], spec topology.NodeSpec) topology.Port[K2, topology.Change[A]],
) topology.Port[K2, topology.Change[A]] {
	if spec.Name == "" {
		spec.Name = st.Info().Name
	}
	var inputs []topology.AnyPort
	var results []topology.Port[K2, topology.Change[A]]
	for i, m := range c.members {
		own := spec
		own.Name = fmt.Sprintf("%s-%d", spec.Name, i+1)
		if i == 0 {
			own.Owns = []state.Spec{st}
		} else {
			own.Stores = []state.Spec{st}
		}
		inputs = append(inputs, m.port)
		results = append(results, attach(m, own))
	}
	c.b.graph.Copartition(spec.Op, spec.Pos, inputs...)
	return topology.Merge(topology.NodeSpec{Op: "cogroup-merge", Name: spec.Name, Pos: spec.Pos}, results...)
}
