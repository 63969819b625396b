package stream

import (
	"context"
	"reflect"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// JoinTable looks the record's key up in the table as it is now, and makes one record of both. Records without a row are dropped, not
// counted: that is what an inner join is for. Updates of the table produce nothing.
//
// Key: kept; stream and table must be partitioned alike by it. Time: the record's. State: reads the table's store. Errors: a panic of f meets the
// policy. Nulls: records without a key or a value are dropped, counted.
func (s Stream[K, V]) JoinTable[VT, VR any](t Table[K, VT], f func(V, VT) VR, opts ...Option) Stream[K, VR] {
	return joinTable(s, t, node("join-table", opts, f), func(_ context.Context, _ K, v V, row Opt[VT]) (VR, bool, error) {
		if !row.OK {
			var none VR
			return none, false, nil
		}
		return f(v, row.Value), true, nil
	})
}

// TryJoinTable is JoinTable with a function that may fail. Key, Time, State, Errors, Nulls: as JoinTable; an error of f meets the policy.
func (s Stream[K, V]) TryJoinTable[VT, VR any](
	t Table[K, VT], f func(ctx context.Context, k K, v V, row VT) (VR, error), opts ...Option,
) Stream[K, VR] {
	spec := node("join-table", opts, f)
	spec.Rejects = true
	return joinTable(s, t, spec, func(ctx context.Context, k K, v V, row Opt[VT]) (VR, bool, error) {
		if !row.OK {
			var none VR
			return none, false, nil
		}
		r, err := f(ctx, k, v, row.Value)
		return r, true, err
	})
}

// LeftJoinTable is JoinTable that keeps records without a row: f gets an absent one.
//
// Key, Time, State, Errors: as JoinTable. Nulls: records without a value are dropped, counted; one without a key has no row.
func (s Stream[K, V]) LeftJoinTable[VT, VR any](t Table[K, VT], f func(V, Opt[VT]) VR, opts ...Option) Stream[K, VR] {
	spec := node("left-join-table", opts, f)
	spec.NullKeys = true
	return joinTable(s, t, spec, func(_ context.Context, _ K, v V, row Opt[VT]) (VR, bool, error) { return f(v, row), true, nil })
}

func joinTable[K, V, VT, VR any](
	s Stream[K, V], t Table[K, VT], spec topology.NodeSpec, f func(context.Context, K, V, Opt[VT]) (VR, bool, error),
) Stream[K, VR] {
	if !s.ok() || !sameBuilder(s.b, t.b, spec) {
		return Stream[K, VR]{}
	}
	s.rekey.check(s.b, spec, reflect.TypeFor[K]())
	port := s.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, VR]) (topology.Processor[K, V], error) {
		get, err := t.t.reader(c)
		if err != nil {
			return nil, err
		}
		return &tableJoin[K, V, VT, VR]{
			nc: c, get: get, f: f, left: spec.NullKeys, isNil: topology.NilCheck[VR](),
			nullKeys: c.Drops("null-key"), nullValues: c.Drops("null-value"), next: next,
		}, nil
	})
	s.b.later(func() { port.AddStores(t.t.readStores()...) })
	s.b.graph.Copartition(spec.Op, spec.Pos, s.port, t.t.port)
	return with(s, port)
}

type tableJoin[K, V, VT, VR any] struct {
	nc                   *topology.NodeContext
	get                  lookup[K, VT]
	f                    func(context.Context, K, V, Opt[VT]) (VR, bool, error)
	left                 bool
	isNil                func(VR) bool
	nullKeys, nullValues *state.Counter
	next                 topology.Processor[K, VR]
	out                  Record[K, VR]
}

func (p *tableJoin[K, V, VT, VR]) Process(r *Record[K, V]) error {
	switch {
	case r.Tombstone:
		p.nullValues.Add(1)
		return nil
	case r.NullKey && !p.left:
		p.nullKeys.Add(1)
		return nil
	}
	var row Opt[VT]
	p.nc.Enter()
	if !r.NullKey {
		found, ok, err := p.get(r.Key)
		if err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
		row = Opt[VT]{found.Value, ok}
	}
	v, ok, err := p.f(p.nc.Context(), r.Key, r.Value, row)
	switch {
	case err != nil && p.nc.Skipped(err):
		return nil
	case err != nil:
		return p.nc.Fail(err)
	case !ok:
		return nil
	}
	p.out = Record[K, VR]{
		Key: r.Key, NullKey: r.NullKey, Value: v, Timestamp: r.Timestamp, Headers: r.Headers, Tombstone: p.isNil != nil && p.isNil(v),
	}
	return p.next.Process(&p.out)
}
