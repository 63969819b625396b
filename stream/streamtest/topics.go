package streamtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/topology"
)

// A TestInput writes to a topic that the topology reads.
type TestInput[K, V any] struct {
	d     *Driver
	topic topology.Topic[K, V]
}

// Input returns the input of a topic.
func Input[K, V any](d *Driver, t topology.Topic[K, V]) *TestInput[K, V] {
	return &TestInput[K, V]{d, t}
}

// Send writes one record, runs the topology until nothing is left to do and commits. The record goes to the partition of its key.
func (in *TestInput[K, V]) Send(key K, value V, at time.Time, headers ...topology.Header) {
	in.d.tb.Helper()
	in.send(topology.Record[K, V]{Key: key, Value: value, Timestamp: at, Headers: headers})
}

// SendRecord is Send for records without a key or value.
func (in *TestInput[K, V]) SendRecord(r topology.Record[K, V]) {
	in.d.tb.Helper()
	in.send(r)
}

// Delete writes a tombstone.
func (in *TestInput[K, V]) Delete(key K, at time.Time, headers ...topology.Header) {
	in.d.tb.Helper()
	in.send(topology.Record[K, V]{Key: key, Tombstone: true, Timestamp: at, Headers: headers})
}

func (in *TestInput[K, V]) send(r topology.Record[K, V]) {
	in.d.tb.Helper()
	if err := in.TrySend(r); err != nil {
		in.d.tb.Fatalf("process a record of topic %q: %v", in.topic.Name(), err)
	}
}

// TrySend is SendRecord that returns the error that the topology fails with.
func (in *TestInput[K, V]) TrySend(r topology.Record[K, V]) error {
	in.d.tb.Helper()
	key, err := encode(in.topic.Key(), r.Key, r.NullKey)
	if err != nil {
		in.d.tb.Fatalf("encode the key for topic %q: %v", in.topic.Name(), err)
	}
	value, err := encode(in.topic.Value(), r.Value, r.Tombstone)
	if err != nil {
		in.d.tb.Fatalf("encode the value for topic %q: %v", in.topic.Name(), err)
	}
	return in.d.TrySendRaw(in.topic.Name(), key, value, r.Timestamp, r.Headers...)
}

func encode[T any](s serde.Serde[T], v T, null bool) ([]byte, error) {
	if n, ok := s.(serde.NullSerde[T]); null || ok && n.IsNull(v) {
		return nil, nil
	}
	return s.Append([]byte{}, v)
}

// SendRaw writes a record of any bytes, nil for null: malformed ones for example. The record goes to the partition of its key.
func (d *Driver) SendRaw(topic string, key, value []byte, at time.Time, headers ...topology.Header) {
	d.tb.Helper()
	if err := d.TrySendRaw(topic, key, value, at, headers...); err != nil {
		d.tb.Fatalf("process a record of topic %q: %v", topic, err)
	}
}

// TrySendRaw is SendRaw that returns the error that the topology fails with.
func (d *Driver) TrySendRaw(topic string, key, value []byte, at time.Time, headers ...topology.Header) error {
	d.tb.Helper()
	if err := d.running(); err != nil {
		return err
	}
	o := topology.Output{Topic: topic, Key: key, Value: value, Timestamp: at, Headers: headers}
	if key != nil {
		o.Partition = topology.PartitionFor(key, d.log.partitionsOf(topic))
	}
	r := d.log.add(o)
	r.committed = true
	read := d.globals.reads(topic)
	for _, in := range d.tasks {
		read = read || in.reads(topic, o.Partition)
	}
	d.log.settle(d, topic, o.Partition)
	if !read {
		d.tb.Fatalf("send to topic %q: the topology does not read it", topic)
	}
	// As in Kafka Streams' driver, what the tasks do with the record comes before what it does to a global table.
	d.globals.held = &topicPartition{topic, o.Partition}
	err := d.run()
	d.globals.held = nil
	if err == nil {
		err = d.globals.apply()
		d.failed = err
	}
	return err
}

// A TestOutput reads a topic that the topology writes.
type TestOutput[K, V any] struct {
	d     *Driver
	topic topology.Topic[K, V]
}

