package stream

import (
	"context"
	"reflect"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A Grouped is a stream that is ready to be aggregated by key.
type Grouped[K, V any] struct {
	b     *Builder
	port  topology.Port[K, V]
	nulls bool
}

// GroupByKey groups the stream by its key, for the aggregations of Grouped.
//
// Key: kept; the stream must be partitioned by it. Time: kept. State: none. Errors: none. Nulls: passed on; the aggregation decides.
func (s Stream[K, V]) GroupByKey() Grouped[K, V] {
	if !s.ok() {
		return Grouped[K, V]{}
	}
	spec := node("group-by-key", nil)
	s.rekey.check(s.b, spec, reflect.TypeFor[K]())
	s.b.graph.Copartition(spec.Op, spec.Pos, s.port)
	return Grouped[K, V]{s.b, s.port, s.nulls}
}

// GroupBy groups the stream by a new key, through a repartition topic.
//
// Key: f's. Time: kept. State: the repartition topic. Errors: a panic of f meets the policy. Nulls: as SelectKey and Repartition.
func (s Stream[K, V]) GroupBy[K2 any](f func(K, V) K2, via Repartition[K2, V], opts ...RepartitionOption) Grouped[K2, V] {
	if !s.ok() {
		return Grouped[K2, V]{}
	}
	r := selectKey(s, gather("select-key", opts, RepartitionOption.repartitionOption, f), f).
		repartition(gather("repartition", opts, RepartitionOption.repartitionOption), via)
	return Grouped[K2, V]{r.b, r.port, s.nulls}
}

// Count keeps the number of records per key.
//
// Key: kept. Time: the largest of the records counted. State: st. Errors: none. Nulls: records without a key or a value are dropped, counted.
func (g Grouped[K, V]) Count(st state.KeyValueSpec[K, int64], opts ...TableOption) Table[K, int64] {
	return aggregate(g, gather("count", opts, TableOption.tableOption), zero, count[K, V], st)
}

func zero() int64 { return 0 }

func count[K, V any](_ context.Context, _ K, _ V, n int64) (int64, error) { return n + 1, nil }

// Reduce keeps one value per key: the first as it is, then what f makes of it and each that follows.
//
// Key: kept. Time: the largest of the records reduced. State: st. Errors: a panic of f meets the policy. Nulls: records without a key or a value
// are dropped, counted; a nil pointer that f returns deletes the row.
func (g Grouped[K, V]) Reduce(f func(aggregate, value V) V, st state.KeyValueSpec[K, V], opts ...TableOption) Table[K, V] {
	return aggregate(g, gather("reduce", opts, TableOption.tableOption, f), nil, func(_ context.Context, _ K, v, a V) (V, error) { return f(a, v), nil }, st)
}

// Aggregate keeps one aggregate per key: what add makes of it and each record. It starts as init's.
//
// Key: kept. Time: the largest of the records added. State: st. Errors: a panic meets the policy. Nulls: records without a key or a value are
// dropped, counted; a nil pointer that add returns deletes the row, and the next record starts from init again.
func (g Grouped[K, V]) Aggregate[A any](init func() A, add func(k K, v V, a A) A, st state.KeyValueSpec[K, A], opts ...TableOption) Table[K, A] {
	return aggregate(g, gather("aggregate", opts, TableOption.tableOption, init, add), init, func(_ context.Context, k K, v V, a A) (A, error) { return add(k, v, a), nil }, st)
}

// TryAggregate is Aggregate with a function that may fail. Key, Time, State, Errors, Nulls: as Aggregate; an error of add meets the policy.
func (g Grouped[K, V]) TryAggregate[A any](
	init func() A, add func(ctx context.Context, k K, v V, a A) (A, error), st state.KeyValueSpec[K, A], opts ...TableOption,
) Table[K, A] {
	o := gather("aggregate", opts, TableOption.tableOption, init, add)
	o.Rejects = true
	return aggregate(g, o, init, add, st)
}

// An adder makes an aggregate of the one before and a record.
type adder[K, V, A any] func(ctx context.Context, k K, v V, a A) (A, error)

// aggregate adds an aggregation. A nil init takes the first value as it is: then A is V.
func aggregate[K, V, A any](
	g Grouped[K, V], o settings, init func() A, add adder[K, V, A], st state.KeyValueSpec[K, A],
) Table[K, A] {
	if g.b == nil {
		return Table[K, A]{}
	}
	spec := o.NodeSpec
	if spec.Name == "" {
		spec.Name = st.Info().Name
	}
	spec.Owns = append(spec.Owns, st)
	t := &tableNode[K, A]{spec: spec, store: &st}
	t.port = attachAggregate(g, spec, t, init, add, t.outlet)
	t.coalesce(o, st.Info().Name, st.Serdes)
	return Table[K, A]{b: g.b, t: t}
}

// attachAggregate adds the node that keeps t's rows, or one of several that do. spec says so.
func attachAggregate[K, V, A any](
	g Grouped[K, V], spec topology.NodeSpec, t *tableNode[K, A], init func() A, add adder[K, V, A], out outlet[K, A],
) topology.Port[K, topology.Change[A]] {
	st := *t.store
	return g.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, topology.Change[A]]) (topology.Processor[K, V], error) {
		return &aggregator[K, V, A]{
			nc: c, store: st.Open(c), fold: fold[K, V, A]{nc: c, init: init, add: add, isNil: topology.NilCheck[A]()},
			old: t.keepsOld(), nullKeys: c.Drops("null-key"), nullValues: c.Drops("null-value"), next: out(c, next),
		}, nil
	})
}

