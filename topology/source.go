package topology

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
)

// A Raw record is one as a consumer delivers it. The slices belong to the consumer: they must not be changed.
type Raw struct {
	Topic       string
	Partition   int32
	Offset      int64
	LeaderEpoch int32
	Key, Value  []byte // nil where null
	TimestampMs int64
	Headers     []Header
	// Control marks a transaction marker, or any offset without a record: only the position moves over it.
	Control bool
}

// An Input is a source node in one task. It holds one record, the head of its queue.
type Input interface {
	// Decode reads the head. It returns a *Fault where the record is at fault.
	Decode(raw *Raw) error
	// Timestamp is the event time of the head.
	Timestamp() time.Time
	// Process sends the head down the graph.
	Process() error
}

// A SourceSpec says what a source is beyond its topic.
type SourceSpec[K, V any] struct {
	NodeSpec
	// Start says where to begin without a committed offset.
	Start StartFrom
	// Timestamp extracts the event time; nil means the record's own, which is also that of a tombstone that the serde
	// has no value for.
	Timestamp func(K, V) time.Time
	// Logs names the store that is restored from the topic, in place of a changelog: nothing that the source reads may then be left out of it.
	Logs string
	// Idle is how long the input must be quiet, in wall time, for the event time of the operators behind it to go on with the wall clock. 0 is never:
	// event time moves with records only. Repartition topics downstream inherit it.
	Idle time.Duration
}

// A RepartitionSpec says what the way through a repartition topic is beyond its topic.
type RepartitionSpec[K, V any] struct {
	NodeSpec
	// Partition chooses the partition of a record out of n: see SinkSpec.
	Partition func(r *Record[K, V], n int32) int32
	// Idle is that of the source: see SourceSpec.
	Idle time.Duration
}

// Source adds a node that reads a topic. Two sources of the same topic and types are one node.
func (b *Builder) Source[K, V any](t Topic[K, V], s SourceSpec[K, V]) Port[K, V] {
	return source(b, t.info(), t, s)
}

// Through writes the port's records to a repartition topic and reads them from there, in another subtopology, where each key
// is in its partition. Headers and timestamps are kept.
func (p Port[K, V]) Through(r Repartition[K, V], s RepartitionSpec[K, V]) Port[K, V] {
	if p.b == nil {
		return Port[K, V]{}
	}
	sink := p.sink(r.topic, SinkSpec[K, V]{Partition: s.Partition,
		NodeSpec: NodeSpec{Op: "repartition-sink", Name: r.topic.name + "-sink", Pos: s.Pos, Policy: s.Policy}})
	sink.topic = r.info()
	return source(p.b, r.info(), r.topic, SourceSpec[K, V]{Idle: s.Idle, NodeSpec: NodeSpec{
		Op: "repartition-source", Name: r.topic.name + "-source", Pos: s.Pos, Policy: s.Policy}})
}

func source[K, V any](b *Builder, info topicInfo, t Topic[K, V], s SourceSpec[K, V]) Port[K, V] {
	if n := b.sourceOf(info); n != nil {
		switch {
		case info.internal:
			b.Report(s.Op, info.name, s.Pos, fmt.Errorf("the repartition is used already at %s: give each use a name of its own", n.pos))
		case n.topic.keyType != info.keyType || n.topic.valueType != info.valueType:
			b.Report(s.Op, info.name, s.Pos, fmt.Errorf("the topic is read at %s as %s and %s: read it once, with one pair of types",
				n.pos, n.topic.keyType, n.topic.valueType))
		case s.Start != n.source.start || s.Timestamp != nil || n.source.custom || s.Idle != n.source.idle ||
			s.Logs != n.source.logs:
			b.Report(s.Op, info.name, s.Pos, fmt.Errorf("the topic is read at %s with other options: read it once and use that handle", n.pos))
		}
		return Port[K, V]{b, n}
	}
	if s.Name == "" && info.pattern == nil {
		s.Name = info.name + "-source"
	}
	n := b.add(SourceNode, s.NodeSpec)
	n.topic, n.source = info, &sourceSettings{start: s.Start, custom: s.Timestamp != nil, idle: s.Idle, ownIdle: s.Idle > 0, logs: s.Logs}
	if s.Idle < 0 || s.Idle > 0 && s.Idle < time.Millisecond {
		b.Report(s.Op, info.name, s.Pos, fmt.Errorf("idle after %v: use a millisecond at least", s.Idle))
	}
	if err := info.validate(); err != nil {
		b.Report(s.Op, info.name, s.Pos, err)
	}
	n.input = func(c *NodeContext, topic string, kids []any) (Input, error) {
		next, err := receivers[K, V](n, kids)
		if err != nil {
			return nil, err
		}
		return newInput(c, t.bound(topic), s.Timestamp, join(next))
	}
	return Port[K, V]{b, n}
}

