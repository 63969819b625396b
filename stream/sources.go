package stream

import (
	"errors"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/topology"
)

// NewTopicPattern describes all topics of the cluster whose names match a regular expression, from beginning to end. Declare it once, as a package
// variable.
func NewTopicPattern[K, V any](expression string, key serde.Serde[K], value serde.Serde[V]) TopicPattern[K, V] {
	return topology.NewTopicPattern(expression, key, value)
}

// StreamAll reads several topics as one stream, each with the same options. It is Stream for each, and Merge: there is no order between the topics. A
// task reads the partition of its number of each of them. Operators that look at the key need the topics co-partitioned: an aggregation of topics with
// different numbers of partitions is an error at the start.
//
// Key, Time: as in the topics; TimestampFrom takes the time from the record. State: none. Errors: a record that cannot be decoded meets the
// policy. Nulls: visible to functions if the value's serde is nullable, else passed on as tombstones.
func (b *Builder) StreamAll[K, V any](topics []Topic[K, V], opts ...SourceOption) Stream[K, V] {
	s := gather("stream-all", opts, SourceOption.sourceOption)
	if len(topics) == 0 {
		b.report(s.NodeSpec, errors.New("there are no topics: name at least one"))
		return Stream[K, V]{}
	}
	merge := topology.NodeSpec{Op: s.Op, Name: s.Name, Pos: s.Pos, Pure: true}
	s.Name = "" // each source has the name of its topic
	out := Stream[K, V]{b: b}
	ports := make([]topology.Port[K, V], 0, len(topics))
	for _, t := range topics {
		_, nulls := t.Value().(serde.NullSerde[V])
		out.nulls = out.nulls || nulls
		ports = append(ports, b.source(s, t))
	}
	out.port = topology.Merge(merge, ports...)
	return out
}

// StreamPattern reads all topics that match a pattern as one stream, with the same serdes and options. They are found when an instance starts; at least one
// must be there. A running instance looks for topics that match and are new, and says so in its log and in Stats.NewTopics; they are read when all
// instances have been started anew, one after the other is enough. The application's internal topics, dead-letter topics, and topics that the program
// writes by name are never read by a pattern. A topic that another source reads as well is an error at the start.
//
// Key, Time: as in the topics; TimestampFrom takes the time from the record. State: none. Errors: a record that cannot be decoded meets the
// policy. Nulls: visible to functions if the value's serde is nullable, else passed on as tombstones.
func (b *Builder) StreamPattern[K, V any](p TopicPattern[K, V], opts ...SourceOption) Stream[K, V] {
	s := gather("stream-pattern", opts, SourceOption.sourceOption)
	_, nulls := p.Value().(serde.NullSerde[V])
	return Stream[K, V]{b: b, port: b.graph.SourcePattern(p, sourceSpec[K, V](b, s)), nulls: nulls}
}
