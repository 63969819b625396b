package topology

import (
	"fmt"
	"reflect"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

// A SinkSpec says what a sink is beyond its topic.
type SinkSpec[K, V any] struct {
	NodeSpec
	// Partition chooses the partition of a record out of n; nil means by the hash of the key that Kafka's own producers use, and for
	// null keys the same one for a while.
	Partition func(r *Record[K, V], n int32) int32
	// Multicast chooses any number of partitions of a record out of n, and wins over Partition. None drops the record, counted.
	Multicast func(r *Record[K, V], n int32) []int32
	// Topic chooses the topic by record; nil means the sink's own.
	Topic func(r *Record[K, V]) string
}

// Sink adds a node that writes the port's records to a topic, with their timestamps and headers.
func (p Port[K, V]) Sink(t Topic[K, V], s SinkSpec[K, V]) { p.sink(t, s) }

func (p Port[K, V]) sink(t Topic[K, V], s SinkSpec[K, V]) *node {
	b := p.b
	if b == nil || p.n == nil {
		b = &Builder{}
		b.Report(s.Op, s.Name, s.Pos, errForeign)
		return &node{}
	}
	if s.Name == "" && s.Topic == nil {
		s.Name = b.freeName(t.name + "-sink")
	}
	n := b.add(SinkNode, s.NodeSpec, p.n)
	n.topic = t.info()
	if s.Topic != nil {
		n.topic.name = ""
		if !n.topic.valid {
			b.Report(s.Op, n.name, s.Pos, fmt.Errorf("the sink has no serde for its key or its value"))
		}
	} else if err := n.topic.validate(); err != nil {
		b.Report(s.Op, t.name, s.Pos, err)
	}
	n.discard = nowhere[K, V]{}
	n.wire = func(c *NodeContext, _ []any) (any, error) { return newSink(c, n, t, s) }
	return n
}

func (b *Builder) freeName(name string) string {
	free := name
	for i := 2; b.names[free] != nil; i++ {
		free = fmt.Sprintf("%s-%d", name, i)
	}
	return free
}

// sink is the receiver of a sink node.
type sink[K, V any] struct {
	nc        *NodeContext
	host      Host
	topic     string
	internal  bool
	choose    func(r *Record[K, V]) string
	partition func(r *Record[K, V], n int32) int32
	multicast func(r *Record[K, V], n int32) []int32
	key       serde.Serde[K]
	value     serde.Serde[V]
	nullKey   serde.NullSerde[K]
	nullVal   serde.NullSerde[V]
	keyPart   serde.Partitioned
	dropNull  *state.Counter // of records without a key, where a repartition has no use for them
	dropNone  *state.Counter // of records that multicast has no partition for
}

func newSink[K, V any](c *NodeContext, n *node, t Topic[K, V], s SinkSpec[K, V]) (*sink[K, V], error) {
	out := &sink[K, V]{nc: c, host: c.host, topic: n.topic.name, internal: n.topic.internal, choose: s.Topic, partition: s.Partition,
		multicast: s.Multicast, dropNone: c.Drops("no-partition")}
	if n.topic.internal {
		out.topic = RepartitionTopic(c.host.Application(), n.topic.name)
		if !n.passNullKeys {
			out.dropNull = c.Drops("null-key")
		}
	}
	var err error
	if out.key, out.value, err = NewTopic(out.topic, t.key, t.value).bind(); err != nil {
		return nil, err
	}
	out.nullKey, _ = out.key.(serde.NullSerde[K])
	out.nullVal, _ = out.value.(serde.NullSerde[V])
	out.keyPart, _ = out.key.(serde.Partitioned)
	return out, nil
}

func (s *sink[K, V]) Process(r *Record[K, V]) error {
	s.nc.Enter()
	key, err := encode(s.host, s.key, s.nullKey, r.Key, r.NullKey)
	if err != nil {
		return s.nc.FailAt(dlq.Encode, fmt.Errorf("encode key as %v for topic %q: %w", reflect.TypeFor[K](), s.topic, err))
	}
	if key == nil && s.dropNull != nil {
		s.dropNull.Add(1)
		return nil
	}
	value, err := encode(s.host, s.value, s.nullVal, r.Value, r.Tombstone)
	if err != nil {
		return s.nc.FailAt(dlq.Encode, fmt.Errorf("encode value as %v for topic %q: %w", reflect.TypeFor[V](), s.topic, err))
	}
	topic := s.topic
	if s.choose != nil {
		if topic = s.choose(r); !topicName.MatchString(topic) {
			return s.nc.Fail(fmt.Errorf("topic name %q: use 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'", topic))
		}
	}
	headers := r.Headers
	if s.internal {
		headers = withOrigin(s.host.Metadata(), headers)
	}
	o := Output{Topic: topic, Key: key, Value: value, Timestamp: r.Timestamp, Headers: headers}
	if s.multicast != nil {
		return s.cast(o, r)
	}
	if o.Partition, err = s.place(topic, key, r); err != nil {
		return err
	}
	return s.emit(o)
}

func (s *sink[K, V]) emit(o Output) error {
	if err := s.host.Emit(o); err != nil {
		return s.nc.FailAt(dlq.Encode, fmt.Errorf("write to topic %q: %w", o.Topic, err))
	}
	return nil
}

// cast writes the record to each partition that multicast chooses.
func (s *sink[K, V]) cast(o Output, r *Record[K, V]) error {
	n, err := s.host.Partitions(o.Topic)
	if err != nil {
		return s.nc.Fail(fmt.Errorf("write to topic %q: %w", o.Topic, err))
	}
	to := s.multicast(r, n)
	if len(to) == 0 {
		s.dropNone.Add(1)
	}
	for _, p := range to {
		if p < 0 || p >= n {
			return s.nc.Fail(fmt.Errorf("partition %d of topic %q: PartitionsBy must return some of 0 to %d", p, o.Topic, n-1))
		}
		o.Partition = p
		if err := s.emit(o); err != nil {
			return err
		}
	}
	return nil
}

// place chooses the partition.
func (s *sink[K, V]) place(topic string, key []byte, r *Record[K, V]) (int32, error) {
	n, err := s.host.Partitions(topic)
	switch {
	case err != nil:
		return 0, s.nc.Fail(fmt.Errorf("write to topic %q: %w", topic, err))
	case s.partition != nil:
		p := s.partition(r, n)
		if p < 0 || p >= n {
			return 0, s.nc.Fail(fmt.Errorf("partition %d of topic %q: PartitionBy must return one of 0 to %d", p, topic, n-1))
		}
		return p, nil
	case key == nil:
		return s.host.Sticky(n), nil
	case s.keyPart != nil:
		key = s.keyPart.PartitionKey(key)
	}
	return PartitionFor(key, n), nil
}

func encode[T any](h Host, s serde.Serde[T], nullable serde.NullSerde[T], v T, null bool) ([]byte, error) {
	if null || nullable != nil && nullable.IsNull(v) {
		return nil, nil
	}
	a := h.Arena()
	b, err := s.Append(a.Tail(), v)
	if err != nil {
		return nil, err
	}
	if b == nil {
		b = []byte{}
	}
	return a.Take(b), nil
}
