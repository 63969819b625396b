package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A Table is a handle on a table while a program is built: the last value of each key, and every update of it. It is a small value.
type Table[K, V any] struct {
	b *Builder
	t *tableNode[K, V]
}

// A tableNode is what is known of a node whose outlet carries changes. Calls that follow add to it: it is read when the program is
// complete.
type tableNode[K, V any] struct {
	spec topology.NodeSpec
	port topology.Port[K, topology.Change[V]]
	// store keeps the rows, if the table is materialized.
	store *state.KeyValueSpec[K, V]
	// derived tables can be materialized by a later call.
	derived bool
	// old tells that changes must carry old values. wantOld asks the node's parents for what that takes.
	old     bool
	wantOld func()
	// pending keeps the changes of a table with Coalesce until the commit.
	pending *state.KeyValueSpec[K, topology.Change[V]]
	// closes is how long, in stream time behind its end, a window still changes; nil where the table is not windowed.
	closes *time.Duration
	// versioned tells that changes may be of the past; inherits asks the parent. history reads rows of the past, if there are any.
	versioned bool
	inherits  func() bool
	history   *history[K, V]
	// follows tells, of a table without a store of its own, that one it is read through coalesces.
	follows func() bool
	// read makes the function that looks a row up; stores are what it reads. They are used where the table has no store of the key-value kind.
	read   func(c *topology.NodeContext) (lookup[K, V], error)
	stores func() []state.Spec
}

// A lookup reads one row of a table.
type lookup[K, V any] func(k K) (row state.Row[V], ok bool, err error)

// sendOld asks the table for old values in its changes.
func (t *tableNode[K, V]) sendOld() {
	if t.old {
		return
	}
	t.old = true
	if t.wantOld != nil {
		t.wantOld()
	}
}

// keepsOld tells that the node must know what its rows were: for nodes downstream, or to send one change for many.
func (t *tableNode[K, V]) keepsOld() bool { return t.old || t.pending != nil }

// isVersioned tells, when the program is complete, that changes may be of the past. A store without versions ends that: what is put last is the
// row.
func (t *tableNode[K, V]) isVersioned() bool {
	return t.store == nil && (t.versioned || t.inherits != nil && t.inherits())
}

// isAhead tells, when the program is complete, that a reader of the table may see rows whose updates are still to be sent.
func (t *tableNode[K, V]) isAhead() bool {
	return t.pending != nil || t.store == nil && t.follows != nil && t.follows()
}

// readStores are the stores that a reader of the table touches.
func (t *tableNode[K, V]) readStores() []state.Spec {
	if t.store != nil {
		return []state.Spec{*t.store}
	}
	return t.stores()
}

// reader returns the look-up for a node that uses readStores.
func (t *tableNode[K, V]) reader(c *topology.NodeContext) (lookup[K, V], error) {
	if t.store == nil {
		return t.read(c)
	}
	st, err := c.OpenStore(*t.store)
	if err != nil {
		return nil, err
	}
	kv, ok := st.(*state.KeyValueStore[K, V])
	if !ok {
		return nil, fmt.Errorf("store %q has other types than the table", t.store.Info().Name)
	}
	return kv.GetRow, nil
}

// materialize makes a table of a stream's records: each is put into the store and sent on as a change.
func materialize[K, V any](b *Builder, port topology.Port[K, V], spec topology.NodeSpec, st state.KeyValueSpec[K, V]) Table[K, V] {
	spec.Owns = append(spec.Owns, st)
	t := &tableNode[K, V]{spec: spec, store: &st}
	isNil := topology.NilCheck[V]()
	t.port = port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, topology.Change[V]]) (topology.Processor[K, V], error) {
		return &upsert[K, V]{
			nc: c, store: st.Open(c), old: t.keepsOld(), isNil: isNil, drops: c.Drops("null-key"), next: t.outlet(c, next),
		}, nil
	})
	return Table[K, V]{b: b, t: t}
}

