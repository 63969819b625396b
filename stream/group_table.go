package stream

import (
	"bytes"
	"context"
	"fmt"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A GroupedTable is a table whose rows are in groups, ready to be aggregated.
type GroupedTable[K, V any] struct {
	b    *Builder
	port topology.Port[K, topology.Change[V]]
}

// GroupBy puts each row into the group of the key that f gives it, with the value that it counts with there. A row that changes leaves its old group and
// enters its new one, through a repartition topic: its records hold the new value, the old one, or both where the group is the same, as Kafka Streams writes
// them.
//
// Key: f's. Time: the update's. State: the repartition topic; the table's old rows are read. Errors: a panic of f meets the policy. Nulls: f never sees a deleted
// row; a row for which it returns a nil key or value is in no group, counted. Superseded updates of a versioned table are dropped, counted. PartitionBy gets the
// new value, or the old one where there is no new one: it must go by the key alone.
func (t Table[K, V]) GroupBy[K2, V2 any](f func(K, V) (K2, V2), via Repartition[K2, V2], opts ...RepartitionOption) GroupedTable[K2, V2] {
	return groupTable(t.b, t.t, gather("table-group-by", opts, RepartitionOption.repartitionOption, f), f, via)
}

// GroupBy puts each window's row into a group: see Table.GroupBy. Key, Time, State, Errors, Nulls: as Table.GroupBy.
func (t WindowedTable[K, V]) GroupBy[K2, V2 any](
	f func(Windowed[K], V) (K2, V2), via Repartition[K2, V2], opts ...RepartitionOption,
) GroupedTable[K2, V2] {
	return groupTable(t.b, t.t, gather("table-group-by", opts, RepartitionOption.repartitionOption, f), f, via)
}

func groupTable[K, V, K2, V2 any](
	b *Builder, t *tableNode[K, V], o settings, f func(K, V) (K2, V2), via Repartition[K2, V2],
) GroupedTable[K2, V2] {
	if b == nil {
		return GroupedTable[K2, V2]{}
	}
	t.sendOld()
	var values serde.Serde[topology.Change[V2]]
	if v := via.Topic().Value(); v != nil {
		values = changeSerde[V2]{v}
	}
	changes := via.Carrying(values)
	port := t.port.Attach(o.NodeSpec, func(c *topology.NodeContext, next topology.Processor[K2, topology.Change[V2]]) (
		topology.Processor[K, topology.Change[V]], error) {
		key, err := bound(changes.Topic().Key(), topology.RepartitionTopic(c.Host().Application(), via.Name()), serde.Key)
		if err != nil {
			return nil, err
		}
		return &regroup[K, V, K2, V2]{
			nc: c, f: f, key: key, noKey: nullCheck(key), noValue: nullCheck(via.Topic().Value()), nullKeys: c.Drops("null-key"),
			nullValues: c.Drops("null-value"), superseded: c.Drops("superseded"), next: next,
		}, nil
	})
	spec := topology.RepartitionSpec[K2, topology.Change[V2]]{
		NodeSpec: topology.NodeSpec{Op: "repartition", Pos: o.Pos, Policy: o.Policy}, Idle: o.idle,
	}
	if place := typed[func(K2, V2, int32) int32](b, &o, "PartitionBy", o.partition); place != nil {
		spec.Partition = func(r *Record[K2, topology.Change[V2]], n int32) int32 {
			if r.Value.HasNew {
				return place(r.Key, r.Value.New, n)
			}
			return place(r.Key, r.Value.Old, n)
		}
	}
	return GroupedTable[K2, V2]{b, port.Through(changes, spec)}
}

// bound is a serde for a topic.
func bound[T any](s serde.Serde[T], topic string, role serde.Role) (serde.Serde[T], error) {
	b, ok := s.(serde.Binder[T])
	if !ok {
		return s, nil
	}
	out, err := b.Bind(topic, role)
	if err != nil {
		return nil, fmt.Errorf("bind serde of topic %q: %w", topic, err)
	}
	return out, nil
}

// nullCheck tells whether a value stands for null: a nil pointer does, and what the serde takes for null.
func nullCheck[T any](s serde.Serde[T]) func(T) bool {
	isNil := topology.NilCheck[T]()
	if n, ok := s.(serde.NullSerde[T]); ok {
		return func(v T) bool { return isNil != nil && isNil(v) || n.IsNull(v) }
	}
	return func(v T) bool { return isNil != nil && isNil(v) }
}

// regroup sends a row's changes to its groups.
type regroup[K, V, K2, V2 any] struct {
	nc                               *topology.NodeContext
	f                                func(K, V) (K2, V2)
	key                              serde.Serde[K2]
	noKey                            func(K2) bool
	noValue                          func(V2) bool
	nullKeys, nullValues, superseded *state.Counter
	next                             topology.Processor[K2, topology.Change[V2]]
	out                              Record[K2, topology.Change[V2]]
	now, before                      []byte
}

func (p *regroup[K, V, K2, V2]) Process(r *Record[K, topology.Change[V]]) error {
	in := &r.Value
	if in.Superseded {
		p.superseded.Add(1)
		return nil
	}
	p.nc.Enter()
	var newKey, oldKey K2
	var ch topology.Change[V2]
	if in.HasNew {
		newKey, ch.New = p.f(r.Key, in.New)
		switch {
		case p.noKey(newKey):
			p.nullKeys.Add(1)
		case p.noValue(ch.New):
			p.nullValues.Add(1)
		default:
			ch.HasNew = true
		}
	}
	if in.HasOld {
		oldKey, ch.Old = p.f(r.Key, in.Old)
		ch.HasOld = !p.noKey(oldKey) && !p.noValue(ch.Old)
	}
	if ch.HasNew && ch.HasOld {
		same, err := p.same(newKey, oldKey)
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
		if same {
			return p.send(r, newKey, ch)
		}
	}
	if ch.HasOld {
		if err := p.send(r, oldKey, topology.Change[V2]{Old: ch.Old, HasOld: true}); err != nil {
			return err
		}
	}
	if !ch.HasNew {
		return nil
	}
	return p.send(r, newKey, topology.Change[V2]{New: ch.New, HasNew: true})
}

func (p *regroup[K, V, K2, V2]) send(r *Record[K, topology.Change[V]], k K2, ch topology.Change[V2]) error {
	p.out.Key, p.out.Timestamp, p.out.Headers, p.out.Value = k, r.Timestamp, r.Headers, ch
	return p.next.Process(&p.out)
}

// same tells whether two keys are one: whether their encodings are.
func (p *regroup[K, V, K2, V2]) same(a, b K2) (bool, error) {
	var err error
	if p.now, err = p.key.Append(p.now[:0], a); err != nil {
		return false, fmt.Errorf("encode the key of a group: %w", err)
	}
	if p.before, err = p.key.Append(p.before[:0], b); err != nil {
		return false, fmt.Errorf("encode the key of a group: %w", err)
	}
	return bytes.Equal(p.now, p.before), nil
}

// Count keeps the number of rows per group. That of a group which all rows have left is 0.
//
// Key: the group's. Time: the largest of the updates counted. State: st. Errors: none. Nulls: what comes without a key or a value is dropped, counted.
func (g GroupedTable[K, V]) Count(st state.KeyValueSpec[K, int64], opts ...TableOption) Table[K, int64] {
	return aggregateTable(g, gather("table-count", opts, TableOption.tableOption), zero, count[K, V],
		func(_ context.Context, _ K, _ V, n int64) (int64, error) { return n - 1, nil }, st)
}

// Reduce keeps one value per group: the first as it is, then what add makes of it and each value that enters, and subtract of it and each that leaves. A
// change within the group is subtracted, then added, and is one update of the result.
//
// Key: the group's. Time: the largest of the updates reduced. State: st. Errors: a panic of a function meets the policy. Nulls: what comes without a key
// or a value is dropped, counted; a nil pointer that a function returns deletes the row. What leaves a group without a row changes nothing.
func (g GroupedTable[K, V]) Reduce(add, subtract func(aggregate, value V) V, st state.KeyValueSpec[K, V], opts ...TableOption) Table[K, V] {
	return aggregateTable(g, gather("table-reduce", opts, TableOption.tableOption, add, subtract), nil,
		func(_ context.Context, _ K, v, a V) (V, error) { return add(a, v), nil },
		func(_ context.Context, _ K, v, a V) (V, error) { return subtract(a, v), nil }, st)
}

// Aggregate keeps one aggregate per group: it starts as init's; add makes the next one of it and each value that enters, subtract of it and each that leaves.
// A change within the group is subtracted, then added, and is one update of the result.
//
// Key: the group's. Time: the largest of the updates added. State: st. Errors: a panic of a function meets the policy. Nulls: as Reduce; behind a deleted
// row the next value starts from init again.
func (g GroupedTable[K, V]) Aggregate[A any](
	init func() A, add, subtract func(k K, v V, a A) A, st state.KeyValueSpec[K, A], opts ...TableOption,
) Table[K, A] {
	return aggregateTable(g, gather("table-aggregate", opts, TableOption.tableOption, init, add, subtract), init,
		func(_ context.Context, k K, v V, a A) (A, error) { return add(k, v, a), nil },
		func(_ context.Context, k K, v V, a A) (A, error) { return subtract(k, v, a), nil }, st)
}

// TryAggregate is Aggregate with functions that may fail. Key, Time, State, Errors, Nulls: as Aggregate; an error of a function meets the policy. An update
// that is skipped is neither subtracted nor added: what it was about stays in the aggregate, or out of it.
func (g GroupedTable[K, V]) TryAggregate[A any](
	init func() A, add, subtract func(ctx context.Context, k K, v V, a A) (A, error), st state.KeyValueSpec[K, A], opts ...TableOption,
) Table[K, A] {
	o := gather("table-aggregate", opts, TableOption.tableOption, init, add, subtract)
	o.Rejects = true
	return aggregateTable(g, o, init, add, subtract, st)
}

func aggregateTable[K, V, A any](
	g GroupedTable[K, V], o settings, init func() A, add, subtract adder[K, V, A], st state.KeyValueSpec[K, A],
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
	t.port = g.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, topology.Change[A]]) (
		topology.Processor[K, topology.Change[V]], error) {
		return &tableAggregator[K, V, A]{
			nc: c, store: st.Open(c), fold: fold[K, V, A]{nc: c, init: init, add: add, isNil: topology.NilCheck[A]()}, subtract: subtract,
			old: t.keepsOld(), nullKeys: c.Drops("null-key"), nullValues: c.Drops("null-value"), next: t.outlet(c, next),
		}, nil
	})
	t.coalesce(o, st.Info().Name, st.Serdes)
	return Table[K, A]{b: g.b, t: t}
}

