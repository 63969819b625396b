package stream

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// subscribe adds the node that turns the updates of the left table into subscriptions.
func subscribe[K, V, KF, VF any](
	left *tableNode[K, V], spec topology.NodeSpec, fk func(K, V) (KF, bool), keepsLeft bool, via ForeignJoin[K, V, KF, VF],
) topology.Port[KF, subscription] {
	left.sendOld() // to end the subscription under the key that the row named before
	return left.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[KF, subscription]) (
		topology.Processor[K, topology.Change[V]], error) {
		s, err := via.bind(c)
		return &subscribing[K, V, KF]{
			nc: c, serdes: s, fk: fk, keepsLeft: keepsLeft, superseded: c.Drops("superseded"), noKey: c.Drops("no-foreign-key"), next: next,
		}, err
	})
}

type subscribing[K, V, KF any] struct {
	nc                *topology.NodeContext
	serdes            foreignSerdes[K, V, KF]
	fk                func(K, V) (KF, bool)
	keepsLeft         bool
	superseded, noKey *state.Counter
	next              topology.Processor[KF, subscription]
	out               Record[KF, subscription]
	buf, before, now  []byte
}

func (p *subscribing[K, V, KF]) Process(r *Record[K, topology.Change[V]]) error {
	ch := &r.Value
	switch {
	case ch.Superseded:
		p.superseded.Add(1)
		return nil
	case !ch.HasNew && !ch.HasOld:
		return nil
	}
	p.nc.Enter()
	if err := p.prepare(r); err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	var before, now Opt[KF]
	if ch.HasOld {
		before.Value, before.OK = p.fk(r.Key, ch.Old)
	}
	if ch.HasNew {
		now.Value, now.OK = p.fk(r.Key, ch.New)
	}
	moved, err := p.moved(before, now)
	switch {
	case err != nil:
		return p.nc.FailAt(dlq.Encode, err)
	case now.OK:
		return p.follow(before, now, moved)
	}
	return p.leave(before, ch.HasNew)
}

// prepare fills in what all subscriptions of the update have in common.
func (p *subscribing[K, V, KF]) prepare(r *Record[K, topology.Change[V]]) (err error) {
	p.out.Timestamp, p.out.Headers = r.Timestamp, r.Headers
	s := &p.out.Value
	if s.key, err = p.serdes.key.Append(s.key[:0], r.Key); err != nil {
		return fmt.Errorf("encode key as %v: %w", reflect.TypeFor[K](), err)
	}
	s.partition, s.row = p.nc.Host().Partition(), fingerprint{}
	if !r.Value.HasNew {
		return nil
	}
	if p.buf, err = p.serdes.value.Append(p.buf[:0], r.Value.New); err != nil {
		return fmt.Errorf("encode value as %v: %w", reflect.TypeFor[V](), err)
	}
	s.row = fingerprintOf(p.buf)
	return nil
}

// moved tells whether the row names another key now: another encoding.
func (p *subscribing[K, V, KF]) moved(before, now Opt[KF]) (bool, error) {
	if !before.OK || !now.OK {
		return false, nil
	}
	var err error
	if p.before, err = p.serdes.foreignKey.Append(p.before[:0], before.Value); err == nil {
		p.now, err = p.serdes.foreignKey.Append(p.now[:0], now.Value)
	}
	if err != nil {
		return false, fmt.Errorf("encode foreign key as %v: %w", reflect.TypeFor[KF](), err)
	}
	return !bytes.Equal(p.before, p.now), nil
}

// follow subscribes a row that names a key. One that named another has a result which may have to go: that needs a reply in any case.
func (p *subscribing[K, V, KF]) follow(before, now Opt[KF], moved bool) error {
	if moved {
		if err := p.send(before, unsubscribe); err != nil {
			return err
		}
	}
	if moved || p.keepsLeft {
		return p.send(now, replyAlways)
	}
	return p.send(now, replyQuietly)
}

// leave ends the subscription of a row that names no key now, or is deleted.
func (p *subscribing[K, V, KF]) leave(before Opt[KF], exists bool) error {
	if !p.keepsLeft {
		if exists {
			p.noKey.Add(1)
		}
		if before.OK {
			return p.send(before, unsubscribeAndReply)
		}
		return nil
	}
	if before.OK {
		if err := p.send(before, unsubscribe); err != nil {
			return err
		}
	}
	return p.send(Opt[KF]{}, replyAlways)
}

func (p *subscribing[K, V, KF]) send(key Opt[KF], i instruction) error {
	p.out.Key, p.out.NullKey, p.out.Value.instruction = key.Value, !key.OK, i
	return p.next.Process(&p.out)
}