type upsert[K, V any] struct {
	nc    *topology.NodeContext
	store *state.KeyValueStore[K, V]
	old   bool
	isNil func(V) bool
	drops *state.Counter
	next  topology.Processor[K, topology.Change[V]]
	out   Record[K, topology.Change[V]]
}

func (p *upsert[K, V]) Process(r *Record[K, V]) error {
	if r.NullKey {
		p.drops.Add(1)
		return nil
	}
	p.nc.Enter()
	ch := topology.Change[V]{HasNew: !r.Tombstone && (p.isNil == nil || !p.isNil(r.Value))}
	if ch.HasNew {
		ch.New = r.Value
	}
	if err := replace(p.store, r.Key, &ch, r, p.old); err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	forward(&p.out, r, ch)
	return p.next.Process(&p.out)
}

// replace puts the change's new value, or deletes the row, and fills in the old value if that is wanted.
func replace[K, V, X any](st *state.KeyValueStore[K, V], k K, ch *topology.Change[V], r *Record[K, X], old bool) (err error) {
	if old {
		if ch.Old, ch.HasOld, err = st.Get(k); err != nil {
			return err
		}
	}
	if !ch.HasNew {
		return st.Delete(k)
	}
	return st.PutRow(k, state.Row[V]{Value: ch.New, Timestamp: r.Timestamp})
}

// forward fills out with a change that keeps the record's key, time and headers.
func forward[K, V, X any](out *Record[K, topology.Change[V]], r *Record[K, X], ch topology.Change[V]) {
	out.Key, out.NullKey, out.Timestamp, out.Headers, out.Value = r.Key, r.NullKey, r.Timestamp, r.Headers, ch
}

// ToStream turns the table's updates into a stream: a deleted row is a tombstone.
//
// Key, Time: the row's; the stream is partitioned by the key. State: none. Errors: none. Nulls: a delete is a tombstone.
func (t Table[K, V]) ToStream(opts ...Option) Stream[K, V] {
	if t.b == nil {
		return Stream[K, V]{}
	}
	return Stream[K, V]{b: t.b, port: toStream(t.t.port, node("to-stream", opts), func(k K) K { return k }), nulls: topology.NilCheck[V]() != nil}
}

func toStream[K, V, K2 any](port topology.Port[K, topology.Change[V]], spec topology.NodeSpec, key func(K) K2) topology.Port[K2, V] {
	return port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K2, V]) (topology.Processor[K, topology.Change[V]], error) {
		var out Record[K2, V]
		return topology.ProcessorFunc[K, topology.Change[V]](func(r *Record[K, topology.Change[V]]) error {
			c.Enter()
			out = Record[K2, V]{Key: key(r.Key), Value: r.Value.New, Timestamp: r.Timestamp, Headers: r.Headers, Tombstone: !r.Value.HasNew}
			return next.Process(&out)
		}), nil
	})
}

// Materialize keeps the rows of a table without a store in one: those made by Filter, MapValues, ProcessValues and joins. It is for
// operators that read the table, which do not run the functions again then, and for tests. Tables that have a store already are an error.
//
// Key, Time: kept. State: st. Errors: a value that cannot be encoded meets the policy of the operator that makes the rows. Nulls: a delete deletes the row.
func (t Table[K, V]) Materialize(st state.KeyValueSpec[K, V], opts ...TableOption) Table[K, V] {
	if t.b == nil {
		return t
	}
	s := gather("materialize", opts, TableOption.tableOption)
	s.Name = t.t.spec.Name
	switch {
	case t.t.store != nil:
		t.b.report(s.NodeSpec, fmt.Errorf("the table has the store %q already", t.t.store.Info().Name))
	case !t.t.derived:
		t.b.report(s.NodeSpec, errors.New("this table cannot be kept in a store of its own"))
	default:
		t.t.store = &st
		t.t.port.OwnStores(st)
		t.t.coalesce(s, st.Info().Name, st.Serdes)
	}
	return t
}