// Output returns the output of a topic.
func Output[K, V any](d *Driver, t topology.Topic[K, V]) *TestOutput[K, V] {
	return &TestOutput[K, V]{d, t}
}

// A TestRecord is a record of an output. A Tombstone has no value, a NullKey no key.
type TestRecord[K, V any] struct {
	topology.Record[K, V]
	Partition int32
}

// Read returns the committed records that were not read yet: partition by partition, in order.
func (out *TestOutput[K, V]) Read() []TestRecord[K, V] {
	out.d.tb.Helper()
	var rs []TestRecord[K, V]
	for _, r := range out.d.ReadRaw(out.topic.Name()) {
		rec := TestRecord[K, V]{Partition: r.Partition}
		rec.Timestamp, rec.Headers = time.UnixMilli(r.TimestampMs).UTC(), r.Headers
		var err error
		if rec.Key, rec.NullKey, err = decode(out.topic.Key(), r.Key); err != nil {
			out.d.tb.Fatalf("decode the key of a record of topic %q: %v", out.topic.Name(), err)
		}
		if rec.Value, rec.Tombstone, err = decode(out.topic.Value(), r.Value); err != nil {
			out.d.tb.Fatalf("decode the value of a record of topic %q: %v", out.topic.Name(), err)
		}
		rs = append(rs, rec)
	}
	return rs
}

func decode[T any](s serde.Serde[T], b []byte) (v T, null bool, err error) {
	if b == nil {
		return v, true, nil
	}
	v, err = s.Decode(b)
	return v, false, err
}

// A Pair is a key and a value.
type Pair[K, V any] struct {
	Key   K
	Value V
}

// Pairs is Read without times, headers and partitions. A tombstone has the zero value.
func (out *TestOutput[K, V]) Pairs() []Pair[K, V] {
	out.d.tb.Helper()
	var ps []Pair[K, V]
	for _, r := range out.Read() {
		ps = append(ps, Pair[K, V]{r.Key, r.Value})
	}
	return ps
}

// Table is Read reduced to the last value of each key, without deleted ones. K must be comparable.
func Table[K comparable, V any](out *TestOutput[K, V]) map[K]V {
	out.d.tb.Helper()
	m := map[K]V{}
	for _, r := range out.Read() {
		if r.Tombstone {
			delete(m, r.Key)
		} else {
			m[r.Key] = r.Value
		}
	}
	return m
}

// ReadRaw returns the committed records of any topic that were not read yet, as bytes.
func (d *Driver) ReadRaw(topic string) []topology.Raw {
	var out []topology.Raw
	for _, p := range d.log.topics[topic] {
		for ; p.read < len(p.records); p.read++ {
			r := p.records[p.read]
			if !r.committed && !r.aborted {
				break
			}
			if r.committed {
				raw := r.Raw
				raw.Headers = slices.Clone(raw.Headers)
				out = append(out, raw)
			}
		}
	}
	return out
}

// A DeadLetter is a record of a dead-letter topic.
type DeadLetter struct {
	Key, Value []byte
	Timestamp  time.Time
	// Headers are those of the original record.
	Headers []topology.Header
	dlq.Letter
}

// DeadLetters returns the committed dead letters of a source topic that were not read yet.
func (d *Driver) DeadLetters(source string) []DeadLetter {
	d.tb.Helper()
	topic, err := d.cfg.deadLetters.Topic(source)
	if err != nil {
		d.tb.Fatalf("name the dead-letter topic: %v", err)
	}
	var out []DeadLetter
	for _, r := range d.ReadRaw(topic) {
		l, err := dlq.Parse(r.Headers)
		if err != nil {
			d.tb.Fatalf("read dead letter at offset %d: %v", r.Offset, err)
		}
		out = append(out, DeadLetter{
			Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.TimestampMs).UTC(), Letter: l,
			Headers: r.Headers[:len(r.Headers)-len(l.AppendHeaders(nil))],
		})
	}
	return out
}

// String names the record for messages of failed tests.
func (r TestRecord[K, V]) String() string {
	value := fmt.Sprint(r.Value)
	if r.Tombstone {
		value = "null"
	}
	return fmt.Sprintf("%v=%s@%d", r.Key, value, r.Timestamp.UnixMilli())
}
