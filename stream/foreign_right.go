package stream

import (
	"fmt"
	"reflect"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// answer adds the node that keeps the subscriptions, and answers each from the right table as it is.
func answer[K, V, KF, VF any](
	asked topology.Port[KF, subscription], right *tableNode[KF, VF], spec topology.NodeSpec, keepsLeft bool, via ForeignJoin[K, V, KF, VF],
) topology.Port[[]byte, response[VF]] {
	st := via.store()
	spec.Owns = append(spec.Owns, st)
	spec.NullKeys = keepsLeft
	return asked.Attach(spec, func(c *topology.NodeContext, next topology.Processor[[]byte, response[VF]]) (
		topology.Processor[KF, subscription], error) {
		s, err := via.bind(c)
		if err != nil {
			return nil, err
		}
		get, err := right.reader(c)
		return &answering[KF, VF]{nc: c, key: s.foreignKey, store: st.Open(c), get: get, nullKeys: c.Drops("null-key"), next: next}, err
	})
}

type answering[KF, VF any] struct {
	nc       *topology.NodeContext
	key      serde.Serde[KF]
	store    *state.KeyValueStore[[]byte, subscriber]
	get      lookup[KF, VF]
	nullKeys *state.Counter
	next     topology.Processor[[]byte, response[VF]]
	out      Record[[]byte, response[VF]]
	buf      []byte
}

func (p *answering[KF, VF]) Process(r *Record[KF, subscription]) error {
	s := &r.Value
	if r.NullKey && s.instruction != replyAlways {
		p.nullKeys.Add(1)
		return nil
	}
	p.nc.Enter()
	p.out = Record[[]byte, response[VF]]{
		Key: s.key, Timestamp: r.Timestamp, Headers: r.Headers, Value: response[VF]{row: s.row, partition: s.partition},
	}
	if r.NullKey {
		return p.next.Process(&p.out) // it names no row: there is nothing to keep, and nothing to find
	}
	if err := p.keep(r); err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	if s.instruction == unsubscribe {
		return nil
	}
	row, ok, err := p.get(r.Key)
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	if ok && row.Timestamp.After(r.Timestamp) {
		p.out.Timestamp = row.Timestamp
	}
	switch {
	case s.instruction == unsubscribeAndReply:
		p.out.Value.ended = true
	case ok:
		p.out.Value.value, p.out.Value.ok = row.Value, true
	default:
		p.out.Value.quiet = s.instruction == replyQuietly
	}
	return p.next.Process(&p.out)
}

// keep starts or ends the subscription.
func (p *answering[KF, VF]) keep(r *Record[KF, subscription]) (err error) {
	s := &r.Value
	if p.buf, err = p.key.Append(p.buf[:0], r.Key); err != nil {
		return fmt.Errorf("encode foreign key as %v: %w", reflect.TypeFor[KF](), err)
	}
	k := append(subscriptionPrefix(p.buf), s.key...)
	switch s.instruction {
	case unsubscribe, unsubscribeAndReply:
		return p.store.Delete(k)
	}
	return p.store.PutRow(k, state.Row[subscriber]{Value: subscriber{s.row, s.partition}, Timestamp: r.Timestamp})
}

// tell adds the node that tells the subscribers of a row of its updates.
func tell[K, V, KF, VF any](
	right *tableNode[KF, VF], spec topology.NodeSpec, via ForeignJoin[K, V, KF, VF],
) topology.Port[[]byte, response[VF]] {
	st := via.store()
	spec.Stores = append(spec.Stores, st)
	return right.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[[]byte, response[VF]]) (
		topology.Processor[KF, topology.Change[VF]], error) {
		s, err := via.bind(c)
		return &telling[KF, VF]{nc: c, key: s.foreignKey, store: st.Open(c), superseded: c.Drops("superseded"), next: next}, err
	})
}

type telling[KF, VF any] struct {
	nc         *topology.NodeContext
	key        serde.Serde[KF]
	store      *state.KeyValueStore[[]byte, subscriber]
	superseded *state.Counter
	next       topology.Processor[[]byte, response[VF]]
	out        Record[[]byte, response[VF]]
	buf        []byte
}

// Process sends one response per subscriber, in the order of their encoded keys.
func (p *telling[KF, VF]) Process(r *Record[KF, topology.Change[VF]]) (err error) {
	if r.Value.Superseded {
		p.superseded.Add(1)
		return nil
	}
	p.nc.Enter()
	if p.buf, err = p.key.Append(p.buf[:0], r.Key); err != nil {
		return p.nc.FailAt(dlq.Encode, fmt.Errorf("encode foreign key as %v: %w", reflect.TypeFor[KF](), err))
	}
	prefix := subscriptionPrefix(p.buf)
	for e, err := range p.store.Range(prefix, behind(prefix)) {
		if err != nil {
			return p.nc.FailAt(dlq.Decode, err)
		}
		p.out = Record[[]byte, response[VF]]{
			Key: e.Key[len(prefix):], Timestamp: r.Timestamp, Headers: r.Headers,
			Value: response[VF]{row: e.Value.row, value: r.Value.New, ok: r.Value.HasNew, partition: e.Value.partition},
		}
		if err := p.next.Process(&p.out); err != nil {
			return err
		}
	}
	return nil
}
