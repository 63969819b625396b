package stream

import (
	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// Coalesce sends a table's updates with the next commit instead of as they happen, and one per key at most: what the row was before them, and
// what it has become. A row that came and went in between is not mentioned. Joins of streams, which read the table, see each update at once;
// joins of tables refuse it.
//
// The updates of a commit come in the order of the encoded keys, with the time of the row's last update and without headers. Operators that are further down
// the graph and coalesce too send in the same commit. A function downstream that fails for such an update stops the task, whatever its policy:
// there is no record to set aside.
//
// What is pending is kept in memory, next to the table's store. A crash loses it along with the records that caused it, which are read again.
// A windowed aggregation that emits on close sends each window once as it is: there, Coalesce does nothing.
func Coalesce() Result { return Result{func(s *settings) { s.coalesce = true }} }

// coalesce lets the node send its changes with the commits, if the settings say so. store is the one that the node keeps its rows in.
func (t *tableNode[K, V]) coalesce(s settings, store string, serdes func() (serde.Serde[K], serde.Serde[V])) {
	key, value := serdes()
	if !s.coalesce || key == nil || value == nil {
		return // a store without serdes is reported for itself
	}
	spec := state.KeyValue[K, topology.Change[V]](store+"-pending", bindAs[K]{key, store}, changeSerde[V]{bindAs[V]{value, store}}).
		InMemory().WithoutChangelog()
	t.pending = &spec
	t.port.OwnStores(spec)
}

// outlet is where a node's changes go: down the graph, or to those that are pending.
func (t *tableNode[K, V]) outlet(c *topology.NodeContext, next topology.Processor[K, topology.Change[V]]) topology.Processor[K, topology.Change[V]] {
	if t.pending == nil {
		return next
	}
	p := &coalescer[K, V]{nc: c, pending: t.pending.Open(c), old: t.old, next: next}
	c.OnCommit(p.send)
	return p
}

// A coalescer stands behind a node and holds its changes back. The node fills in old values.
type coalescer[K, V any] struct {
	nc      *topology.NodeContext
	pending *state.KeyValueStore[K, topology.Change[V]]
	old     bool
	next    topology.Processor[K, topology.Change[V]]
	out     Record[K, topology.Change[V]]
}

func (p *coalescer[K, V]) Process(r *Record[K, topology.Change[V]]) error {
	ch := r.Value
	p.nc.Enter()
	first, ok, err := p.pending.Get(r.Key)
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	if ok {
		ch.Old, ch.HasOld = first.Old, first.HasOld
	}
	if ch.HasNew || ch.HasOld {
		err = p.pending.PutRow(r.Key, state.Row[topology.Change[V]]{Value: ch, Timestamp: r.Timestamp})
	} else if ok {
		err = p.pending.Delete(r.Key)
	}
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	return nil
}

// send lets go of what is pending.
func (p *coalescer[K, V]) send() error {
	for e, err := range p.pending.All() {
		if err == nil {
			err = p.pending.Delete(e.Key)
		}
		if err != nil {
			return err
		}
		if !p.old {
			var none V
			e.Value.Old, e.Value.HasOld = none, false
		}
		p.out = Record[K, topology.Change[V]]{Key: e.Key, Value: e.Value, Timestamp: e.Timestamp}
		if err := p.next.Process(&p.out); err != nil {
			return err
		}
		p.nc.Enter()
	}
	return nil
}

// bindAs is a serde for a store beside another one, whose name a schema registry knows.
type bindAs[T any] struct {
	serde.Serde[T]
	store string
}

// Bind implements serde.Binder.
func (s bindAs[T]) Bind(_ string, role serde.Role) (serde.Serde[T], error) {
	if b, ok := s.Serde.(serde.Binder[T]); ok {
		return b.Bind(s.store, role)
	}
	return s.Serde, nil
}