// resolve adds the node that makes the result of the responses.
func resolve[K, V, KF, VF, VR any](
	replies topology.Port[[]byte, response[VF]], left *tableNode[K, V], spec topology.NodeSpec, fk func(K, V) (KF, bool),
	f func(V, Opt[VF]) VR, keepsLeft bool, via ForeignJoin[K, V, KF, VF],
) *tableNode[K, VR] {
	t := &tableNode[K, VR]{spec: spec, derived: true}
	unkept := fmt.Errorf("the result of the join %q is read by other operators: keep it with Materialize", via.name)
	t.stores = func() []state.Spec { return nil }
	t.read = func(*topology.NodeContext) (lookup[K, VR], error) { return nil, unkept }
	t.port = replies.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, topology.Change[VR]]) (
		topology.Processor[[]byte, response[VF]], error) {
		if t.old && t.store == nil {
			return nil, unkept
		}
		s, err := via.bind(c)
		if err != nil {
			return nil, err
		}
		get, err := left.reader(c)
		if err != nil {
			return nil, err
		}
		p := &resolver[K, V, KF, VF, VR]{
			nc: c, serdes: s, get: get, fk: fk, f: f, keepsLeft: keepsLeft, isNil: topology.NilCheck[VR](), old: t.keepsOld(),
			stale: c.Drops("stale"), next: t.outlet(c, next),
		}
		if t.store != nil {
			p.store = t.store.Open(c)
		}
		return p, nil
	})
	return t
}

// A resolver decides whether a response is about the left row as it is, and keeps the result.
//
// The left row may have changed since it asked. A response counts if the row has the fingerprint that it had: all requests of a version that names
// a key go to one partition of the right table, from where the responses come in order.
//
// A version that names none asks for nothing, in an inner join. If it came before the response to the end of an earlier version's subscription, that is the
// last response there is: it counts in any case, and deletes the result.
type resolver[K, V, KF, VF, VR any] struct {
	nc        *topology.NodeContext
	serdes    foreignSerdes[K, V, KF]
	get       lookup[K, V]
	fk        func(K, V) (KF, bool)
	f         func(V, Opt[VF]) VR
	keepsLeft bool
	isNil     func(VR) bool
	store     *state.KeyValueStore[K, VR] // nil if the result is not kept
	old       bool
	stale     *state.Counter
	next      topology.Processor[K, topology.Change[VR]]
	out       Record[K, topology.Change[VR]]
	buf       []byte
}

func (p *resolver[K, V, KF, VF, VR]) Process(r *Record[[]byte, response[VF]]) error {
	p.nc.Enter()
	k, err := p.serdes.key.Decode(r.Key)
	if err != nil {
		return p.nc.FailAt(dlq.Decode, fmt.Errorf("decode key as %v: %w", reflect.TypeFor[K](), err))
	}
	row, ok, err := p.get(k)
	if err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	p.nc.Enter()
	current := fingerprint{}
	if ok {
		if p.buf, err = p.serdes.value.Append(p.buf[:0], row.Value); err != nil {
			return p.nc.FailAt(dlq.Encode, fmt.Errorf("encode value as %v: %w", reflect.TypeFor[V](), err))
		}
		current = fingerprintOf(p.buf)
	}
	a, quiet := &r.Value, r.Value.quiet
	if a.row != current {
		if !a.ended || ok && p.names(k, row.Value) {
			p.stale.Add(1)
			return nil
		}
		quiet = true
	}
	var ch topology.Change[VR]
	if ok && (a.ok || p.keepsLeft) {
		v := p.f(row.Value, Opt[VF]{a.value, a.ok})
		if p.isNil == nil || !p.isNil(v) {
			ch.New, ch.HasNew = v, true
		}
	}
	p.out = Record[K, topology.Change[VR]]{Key: k, Value: ch, Timestamp: r.Timestamp, Headers: r.Headers}
	return p.update(quiet)
}

func (p *resolver[K, V, KF, VF, VR]) names(k K, v V) bool {
	_, ok := p.fk(k, v)
	return ok
}

// update keeps the result and sends it on; a quiet delete is left out where there is no row.
func (p *resolver[K, V, KF, VF, VR]) update(quiet bool) error {
	if p.store == nil {
		return p.next.Process(&p.out)
	}
	ch := &p.out.Value
	quiet = quiet && !ch.HasNew
	if err := replace(p.store, p.out.Key, ch, &p.out, p.old || quiet); err != nil {
		return p.nc.FailAt(dlq.Encode, err)
	}
	if quiet && !ch.HasOld {
		return nil
	}
	return p.next.Process(&p.out)
}