func (b *Builder) sourceOf(t topicInfo) *node {
	for _, n := range b.nodes {
		if n.kind == SourceNode && n.topic.name == t.name && n.topic.internal == t.internal && (n.topic.pattern == nil) == (t.pattern == nil) {
			return n
		}
	}
	return nil
}

// input is the Input of a source.
type input[K, V any] struct {
	nc      *NodeContext
	key     serde.Serde[K]
	value   serde.Serde[V]
	nullKey serde.NullSerde[K]
	nullVal serde.NullSerde[V]
	extract func(K, V) time.Time
	anyTime bool // also before 1970
	next    Processor[K, V]
	head    Record[K, V]
}

func newInput[K, V any](c *NodeContext, t Topic[K, V], extract func(K, V) time.Time, next Processor[K, V]) (*input[K, V], error) {
	key, value, err := t.bind()
	if err != nil {
		return nil, err
	}
	in := &input[K, V]{nc: c, key: key, value: value, extract: extract, next: next}
	in.nullKey, _ = key.(serde.NullSerde[K])
	in.nullVal, _ = value.(serde.NullSerde[V])
	return in, nil
}

// bind returns the serdes for this topic.
func (t Topic[K, V]) bind() (key serde.Serde[K], value serde.Serde[V], err error) {
	key, value = t.key, t.value
	if key == nil || value == nil {
		return nil, nil, fmt.Errorf("topic %q has no serde for its key or its value", t.name)
	}
	if b, ok := key.(serde.Binder[K]); ok {
		if key, err = b.Bind(t.name, serde.Key); err != nil {
			return nil, nil, fmt.Errorf("bind key serde of topic %q: %w", t.name, err)
		}
	}
	if b, ok := value.(serde.Binder[V]); ok {
		if value, err = b.Bind(t.name, serde.Value); err != nil {
			return nil, nil, fmt.Errorf("bind value serde of topic %q: %w", t.name, err)
		}
	}
	return key, value, nil
}

func (in *input[K, V]) Decode(raw *Raw) error {
	in.nc.Enter()
	h := &in.head
	*h = Record[K, V]{Headers: raw.Headers}
	var err error
	if h.Key, h.NullKey, err = decode(in.key, in.nullKey, raw.Key); err != nil {
		return in.nc.FailAt(dlq.Decode, fmt.Errorf("decode key as %v: %w", reflect.TypeFor[K](), err))
	}
	if h.Value, h.Tombstone, err = decode(in.value, in.nullVal, raw.Value); err != nil {
		return in.nc.FailAt(dlq.Decode, fmt.Errorf("decode value as %v: %w", reflect.TypeFor[V](), err))
	}
	h.Timestamp = time.UnixMilli(raw.TimestampMs).UTC()
	if in.extract != nil && (!h.Tombstone || in.nullVal != nil) {
		h.Timestamp = in.extract(h.Key, h.Value)
	}
	if h.Timestamp.UnixMilli() < 0 && !in.anyTime {
		if h.Timestamp.IsZero() {
			return in.nc.FailAt(dlq.Decode, errors.New("timestamp is the zero time: TimestampFrom must return one"))
		}
		return in.nc.FailAt(dlq.Decode, fmt.Errorf("timestamp %v is before 1970", h.Timestamp.UTC()))
	}
	return nil
}

func decode[T any](s serde.Serde[T], nullable serde.NullSerde[T], b []byte) (v T, null bool, err error) {
	if b != nil {
		v, err = s.Decode(b)
		return v, false, err
	}
	if nullable != nil {
		v, err = nullable.Decode(nil)
	}
	return v, true, err
}

func (in *input[K, V]) Timestamp() time.Time { return in.head.Timestamp }

func (in *input[K, V]) Process() error { return in.next.Process(&in.head) }
