package stream

import (
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// Filter keeps the rows for which f is true. A row that no longer passes is deleted downstream; one that never passed is not mentioned.
//
// Key, Time: kept. State: none, unless Materialize follows. Errors: a panic of f meets the policy. Nulls: f never sees a deleted row.
func (t Table[K, V]) Filter(f func(K, V) bool, opts ...Option) Table[K, V] {
	return t.filter(node("table-filter", opts, f), f)
}

// FilterNot drops the rows for which f is true. Key, Time, State, Errors, Nulls: as Filter.
func (t Table[K, V]) FilterNot(f func(K, V) bool, opts ...Option) Table[K, V] {
	return t.filter(node("table-filter-not", opts, f), func(k K, v V) bool { return !f(k, v) })
}

func (t Table[K, V]) filter(spec topology.NodeSpec, f func(K, V) bool) Table[K, V] {
	if t.b == nil {
		return t
	}
	return Table[K, V]{t.b, filterTable(t.t, spec, f)}
}

func filterTable[K, V any](parent *tableNode[K, V], spec topology.NodeSpec, f func(K, V) bool) *tableNode[K, V] {
	parent.sendOld() // so that rows which never passed are not mentioned
	return deriveTable(parent, spec, true, func(k K, v V) (V, bool) { return v, f(k, v) })
}

// MapValues gives each row a new value.
//
// Key, Time: kept. State: none, unless Materialize follows. Errors: a panic of f meets the policy. Nulls: f never sees a deleted row; a
// nil pointer that it returns deletes the row downstream.
func (t Table[K, V]) MapValues[V2 any](f func(V) V2, opts ...Option) Table[K, V2] {
	if t.b == nil {
		return Table[K, V2]{}
	}
	return Table[K, V2]{t.b, mapTable(t.t, node("table-map-values", opts, f), func(_ K, v V) V2 { return f(v) })}
}

// MapValuesWithKey is MapValues with a function that sees the key. Key, Time, State, Errors, Nulls: as MapValues.
func (t Table[K, V]) MapValuesWithKey[V2 any](f func(K, V) V2, opts ...Option) Table[K, V2] {
	if t.b == nil {
		return Table[K, V2]{}
	}
	return Table[K, V2]{t.b, mapTable(t.t, node("table-map-values", opts, f), f)}
}

func mapTable[K, V, V2 any](parent *tableNode[K, V], spec topology.NodeSpec, f func(K, V) V2) *tableNode[K, V2] {
	isNil := topology.NilCheck[V2]()
	return deriveTable(parent, spec, false, func(k K, v V) (V2, bool) {
		v2 := f(k, v)
		return v2, isNil == nil || !isNil(v2)
	})
}

// deriveTable adds a table whose rows are functions of the parent's: f returns the row, and false where there is none. quiet leaves
// out changes from no row to no row.
func deriveTable[K, V, V2 any](parent *tableNode[K, V], spec topology.NodeSpec, quiet bool, f func(K, V) (V2, bool)) *tableNode[K, V2] {
	t := &tableNode[K, V2]{
		spec: spec, derived: true, closes: parent.closes, inherits: parent.isVersioned, follows: parent.isAhead,
	}
	t.wantOld = func() {
		if t.store == nil {
			parent.sendOld()
		}
	}
	t.stores = parent.readStores
	t.read = func(c *topology.NodeContext) (lookup[K, V2], error) {
		get, err := parent.reader(c)
		if err != nil {
			return nil, err
		}
		return func(k K) (row state.Row[V2], ok bool, err error) {
			in, ok, err := get(k)
			if err != nil || !ok {
				return row, false, err
			}
			c.Enter()
			v, ok := f(k, in.Value)
			if !ok {
				return row, false, nil
			}
			return state.Row[V2]{Value: v, Timestamp: in.Timestamp}, true, nil
		}, nil
	}
	if parent.history != nil {
		t.history = deriveHistory(parent.history, f)
	}
	t.port = parent.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, topology.Change[V2]]) (
		topology.Processor[K, topology.Change[V]], error) {
		// A delete of the past ends a version that was sent, whatever the newest is.
		d := &derive[K, V, V2]{
			nc: c, f: f, quiet: quiet && !parent.isVersioned(), old: t.keepsOld() || quiet, next: t.outlet(c, next),
		}
		if t.store != nil {
			d.store = t.store.Open(c)
		}
		return d, nil
	})
	return t
}

type derive[K, V, V2 any] struct {
	nc    *topology.NodeContext
	f     func(K, V) (V2, bool)
	quiet bool
	old   bool
	store *state.KeyValueStore[K, V2]
	next  topology.Processor[K, topology.Change[V2]]
	out   Record[K, topology.Change[V2]]
}

func (p *derive[K, V, V2]) Process(r *Record[K, topology.Change[V]]) error {
	var ch topology.Change[V2]
	p.nc.Enter()
	if r.Value.HasNew {
		if ch.New, ch.HasNew = p.f(r.Key, r.Value.New); !ch.HasNew {
			var none V2
			ch.New = none
		}
	}
	switch {
	case !p.old:
	case p.store != nil:
		var err error
		if ch.Old, ch.HasOld, err = p.store.Get(r.Key); err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
	case r.Value.HasOld:
		ch.Old, ch.HasOld = p.f(r.Key, r.Value.Old)
	}
	if p.quiet && !ch.HasNew && !ch.HasOld {
		return nil
	}
	if p.store != nil {
		if err := p.put(r.Key, &ch, r.Timestamp); err != nil {
			return p.nc.FailAt(dlq.Encode, err)
		}
	}
	ch.Superseded = r.Value.Superseded && p.store == nil
	forward(&p.out, r, ch)
	return p.next.Process(&p.out)
}

func (p *derive[K, V, V2]) put(k K, ch *topology.Change[V2], ts time.Time) error {
	if !ch.HasNew {
		return p.store.Delete(k)
	}
	return p.store.PutRow(k, state.Row[V2]{Value: ch.New, Timestamp: ts})
}