// fold is the step that all aggregations share: one aggregate and one record become the next aggregate.
type fold[K, V, A any] struct {
	nc    *topology.NodeContext
	init  func() A
	add   adder[K, V, A]
	isNil func(A) bool
}

// step returns the aggregate behind the record; ok is false if there is none. has tells whether there was one, before.
func (f *fold[K, V, A]) step(k K, v V, before A, has bool) (after A, ok bool, err error) {
	f.nc.Enter()
	switch {
	case has:
	case f.init != nil:
		before = f.init()
	default:
		after = any(v).(A) // a Reduce: A is V
		return after, f.isNil == nil || !f.isNil(after), nil
	}
	if after, err = f.add(f.nc.Context(), k, v, before); err != nil {
		return after, false, err
	}
	return after, f.isNil == nil || !f.isNil(after), nil
}

type aggregator[K, V, A any] struct {
	nc                   *topology.NodeContext
	store                *state.KeyValueStore[K, A]
	fold                 fold[K, V, A]
	old                  bool
	nullKeys, nullValues *state.Counter
	next                 topology.Processor[K, topology.Change[A]]
	out                  Record[K, topology.Change[A]]
}

func (p *aggregator[K, V, A]) Process(r *Record[K, V]) error {
	switch {
	case r.NullKey:
		p.nullKeys.Add(1)
		return nil
	case r.Tombstone:
		p.nullValues.Add(1)
		return nil
	}
	p.nc.Enter()
	row, has, err := p.store.GetRow(r.Key)
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	var ch topology.Change[A]
	if p.old && has { // read once more: the user's function may change the value that it is given
		if ch.Old, ch.HasOld, err = p.store.Get(r.Key); err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
	}
	if ch.New, ch.HasNew, err = p.fold.step(r.Key, r.Value, row.Value, has); err != nil {
		if p.nc.Skipped(err) {
			return nil
		}
		return p.nc.Fail(err)
	}
	ts := r.Timestamp
	if has && row.Timestamp.After(ts) {
		ts = row.Timestamp
	}
	if ch.HasNew {
		err = p.store.PutRow(r.Key, state.Row[A]{Value: ch.New, Timestamp: ts})
	} else {
		err = p.store.Delete(r.Key)
	}
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	forward(&p.out, r, ch)
	p.out.Timestamp = ts
	return p.next.Process(&p.out)
}
