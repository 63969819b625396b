package stream

import (
	"errors"
	"fmt"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A ForeignJoin describes what a join by foreign key keeps in the cluster: two topics and a store. Make one with NewForeignJoin; the methods
// return changed copies. Each is for one join.
type ForeignJoin[K, V, KF, VF any] struct {
	name         string
	key          serde.Serde[K]
	value        serde.Serde[V]
	foreignKey   serde.Serde[KF]
	foreignValue serde.Serde[VF]
	partition    func(k KF, n int32) int32
	placed       bool // PartitionBy was called
	inMemory     bool
}

// NewForeignJoin describes a join by foreign key under a durable name, with the serdes of the keys and values of both tables, those of the one
// that has the foreign keys first. The topics are <application>-<name>-subscription-repartition, which tells the partitions of the other
// table who wants which row, and <application>-<name>-response-repartition, which brings the rows back; the store <name>-subscriptions, with its changelog,
// knows who waits for which row.
//
// Equal values must have equal encodings: a reply counts only while the encoding of its row is what it was when the row was asked for.
func NewForeignJoin[K, V, KF, VF any](
	name string, key serde.Serde[K], value serde.Serde[V], foreignKey serde.Serde[KF], foreignValue serde.Serde[VF],
) ForeignJoin[K, V, KF, VF] {
	return ForeignJoin[K, V, KF, VF]{name: name, key: key, value: value, foreignKey: foreignKey, foreignValue: foreignValue}
}

// InMemory keeps the committed subscriptions on the heap: faster, bounded by memory, restored from the changelog at every start.
func (j ForeignJoin[K, V, KF, VF]) InMemory() ForeignJoin[K, V, KF, VF] { j.inMemory = true; return j }

// PartitionBy tells the partition, 0 to n-1, that holds the row of k in the other table, where that is not the one of the key's hash.
func (j ForeignJoin[K, V, KF, VF]) PartitionBy(f func(k KF, n int32) int32) ForeignJoin[K, V, KF, VF] {
	j.partition, j.placed = f, true
	return j
}

// validate reports what the topics and the store do not see.
func (j ForeignJoin[K, V, KF, VF]) validate() error {
	switch {
	case j.name == "":
		return errors.New("the descriptor of the join has no name: make it with NewForeignJoin")
	case j.placed && j.partition == nil:
		return fmt.Errorf("PartitionBy of the join %q is given no function", j.name)
	case j.key == nil || j.value == nil || j.foreignKey == nil || j.foreignValue == nil:
		return fmt.Errorf("the descriptor of the join %q has no serde for one of its keys or values: give it all four", j.name)
	}
	return nil
}

// store is the store of the subscriptions.
func (j ForeignJoin[K, V, KF, VF]) store() state.KeyValueSpec[[]byte, subscriber] {
	st := state.KeyValue(j.name+"-subscriptions", serde.Bytes(), serde.Serde[subscriber](subscriberSerde{}))
	if j.inMemory {
		return st.InMemory()
	}
	return st
}

// subscriptions is the topic of the subscriptions.
func (j ForeignJoin[K, V, KF, VF]) subscriptions() Repartition[KF, subscription] {
	return NewRepartition(j.name+"-subscription", j.foreignKey, serde.Serde[subscription](subscriptionSerde{}))
}

// responses is the topic of the responses. Its keys are encoded ones: only the table that they belong to has a use for them.
func (j ForeignJoin[K, V, KF, VF]) responses() Repartition[[]byte, response[VF]] {
	return NewRepartition(j.name+"-response", serde.Bytes(), newResponseSerde(j.foreignValue))
}

// JoinForeign joins each row of the table with the row of another table that it names: fk returns the other table's key, and false for a row that
// names none. The result has a row where both have one, f's. It follows updates of either table: one of the other table's rows changes the result
// for every row that names it.
//
// The rows meet by way of two topics: a result comes a little later than the updates it is made of, and where updates follow one another quickly the
// results of some may never be seen. The last one always is: once the application has caught up, the result is the join of the tables as they are.
//
// Key: the table's; the result is partitioned as the table is. The other table must be partitioned by its key's hash, or as PartitionBy of via says.
// Time: the later one of a row that is asked for and the request; that of the other table's update. State: what via describes; the result is
// kept where Materialize follows, which is needed if other operators read it. Errors: a panic of fk or f meets the policy. Nulls: a row that
// names none, by false or a nil pointer, is counted as dropped with the reason no-foreign-key; a nil pointer that f returns deletes the row.
// Updates that find no partner may send deletes of rows that were not there, and do so more often without Materialize.
func (t Table[K, V]) JoinForeign[KF, VF, VR any](
	other Table[KF, VF], fk func(V) (KF, bool), f func(V, VF) VR, via ForeignJoin[K, V, KF, VF], opts ...Option,
) Table[K, VR] {
	return joinForeign(t, other, node("join-foreign", opts, fk, f), valueOnly[K](fk), present(f), false, via)
}

// JoinForeignWithKey is JoinForeign with a foreign key that depends on the row's key too. Key, Time, State, Errors, Nulls: as JoinForeign.
func (t Table[K, V]) JoinForeignWithKey[KF, VF, VR any](
	other Table[KF, VF], fk func(K, V) (KF, bool), f func(V, VF) VR, via ForeignJoin[K, V, KF, VF], opts ...Option,
) Table[K, VR] {
	return joinForeign(t, other, node("join-foreign", opts, fk, f), fk, present(f), false, via)
}

// LeftJoinForeign is JoinForeign that keeps the rows without a partner: the result has a row for each of the table's, and f gets an absent one where
// the other table has none of that key, or the row names none.
//
// Key, Time, State, Errors: as JoinForeign. Nulls: a row that names none goes to some partition of the other table and back; a nil pointer that f
// returns deletes the row.
func (t Table[K, V]) LeftJoinForeign[KF, VF, VR any](
	other Table[KF, VF], fk func(V) (KF, bool), f func(V, Opt[VF]) VR, via ForeignJoin[K, V, KF, VF], opts ...Option,
) Table[K, VR] {
	return joinForeign(t, other, node("left-join-foreign", opts, fk, f), valueOnly[K](fk), f, true, via)
}

// LeftJoinForeignWithKey is LeftJoinForeign with a foreign key that depends on the row's key too. Key, Time, State, Errors, Nulls: as
// LeftJoinForeign.
func (t Table[K, V]) LeftJoinForeignWithKey[KF, VF, VR any](
	other Table[KF, VF], fk func(K, V) (KF, bool), f func(V, Opt[VF]) VR, via ForeignJoin[K, V, KF, VF], opts ...Option,
) Table[K, VR] {
	return joinForeign(t, other, node("left-join-foreign", opts, fk, f), fk, f, true, via)
}

func valueOnly[K, V, KF any](fk func(V) (KF, bool)) func(K, V) (KF, bool) {
	return func(_ K, v V) (KF, bool) { return fk(v) }
}

// present is f for joins that call it with rows alone.
func present[V, VF, VR any](f func(V, VF) VR) func(V, Opt[VF]) VR {
	return func(v V, row Opt[VF]) VR { return f(v, row.Value) }
}

// joinForeign wires a join:
//
//	table -> subscribe -> (subscriptions) -> answer --+-> (responses) -> resolve -> result
//	                            other table -> tell --+
//
// subscribe and resolve run where the table's rows are, answer and tell where those of the other one are.
func joinForeign[K, V, KF, VF, VR any](
	left Table[K, V], right Table[KF, VF], spec topology.NodeSpec, fk func(K, V) (KF, bool), f func(V, Opt[VF]) VR, keepsLeft bool,
	via ForeignJoin[K, V, KF, VF],
) Table[K, VR] {
	if !sameBuilder(left.b, right.b, spec) {
		return Table[K, VR]{}
	}
	b := left.b
	if err := via.validate(); err != nil {
		b.report(spec, err)
		return Table[K, VR]{}
	}
	key := foreignKeyOf(fk)
	part := func(name string) topology.NodeSpec {
		return topology.NodeSpec{Op: spec.Op, Name: via.name + name, Pos: spec.Pos, Policy: spec.Policy}
	}
	through := part("")
	asked := subscribe(left.t, part("-subscribe"), key, keepsLeft, via).
		Through(via.subscriptions(), topology.RepartitionSpec[KF, subscription]{NodeSpec: through, Partition: via.subscribedPartition()})
	answered := answer(asked, right.t, part("-answer"), keepsLeft, via)
	b.later(func() { answered.AddStores(right.t.readStores()...) })
	told := tell(right.t, part("-tell"), via)
	replies := topology.Merge(part("-replies"), answered, told).
		Through(via.responses(), topology.RepartitionSpec[[]byte, response[VF]]{
			NodeSpec: through, Partition: func(r *Record[[]byte, response[VF]], _ int32) int32 { return r.Value.partition },
		})
	if spec.Name == "" {
		spec.Name = via.name
	}
	t := resolve(replies, left.t, spec, key, f, keepsLeft, via)
	b.later(func() { t.port.AddStores(left.t.readStores()...) })
	b.graph.Copartition(spec.Op, spec.Pos, asked, right.t.port)
	b.graph.Copartition(spec.Op, spec.Pos, replies, left.t.port)
	return Table[K, VR]{b, t}
}

// foreignKeyOf is fk for which a nil pointer is no key.
func foreignKeyOf[K, V, KF any](fk func(K, V) (KF, bool)) func(K, V) (KF, bool) {
	isNil := topology.NilCheck[KF]()
	if isNil == nil {
		return fk
	}
	return func(k K, v V) (KF, bool) {
		key, ok := fk(k, v)
		return key, ok && !isNil(key)
	}
}

// subscribedPartition is the function of PartitionBy, nil without one. A request without a key may go anywhere.
func (j ForeignJoin[K, V, KF, VF]) subscribedPartition() func(r *Record[KF, subscription], n int32) int32 {
	if j.partition == nil {
		return nil
	}
	return func(r *Record[KF, subscription], n int32) int32 {
		if r.NullKey {
			return r.Value.partition % n
		}
		return j.partition(r.Key, n)
	}
}
