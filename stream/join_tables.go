package stream

import (
	"errors"
	"slices"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// Join makes a table of the keys that both tables have a row of: f makes one row of the two. An update on either side is an update of
// the result.
//
// Key: kept; the tables must be partitioned alike by it. Time: the later of the two rows'. State: none, unless Materialize follows; it reads the stores of
// both tables. Errors: a panic of f meets the policy. Nulls: f never sees a deleted row: a delete on one side deletes the result while the other side
// has a row, and is dropped while it has none. Updates of a versioned table that a later version supersedes are dropped, counted.
//
// Two tables that are derived of the same one are updated one after the other, and each update finds the rows of the other as they are already: there are two
// results, and a delete that takes the rows of both sides has none, as in Kafka Streams. LeftJoin and OuterJoin mention it.
// Where such a join is filtered, grouped or joined further, Materialize it: without its store, it does not know what it said before.
//
// A table with Coalesce cannot be joined, since its rows are ahead of its updates: coalesce the result.
func (t Table[K, V]) Join[VO, VR any](other Table[K, VO], f func(V, VO) VR, opts ...Option) Table[K, VR] {
	return joinTables(t, other, node("join-tables", opts, f), innerJoin, func(l Opt[V], r Opt[VO]) VR { return f(l.Value, r.Value) })
}

// LeftJoin is Join that keeps every row of this table: f gets an absent one of the other where there is none.
//
// Key, Time, State, Errors: as Join; the time is this row's where the other side has none. Nulls: a delete on this side deletes the result, one on the other
// side makes f see an absent row. Superseded updates are dropped, counted.
func (t Table[K, V]) LeftJoin[VO, VR any](other Table[K, VO], f func(V, Opt[VO]) VR, opts ...Option) Table[K, VR] {
	spec := node("left-join-tables", opts, f)
	if t.b != nil {
		t.t.sendOld() // so that deletes of rows that never were are not mentioned
	}
	return joinTables(t, other, spec, leftJoin, func(l Opt[V], r Opt[VO]) VR { return f(l.Value, r) })
}

// OuterJoin is Join that keeps every row of both tables: f gets an absent one for the side that has none.
//
// Key, Time, State, Errors: as Join; the time is that of the only row where a side has none. Nulls: a delete makes f see an absent row; that of the last row
// deletes the result. Superseded updates are dropped, counted.
func (t Table[K, V]) OuterJoin[VO, VR any](other Table[K, VO], f func(Opt[V], Opt[VO]) VR, opts ...Option) Table[K, VR] {
	spec := node("outer-join-tables", opts, f)
	if t.b != nil {
		t.t.sendOld()
	}
	if other.b != nil {
		other.t.sendOld()
	}
	return joinTables(t, other, spec, outerJoin, f)
}

// A join of rows whose updates are still to come would work out old values that nobody was told, and miss rows that come and go.
var errAhead = errors.New("a table that is joined coalesces its updates, and its rows are ahead of them: coalesce the result of the join instead, " +
	"or join a table that is derived of it and kept in a store without Coalesce")

// A joinKind says which rows have a result.
type joinKind uint8

const (
	innerJoin joinKind = iota // those with both sides
	leftJoin                  // those with a left side
	outerJoin                 // those with any side
)

func (k joinKind) has(left, right bool) bool {
	switch k {
	case innerJoin:
		return left && right
	case leftJoin:
		return left
	default:
		return left || right
	}
}

// A sided is a change of one of two joined tables.
type sided[V, VO any] struct {
	left       topology.Change[V]
	right      topology.Change[VO]
	fromRight  bool
	superseded bool
}

// joinTables adds three nodes: one behind each table that tells its changes from the other's, and the join itself.
func joinTables[K, V, VO, VR any](
	l Table[K, V], r Table[K, VO], spec topology.NodeSpec, kind joinKind, f func(Opt[V], Opt[VO]) VR,
) Table[K, VR] {
	b := l.b
	if b == nil || !sameBuilder(b, r.b, spec) {
		return Table[K, VR]{}
	}
	t := &tableNode[K, VR]{spec: spec, derived: true}
	t.wantOld = func() {
		if t.store == nil {
			l.t.sendOld()
			r.t.sendOld()
		}
	}
	j := joiner[K, V, VO, VR]{kind: kind, f: f, isNil: topology.NilCheck[VR]()}
	t.stores = func() []state.Spec { return slices.Concat(l.t.readStores(), r.t.readStores()) }
	t.read = func(c *topology.NodeContext) (lookup[K, VR], error) { return joinedRows(c, l.t, r.t, j) }
	left := side(l.t.port, "join-left", spec.Pos, func(ch topology.Change[V]) sided[V, VO] {
		return sided[V, VO]{left: ch, superseded: ch.Superseded}
	})
	right := side(r.t.port, "join-right", spec.Pos, func(ch topology.Change[VO]) sided[V, VO] {
		return sided[V, VO]{right: ch, fromRight: true, superseded: ch.Superseded}
	})
	t.port = topology.AttachAll(spec, []topology.Port[K, sided[V, VO]]{left, right},
		func(c *topology.NodeContext, next topology.Processor[K, topology.Change[VR]]) (topology.Processor[K, sided[V, VO]], error) {
			p := &tablesJoin[K, V, VO, VR]{
				nc: c, joiner: j, old: t.keepsOld(), nullKeys: c.Drops("null-key"), superseded: c.Drops("superseded"), next: t.outlet(c, next),
			}
			if l.t.isAhead() || r.t.isAhead() {
				return nil, errAhead
			}
			var err error
			if p.left, err = l.t.reader(c); err != nil {
				return nil, err
			}
			if p.right, err = r.t.reader(c); err != nil {
				return nil, err
			}
			if t.store != nil {
				p.store = t.store.Open(c)
			}
			return p, nil
		})
	b.later(func() { t.port.AddStores(t.stores()...) })
	b.graph.Copartition(spec.Op, spec.Pos, l.t.port, r.t.port)
	return Table[K, VR]{b: b, t: t}
}

// side marks the changes of one table.
func side[K, V, S any](port topology.Port[K, topology.Change[V]], op, pos string, mark func(topology.Change[V]) S) topology.Port[K, S] {
	return port.Attach(topology.NodeSpec{Op: op, Pos: pos},
		func(c *topology.NodeContext, next topology.Processor[K, S]) (topology.Processor[K, topology.Change[V]], error) {
			var out Record[K, S]
			return topology.ProcessorFunc[K, topology.Change[V]](func(r *Record[K, topology.Change[V]]) error {
				c.Enter()
				out.Key, out.NullKey, out.Timestamp, out.Headers, out.Value = r.Key, r.NullKey, r.Timestamp, r.Headers, mark(r.Value)
				return next.Process(&out)
			}), nil
		})
}

// A joiner makes the row of a join of the rows of its sides.
type joiner[K, V, VO, VR any] struct {
	kind  joinKind
	f     func(Opt[V], Opt[VO]) VR
	isNil func(VR) bool
}

// row returns the joined row; ok is false if there is none.
func (j *joiner[K, V, VO, VR]) row(l Opt[V], r Opt[VO]) (v VR, ok bool) {
	if !j.kind.has(l.OK, r.OK) {
		return v, false
	}
	if v = j.f(l, r); j.isNil != nil && j.isNil(v) {
		return v, false
	}
	return v, true
}

// joinedRows reads a join that is not materialized: from both sides.
func joinedRows[K, V, VO, VR any](
	c *topology.NodeContext, l *tableNode[K, V], r *tableNode[K, VO], j joiner[K, V, VO, VR],
) (lookup[K, VR], error) {
	left, err := l.reader(c)
	if err != nil {
		return nil, err
	}
	right, err := r.reader(c)
	if err != nil {
		return nil, err
	}
	return func(k K) (row state.Row[VR], ok bool, err error) {
		lrow, lok, err := left(k)
		if err != nil || !lok && j.kind != outerJoin {
			return row, false, err
		}
		rrow, rok, err := right(k)
		if err != nil {
			return row, false, err
		}
		c.Enter()
		if row.Value, ok = j.row(Opt[V]{lrow.Value, lok}, Opt[VO]{rrow.Value, rok}); ok {
			row.Timestamp = later(lrow.Timestamp, rrow.Timestamp) // an absent row's is the zero time
		}
		return row, ok, nil
	}, nil
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

type tablesJoin[K, V, VO, VR any] struct {
	nc                   *topology.NodeContext
	joiner               joiner[K, V, VO, VR]
	left                 lookup[K, V]
	right                lookup[K, VO]
	store                *state.KeyValueStore[K, VR]
	old                  bool
	nullKeys, superseded *state.Counter
	next                 topology.Processor[K, topology.Change[VR]]
	out                  Record[K, topology.Change[VR]]
}

func (p *tablesJoin[K, V, VO, VR]) Process(r *Record[K, sided[V, VO]]) error {
	switch {
	case r.NullKey:
		p.nullKeys.Add(1)
		return nil
	case r.Value.superseded:
		p.superseded.Add(1)
		return nil
	}
	p.nc.Enter()
	var ch topology.Change[VR]
	ts, ok, err := p.join(r, &ch)
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	if !ok {
		return nil
	}
	if p.store != nil {
		if err := p.keep(r.Key, &ch, ts); err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
	}
	forward(&p.out, r, ch)
	p.out.Timestamp = ts
	return p.next.Process(&p.out)
}

// join fills ch with what the change of one side makes of the result; ok is false if that is nothing worth a mention.
func (p *tablesJoin[K, V, VO, VR]) join(r *Record[K, sided[V, VO]], ch *topology.Change[VR]) (ts time.Time, ok bool, err error) {
	in, kind := &r.Value, p.joiner.kind
	old := p.old && p.store == nil // else the store knows
	if in.fromRight {
		row, ok, err := p.left(r.Key)
		if err != nil || !ok && (kind != outerJoin || !in.right.HasNew && !in.right.HasOld) {
			return ts, false, err
		}
		p.nc.Enter()
		l := Opt[V]{row.Value, ok}
		ch.New, ch.HasNew = p.joiner.row(l, Opt[VO]{in.right.New, in.right.HasNew})
		if old {
			if l.Value, err = again(p.left, r.Key, row.Value, ok); err != nil {
				return ts, false, err
			}
			ch.Old, ch.HasOld = p.joiner.row(l, Opt[VO]{in.right.Old, in.right.HasOld})
		}
		return later(r.Timestamp, row.Timestamp), true, nil
	}
	row, ok, err := p.right(r.Key)
	if err != nil || !ok && (kind == innerJoin || !in.left.HasNew && !in.left.HasOld) {
		return ts, false, err
	}
	p.nc.Enter()
	o := Opt[VO]{row.Value, ok}
	ch.New, ch.HasNew = p.joiner.row(Opt[V]{in.left.New, in.left.HasNew}, o)
	if old {
		if o.Value, err = again(p.right, r.Key, row.Value, ok); err != nil {
			return ts, false, err
		}
		ch.Old, ch.HasOld = p.joiner.row(Opt[V]{in.left.Old, in.left.HasOld}, o)
	}
	return later(r.Timestamp, row.Timestamp), true, nil
}

// again reads a row once more, for a second call of the user's function: the first may have changed the value that it was given.
func again[K, V any](get lookup[K, V], k K, first V, ok bool) (V, error) {
	if !ok {
		return first, nil
	}
	row, _, err := get(k)
	return row.Value, err
}

// keep puts the row into the store of the result and fills in what it was.
func (p *tablesJoin[K, V, VO, VR]) keep(k K, ch *topology.Change[VR], ts time.Time) (err error) {
	if p.old {
		if ch.Old, ch.HasOld, err = p.store.Get(k); err != nil {
			return err
		}
	}
	if !ch.HasNew {
		return p.store.Delete(k)
	}
	return p.store.PutRow(k, state.Row[VR]{Value: ch.New, Timestamp: ts})
}
