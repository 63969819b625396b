package stream

import (
	"reflect"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A VersionedTable is a handle on a table that knows the versions of its rows: JoinVersioned finds the one that was valid at a record's time. It is a Table
// too, whose rows are the newest versions.
//
// An update that comes late, behind one with a later time, goes into the history. It is sent on, marked: joins and groupings of tables leave it out,
// ToStream does not.
type VersionedTable[K, V any] struct {
	Table[K, V]
}

// VersionedTable reads a topic as a table with the versions of each row, by the time of the records.
//
// Key, Time: as in the topic. State: st. Errors: a record that cannot be decoded meets the policy. Nulls: a null value ends the version that is valid at
// its time; a record without a key is dropped, counted. A record that is older than the store's history is dropped, counted as late.
func (b *Builder) VersionedTable[K, V any](t Topic[K, V], st state.VersionedSpec[K, V], opts ...SourceOption) VersionedTable[K, V] {
	s := gather("versioned-table", opts, SourceOption.sourceOption)
	port := b.source(s, t)
	return versions(b, port, topology.NodeSpec{Op: "versioned-table", Name: t.Name() + "-table", Pos: s.Pos}, st)
}

// ToVersionedTable takes the stream as the updates of a table with the versions of each row, by the time of the records.
//
// Key: the stream must be partitioned by it. Time: that of the record. State: st. Errors: none. Nulls: a null value ends the version that is valid at its
// time; a record without a key is dropped, counted. A record that is older than the store's history is dropped, counted as late.
func (s Stream[K, V]) ToVersionedTable(st state.VersionedSpec[K, V], opts ...Option) VersionedTable[K, V] {
	if !s.ok() {
		return VersionedTable[K, V]{}
	}
	spec := node("to-versioned-table", opts)
	s.rekey.check(s.b, spec, reflect.TypeFor[K]())
	return versions(s.b, s.port, spec, st)
}

// versions makes a table of a stream's records: each is a version of its row.
func versions[K, V any](b *Builder, port topology.Port[K, V], spec topology.NodeSpec, st state.VersionedSpec[K, V]) VersionedTable[K, V] {
	spec.Owns = append(spec.Owns, st)
	t := &tableNode[K, V]{spec: spec, versioned: true, stores: func() []state.Spec { return []state.Spec{st} }}
	t.read = func(c *topology.NodeContext) (lookup[K, V], error) {
		rows, err := openVersions(c, st)
		if err != nil {
			return nil, err
		}
		return rows.GetRow, nil
	}
	t.history = storedHistory(st)
	isNil := topology.NilCheck[V]()
	t.port = port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, topology.Change[V]]) (topology.Processor[K, V], error) {
		return &insert[K, V]{
			nc: c, store: st.Open(c), old: t.old, isNil: isNil, nullKeys: c.Drops("null-key"), late: c.Drops("late"), next: next,
		}, nil
	})
	return VersionedTable[K, V]{Table[K, V]{b: b, t: t}}
}

// insert puts each record among the versions of its row.
type insert[K, V any] struct {
	nc             *topology.NodeContext
	store          *state.VersionedStore[K, V]
	old            bool
	isNil          func(V) bool
	nullKeys, late *state.Counter
	next           topology.Processor[K, topology.Change[V]]
	out            Record[K, topology.Change[V]]
}

func (p *insert[K, V]) Process(r *Record[K, V]) error {
	if r.NullKey {
		p.nullKeys.Add(1)
		return nil
	}
	p.nc.Enter()
	ch := topology.Change[V]{HasNew: !r.Tombstone && (p.isNil == nil || !p.isNil(r.Value))}
	if ch.HasNew {
		ch.New = r.Value
	}
	placed, err := p.place(r, &ch)
	switch {
	case err != nil:
		return p.nc.FailAt(dlq.Encode, err)
	case placed.Refused:
		p.late.Add(1)
		return nil
	}
	ch.Superseded = !placed.Newest
	forward(&p.out, r, ch)
	return p.next.Process(&p.out)
}

// place puts the change's new value, or a delete, and fills in the old value if that is wanted: the newest before, whatever the record's time.
func (p *insert[K, V]) place(r *Record[K, V], ch *topology.Change[V]) (placed state.Placement, err error) {
	if p.old {
		if ch.Old, ch.HasOld, err = p.store.Get(r.Key); err != nil {
			return placed, err
		}
	}
	if !ch.HasNew {
		return p.store.Delete(r.Key, r.Timestamp)
	}
	return p.store.Put(r.Key, ch.New, r.Timestamp)
}

// Filter keeps the rows for which f is true, in all their versions.
//
// Key, Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: f never sees a deleted row. Unlike that of other tables, rows that never
// passed are mentioned as deleted: the version that ends may be one of the past.
func (t VersionedTable[K, V]) Filter(f func(K, V) bool, opts ...Option) VersionedTable[K, V] {
	return VersionedTable[K, V]{t.filter(node("table-filter", opts, f), f)}
}

// FilterNot drops the rows for which f is true, in all their versions. Key, Time, State, Errors, Nulls: as Filter.
func (t VersionedTable[K, V]) FilterNot(f func(K, V) bool, opts ...Option) VersionedTable[K, V] {
	return VersionedTable[K, V]{t.filter(node("table-filter-not", opts, f), func(k K, v V) bool { return !f(k, v) })}
}

// MapValues gives each row a new value, in all its versions.
//
// Key, Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: f never sees a deleted row; a nil pointer that it returns deletes the row
// downstream.
func (t VersionedTable[K, V]) MapValues[V2 any](f func(V) V2, opts ...Option) VersionedTable[K, V2] {
	return VersionedTable[K, V2]{t.Table.MapValues(f, opts...)}
}

// MapValuesWithKey is MapValues with a function that sees the key. Key, Time, State, Errors, Nulls: as MapValues.
func (t VersionedTable[K, V]) MapValuesWithKey[V2 any](f func(K, V) V2, opts ...Option) VersionedTable[K, V2] {
	return VersionedTable[K, V2]{t.Table.MapValuesWithKey(f, opts...)}
}
