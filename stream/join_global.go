package stream

import (
	"context"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// JoinGlobal looks the key that the key function returns up in a global table, as this instance has it now, and makes one record of both. Records
// without a row are dropped, not counted: that is what an inner join is for. Updates of the table produce nothing.
//
// Key: kept, and how the stream is partitioned does not matter. Time: the record's. State: reads the table. Errors: a panic of key or f meets the
// policy. Nulls: records without a value are dropped, counted; so are those for which key returns a nil pointer. One without a key shows key K's zero
// value.
func (s Stream[K, V]) JoinGlobal[KG, VG, VR any](
	t GlobalTable[KG, VG], key func(K, V) KG, f func(V, VG) VR, opts ...Option,
) Stream[K, VR] {
	return joinGlobal(s, t, node("join-global", opts, key, f), key, func(_ context.Context, _ K, v V, row Opt[VG]) (VR, bool, error) {
		if !row.OK {
			var none VR
			return none, false, nil
		}
		return f(v, row.Value), true, nil
	})
}

// TryJoinGlobal is JoinGlobal with a function that may fail. Key, Time, State, Errors, Nulls: as JoinGlobal; an error of f meets the policy.
func (s Stream[K, V]) TryJoinGlobal[KG, VG, VR any](
	t GlobalTable[KG, VG], key func(K, V) KG, f func(ctx context.Context, k K, v V, row VG) (VR, error), opts ...Option,
) Stream[K, VR] {
	spec := node("join-global", opts, key, f)
	spec.Rejects = true
	return joinGlobal(s, t, spec, key, func(ctx context.Context, k K, v V, row Opt[VG]) (VR, bool, error) {
		if !row.OK {
			var none VR
			return none, false, nil
		}
		r, err := f(ctx, k, v, row.Value)
		return r, true, err
	})
}

// LeftJoinGlobal is JoinGlobal that keeps records without a row: f gets an absent one.
//
// Key, Time, State, Errors: as JoinGlobal. Nulls: records without a value are dropped, counted; one for which key returns a nil pointer has no row.
func (s Stream[K, V]) LeftJoinGlobal[KG, VG, VR any](
	t GlobalTable[KG, VG], key func(K, V) KG, f func(V, Opt[VG]) VR, opts ...Option,
) Stream[K, VR] {
	spec := node("left-join-global", opts, key, f)
	spec.NullKeys = true
	return joinGlobal(s, t, spec, key, func(_ context.Context, _ K, v V, row Opt[VG]) (VR, bool, error) { return f(v, row), true, nil })
}

func joinGlobal[K, V, KG, VG, VR any](
	s Stream[K, V], t GlobalTable[KG, VG], spec topology.NodeSpec, key func(K, V) KG, f func(context.Context, K, V, Opt[VG]) (VR, bool, error),
) Stream[K, VR] {
	if !s.ok() || !sameBuilder(s.b, t.b, spec) {
		return Stream[K, VR]{}
	}
	spec.Globals = append(spec.Globals, t.st)
	return with(s, s.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, VR]) (topology.Processor[K, V], error) {
		rows, err := c.ViewStore(t.st)
		if err != nil {
			return nil, err
		}
		view, err := t.st.ViewOf(rows)
		if err != nil {
			return nil, err
		}
		return &globalJoin[K, V, KG, VG, VR]{
			nc: c, table: view, key: key, f: f, left: spec.NullKeys, nilKey: topology.NilCheck[KG](), isNil: topology.NilCheck[VR](),
			nullKeys: c.Drops("null-key"), nullValues: c.Drops("null-value"), next: next,
		}, nil
	}))
}

type globalJoin[K, V, KG, VG, VR any] struct {
	nc                   *topology.NodeContext
	table                *state.KeyValueView[KG, VG]
	key                  func(K, V) KG
	f                    func(context.Context, K, V, Opt[VG]) (VR, bool, error)
	left                 bool
	nilKey               func(KG) bool
	isNil                func(VR) bool
	nullKeys, nullValues *state.Counter
	next                 topology.Processor[K, VR]
	out                  Record[K, VR]
}

func (p *globalJoin[K, V, KG, VG, VR]) Process(r *Record[K, V]) error {
	if r.Tombstone {
		p.nullValues.Add(1)
		return nil
	}
	p.nc.Enter()
	var row Opt[VG]
	switch k := p.key(r.Key, r.Value); {
	case p.nilKey == nil || !p.nilKey(k):
		var err error
		if row.Value, row.OK, err = p.table.Get(k); err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
	case !p.left:
		p.nullKeys.Add(1)
		return nil
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
