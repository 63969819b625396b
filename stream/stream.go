package stream

import (
	"context"
	"errors"
	"iter"
	"reflect"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A Stream is a handle on a stream of records while a program is built. It is a small value; each operator returns a new one.
type Stream[K, V any] struct {
	b     *Builder
	port  topology.Port[K, V]
	nulls bool   // functions see nulls
	rekey *rekey // the call that changed the key, if the partitions are not the key's
}

// with is the stream behind an operator that keeps the key.
func with[K, V, V2 any](s Stream[K, V], port topology.Port[K, V2]) Stream[K, V2] {
	return Stream[K, V2]{b: s.b, port: port, nulls: topology.NilCheck[V2]() != nil, rekey: s.rekey}
}

// rekeyed is the stream behind an operator that may change the key.
func rekeyed[K, V, K2, V2 any](s Stream[K, V], o settings, port topology.Port[K2, V2]) Stream[K2, V2] {
	out := Stream[K2, V2]{b: s.b, port: port, nulls: topology.NilCheck[V2]() != nil, rekey: s.rekey}
	if !o.keepsPartitions {
		out.rekey = &rekey{o.Op, o.Pos}
	}
	return out
}

// same is the stream behind an operator that keeps keys and values.
func (s Stream[K, V]) same(port topology.Port[K, V]) Stream[K, V] {
	s.port = port
	return s
}

// ok tells whether the handle belongs to a builder. Every operator asks first: the zero handle makes zero handles.
func (s Stream[K, V]) ok() bool { return s.b != nil }

// Repartition sends the stream through a topic of the application's own, where each key has its partition. It separates what comes
// before from what comes behind: two subtopologies, which run as tasks of their own.
//
// Key, Time: kept, headers too. State: the topic <application>-<name>-repartition, purged behind its readers. Errors: what cannot be encoded meets
// the policy. Nulls: tombstones pass; records without a key are dropped, counted, unless a left join downstream has a use for them.
func (s Stream[K, V]) Repartition(via Repartition[K, V], opts ...RepartitionOption) Stream[K, V] {
	if !s.ok() {
		return s
	}
	return s.repartition(gather("repartition", opts, RepartitionOption.repartitionOption), via)
}

func (s Stream[K, V]) repartition(o settings, via Repartition[K, V]) Stream[K, V] {
	s.rekey = nil
	return s.same(s.port.Through(via, topology.RepartitionSpec[K, V]{
		NodeSpec: o.NodeSpec, Idle: o.idle, Partition: partitioner[K, V](s.b, &o),
	}))
}

// partitioner is the function of PartitionBy, nil without one.
func partitioner[K, V any](b *Builder, s *settings) func(*Record[K, V], int32) int32 {
	f := typed[func(K, V, int32) int32](b, s, "PartitionBy", s.partition)
	if f == nil {
		return nil
	}
	return func(r *Record[K, V], n int32) int32 { return f(r.Key, r.Value, n) }
}

// To writes the stream to a topic, in the partition of the key's hash unless PartitionBy or PartitionsBy says otherwise.
//
// Key, Time: written as they are, with the headers. State: none. Errors: what cannot be encoded meets the policy. Nulls: a tombstone is written as
// null, and so is a value that a nullable serde takes for null; a record without a key goes to some partition.
func (s Stream[K, V]) To(t Topic[K, V], opts ...SinkOption) {
	if s.ok() {
		sink(s.b, s.port, t, nil, gather("to", opts, SinkOption.sinkOption))
	}
}

// ToDynamic writes each record to the topic that f names. The topics must exist.
//
// Key, Time, State, Errors, Nulls: as To; a topic that does not exist fails the record.
func (s Stream[K, V]) ToDynamic(f func(K, V) string, format Topic[K, V], opts ...SinkOption) {
	if s.ok() {
		sink(s.b, s.port, format, func(r *Record[K, V]) string { return f(r.Key, r.Value) }, gather("to-dynamic", opts, SinkOption.sinkOption, f))
	}
}

func sink[K, V any](b *Builder, port topology.Port[K, V], t Topic[K, V], choose func(*Record[K, V]) string, s settings) {
	port.Sink(t, topology.SinkSpec[K, V]{
		NodeSpec: s.NodeSpec, Topic: choose, Partition: partitioner[K, V](b, &s), Multicast: multicast[K, V](b, &s),
	})
}

// Merge joins the streams into one. There is no order between them.
//
// Key, Time: kept. State: none. Errors: none. Nulls: passed on.
func (s Stream[K, V]) Merge(others ...Stream[K, V]) Stream[K, V] {
	if !s.ok() {
		return s
	}
	spec := pure(node("merge", nil))
	ports := []topology.Port[K, V]{s.port}
	for _, o := range others {
		if !sameBuilder(s.b, o.b, spec) {
			continue
		}
		ports = append(ports, o.port)
		s.nulls = s.nulls || o.nulls
		if s.rekey == nil {
			s.rekey = o.rekey
		}
	}
	return s.same(topology.Merge(spec, ports...))
}

// ToTable takes the stream as the updates of a table: the last value of each key, kept in the store.
//
// Key: the stream must be partitioned by it. Time: that of the record. State: st. Errors: none. Nulls: a null value deletes the row; a record without
// a key is dropped, counted.
func (s Stream[K, V]) ToTable(st state.KeyValueSpec[K, V], opts ...TableOption) Table[K, V] {
	if !s.ok() {
		return Table[K, V]{}
	}
	o := gather("to-table", opts, TableOption.tableOption)
	s.rekey.check(s.b, o.NodeSpec, reflect.TypeFor[K]())
	s.b.graph.Copartition(o.Op, o.Pos, s.port)
	t := materialize(s.b, s.port, o.NodeSpec, st)
	t.t.coalesce(o, st.Info().Name, st.Serdes)
	return t
}

// Process runs a processor of the user's own: with stores, timers and any number of results per record.
//
// Key: whatever the processor forwards; the stream counts as not partitioned by it. Time: that of the record forwarded. State: what Stores
// declares. Errors: an error or panic of the function meets the policy; one of a timer stops the task. Nulls: all visible, in the record's
// flags.
func (s Stream[K, V]) Process[K2, V2 any](
	setup func(n *Node[K2, V2]) (func(ctx context.Context, r Record[K, V]) error, error), opts ...ProcessOption,
) Stream[K2, V2] {
	if !s.ok() {
		return Stream[K2, V2]{}
	}
	o := gather("process", opts, ProcessOption.processOption, setup)
	return rekeyed(s, o, s.port.Process(o.NodeSpec, setup))
}

// A ValueNode is what the set-up of ProcessValues gets: as a Node, but what it forwards keeps the key, time and headers of the record in
// process.
type ValueNode[K, V2 any] struct {
	n       *Node[K, V2]
	current Record[K, V2]
	busy    bool
}

// OpenStore implements state.Opener.
func (n *ValueNode[K, V2]) OpenStore(spec state.Spec) (state.Store, error) {
	return n.n.OpenStore(spec)
}

// Node gives timers and clocks. What a timer forwards has no record to take its key from: use Process for that.
func (n *ValueNode[K, V2]) Node() *Node[K, V2] { return n.n }

// Forward sends v under the key, time and headers of the record in process.
func (n *ValueNode[K, V2]) Forward(v V2) error {
	if !n.busy {
		return errors.New("forward a value: there is no record in process whose key it could have")
	}
	r := n.current
	r.Value = v
	if null := topology.NilCheck[V2](); null != nil {
		r.Tombstone = null(v)
	}
	return n.n.Forward(r)
}

// ProcessValues is Process for processors that keep the key: the stream stays partitioned by it.
//
// Key, Time: kept. State: what Stores declares. Errors: as for Process. Nulls: all visible, in the record's flags.
func (s Stream[K, V]) ProcessValues[V2 any](
	setup func(n *ValueNode[K, V2]) (func(ctx context.Context, r Record[K, V]) error, error), opts ...ProcessOption,
) Stream[K, V2] {
	if !s.ok() {
		return Stream[K, V2]{}
	}
	spec := gather("process-values", opts, ProcessOption.processOption, setup).NodeSpec
	port := s.port.Process(spec, func(n *Node[K, V2]) (func(context.Context, Record[K, V]) error, error) {
		vn := &ValueNode[K, V2]{n: n}
		f, err := setup(vn)
		if err != nil || f == nil {
			return nil, err
		}
		return func(ctx context.Context, r Record[K, V]) error {
			vn.current = Record[K, V2]{Key: r.Key, NullKey: r.NullKey, Timestamp: r.Timestamp, Headers: r.Headers}
			vn.busy = true
			defer func() { vn.busy = false }()
			return f(ctx, r)
		}, nil
	})
	return with(s, port)
}

// one yields a single pair.
func one[K, V any](k K, v V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { yield(k, v) }
}
