package stream

import (
	"github.com/weirstream/weir/topology"
)

// A WindowedTable is a handle on the results of a windowed aggregation: one row per key and window. It is a type of its own, since a
// Table[Windowed[K], V] whose streams could be windowed again would be a type without end.
type WindowedTable[K, V any] struct {
	b *Builder
	t *tableNode[Windowed[K], V]
}

// Filter keeps the rows for which f is true: see Table.Filter.
//
// Key, Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: f never sees a deleted row.
func (t WindowedTable[K, V]) Filter(f func(Windowed[K], V) bool, opts ...Option) WindowedTable[K, V] {
	if t.b == nil {
		return t
	}
	return WindowedTable[K, V]{t.b, filterTable(t.t, node("table-filter", opts, f), f)}
}

// MapValues gives each row a new value.
//
// Key, Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: f never sees a deleted row; a nil pointer that it returns deletes
// the row downstream.
func (t WindowedTable[K, V]) MapValues[V2 any](f func(V) V2, opts ...Option) WindowedTable[K, V2] {
	if t.b == nil {
		return WindowedTable[K, V2]{}
	}
	return WindowedTable[K, V2]{t.b, mapTable(t.t, node("table-map-values", opts, f), func(_ Windowed[K], v V) V2 { return f(v) })}
}

// MapValuesWithKey is MapValues with a function that sees key and window. Key, Time, State, Errors, Nulls: as MapValues.
func (t WindowedTable[K, V]) MapValuesWithKey[V2 any](f func(Windowed[K], V) V2, opts ...Option) WindowedTable[K, V2] {
	if t.b == nil {
		return WindowedTable[K, V2]{}
	}
	return WindowedTable[K, V2]{t.b, mapTable(t.t, node("table-map-values", opts, f), f)}
}

// To writes the updates to a topic, in the partition of the key without its window.
//
// Key: in its window, as the topic's serde writes it. Time: the row's. State: none. Errors: what cannot be encoded meets the policy. Nulls: a deleted
// row is written as null.
func (t WindowedTable[K, V]) To(topic Topic[Windowed[K], V], opts ...SinkOption) {
	if t.b == nil {
		return
	}
	s := gather("to", opts, SinkOption.sinkOption)
	port := toStream(t.t.port, topology.NodeSpec{Op: "to-stream", Pos: s.Pos}, func(k Windowed[K]) Windowed[K] { return k })
	sink(t.b, port, topic, nil, s)
}

// ToStream turns the updates into a stream under a key that f makes of key and window.
//
// Key: f's; the stream counts as not partitioned by it. Time: the row's. State: none. Errors: a panic of f meets the policy. Nulls: a deleted
// row is a tombstone.
func (t WindowedTable[K, V]) ToStream[K2 any](key func(Windowed[K]) K2, opts ...Option) Stream[K2, V] {
	if t.b == nil {
		return Stream[K2, V]{}
	}
	spec := node("to-stream", opts, key)
	return Stream[K2, V]{b: t.b, port: toStream(t.t.port, spec, key), nulls: topology.NilCheck[V]() != nil, rekey: &rekey{spec.Op, spec.Pos}}
}

// WindowedAsTable is the same table, keyed by the window: to join windows with one another, for example. It is a function, since a method would make a type
// without end.
//
// Its rows are in the partition of the plain key, and so are those of a topic that To writes with a windowed serde. Another table keyed by windows can
// be joined if it is partitioned that way too. ToStream keeps that partitioning: a group by the windowed key is whole, and a sink with a serde that is
// not one of windowed keys moves records by the bytes of the whole key.
//
// Key, Time, Nulls: as they are. State: none; what reads the table reads the aggregation's store. Errors: none.
func WindowedAsTable[K, V any](t WindowedTable[K, V]) Table[Windowed[K], V] {
	return Table[Windowed[K], V](t)
}
