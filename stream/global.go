package stream

import (
	"context"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A GlobalTable is a handle on a table that every instance of the application holds in full, whatever its partitions: streams look any key up in it,
// without being partitioned by that key. It is a small value.
//
// What a global table costs is its whole topic on every instance, in state and in reading. It is for small tables that change slowly.
type GlobalTable[K, V any] struct {
	b  *Builder
	st state.KeyValueSpec[K, V]
}

// A GlobalNode is what the set-up of a processor that fills a global store gets: see topology.GlobalNode.
type GlobalNode = topology.GlobalNode

// GlobalTable reads a topic as a table that every instance holds in full: the last value of each key. An instance reads all partitions of the topic up to
// their ends before it processes its first record of any stream; from then on it follows them, and its tasks see what it has applied so far. Streams and
// global tables are not synchronized: event time plays no part. Its updates cannot be had as a stream: read the topic with Stream for that.
//
// Processors read the table too: they list its store with Globals and open it with View. Nothing but the topic writes it.
//
// Key, Time: as in the topic; a later record replaces the row whatever its time. State: st, on every instance; the topic is its log, a changelog there
// is none: the topic should be compacted. Errors: a record that cannot be decoded meets the policy. Skip and Send both drop it, counted: a dead letter
// would come from every instance. Nulls: a null value deletes the row; a record without a key is dropped, counted.
func (b *Builder) GlobalTable[KG, VG any](t Topic[KG, VG], st state.KeyValueSpec[KG, VG], opts ...Option) GlobalTable[KG, VG] {
	isNil := topology.NilCheck[VG]()
	b.graph.Global(t, st, node("global-table", opts), func(c *topology.NodeContext) (topology.Processor[KG, VG], error) {
		return &upsert[KG, VG]{
			nc: c, store: st.Open(c), isNil: isNil, drops: c.Drops("null-key"),
			next: topology.ProcessorFunc[KG, topology.Change[VG]](func(*Record[KG, topology.Change[VG]]) error { return nil }),
		}, nil
	})
	return GlobalTable[KG, VG]{b, st}
}

// GlobalStore reads a topic into a global store by a processor of the user's own: for rows that are not the topic's records, such as an index by another
// key. What it returns is a global table as any other: see GlobalTable.
//
// The processor gets every record of every partition, in the order of each partition and in none between them: all of them when an instance starts
// with nothing, those that are new to it when it has state from before. It opens st with the node, and may neither forward nor set timers. Each instance
// runs it by itself: what it writes should depend on the topic alone.
//
// Key: of the rows, what the processor puts. Time: rows put without one have that of their record. State: st, on every instance; the topic is its log.
// Errors: an error or panic of the function, and a record that cannot be decoded, meet the policy. Skip and Send both drop the record, counted, and so
// does dlq.Reject. Nulls: all visible, in the record's flags.
func (b *Builder) GlobalStore[K, V, KG, VG any](
	t Topic[K, V], st state.KeyValueSpec[KG, VG],
	setup func(n *GlobalNode) (func(ctx context.Context, r Record[K, V]) error, error), opts ...Option,
) GlobalTable[KG, VG] {
	b.graph.Global(t, st, node("global-store", opts, setup), topology.GlobalFiller(setup))
	return GlobalTable[KG, VG]{b, st}
}

// Globals declares the global stores that a processor reads. Each opens with View in the set-up:
//
//	s.Process(func(n *stream.Node[string, Order]) (..., error) {
//		rates := Rates.View(n)
//		...
//	}, stream.Globals(Rates))
func Globals(specs ...state.Spec) ProcessOption {
	return processOption(func(o *settings) { o.NodeSpec.Globals = append(o.NodeSpec.Globals, specs...) })
}

// ViewStore implements state.Viewer.
func (n *ValueNode[K, V2]) ViewStore(spec state.Spec) (state.Committed, error) {
	return n.n.ViewStore(spec)
}