type tableAggregator[K, V, A any] struct {
	nc                   *topology.NodeContext
	store                *state.KeyValueStore[K, A]
	fold                 fold[K, V, A]
	subtract             adder[K, V, A]
	old                  bool
	nullKeys, nullValues *state.Counter
	next                 topology.Processor[K, topology.Change[A]]
	out                  Record[K, topology.Change[A]]
}

func (p *tableAggregator[K, V, A]) Process(r *Record[K, topology.Change[V]]) error {
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
	if p.old && has { // read on its own: the user's functions may change the one that they are given
		if ch.Old, ch.HasOld, err = p.store.Get(r.Key); err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
	}
	ch.New, ch.HasNew, err = p.apply(r, row.Value, has)
	switch {
	case err != nil && p.nc.Skipped(err):
		return nil
	case err != nil:
		return p.nc.Fail(err)
	}
	ts := r.Timestamp
	if has {
		ts = later(ts, row.Timestamp)
	}
	switch {
	case ch.HasNew:
		err = p.store.PutRow(r.Key, state.Row[A]{Value: ch.New, Timestamp: ts})
	case has:
		err = p.store.Delete(r.Key)
	}
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	forward(&p.out, r, ch)
	p.out.Timestamp = ts
	return p.next.Process(&p.out)
}

// apply subtracts what left the group, if it has an aggregate, and then adds what entered.
func (p *tableAggregator[K, V, A]) apply(r *Record[K, topology.Change[V]], a A, has bool) (after A, ok bool, err error) {
	p.nc.Enter()
	if r.Value.HasOld && has {
		if a, err = p.subtract(p.nc.Context(), r.Key, r.Value.Old, a); err != nil {
			return a, false, err
		}
		has = p.fold.isNil == nil || !p.fold.isNil(a)
	}
	if !r.Value.HasNew {
		return a, has, nil
	}
	return p.fold.step(r.Key, r.Value.New, a, has)
}
