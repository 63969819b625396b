package stream

import (
	"context"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/topology"
)

type (
	// Topic is a topic of the cluster: see topology.Topic.
	Topic[K, V any] = topology.Topic[K, V]
	// TopicPattern stands for all topics whose names match: see topology.TopicPattern.
	TopicPattern[K, V any] = topology.TopicPattern[K, V]
	// Repartition is a topic of the application's own: see topology.Repartition.
	Repartition[K, V any] = topology.Repartition[K, V]
	// Record is what a processor gets and forwards: see topology.Record.
	Record[K, V any] = topology.Record[K, V]
	// Node is what a processor's set-up gets: see topology.Node.
	Node[K2, V2 any] = topology.Node[K2, V2]
	// Header is one header of a record.
	Header = topology.Header
	// Windowed is a key in a window: see serde.Windowed.
	Windowed[K any] = serde.Windowed[K]
)

// ErrSkip drops the record at the operator whose function returns it, counted.
var ErrSkip = dlq.ErrSkip

// NewTopic describes a topic: its name and the serdes of its records. Declare it once, as a package variable.
func NewTopic[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) Topic[K, V] {
	return topology.NewTopic(name, key, value)
}

// NewRepartition describes a repartition topic. Its full name is <application>-<name>-repartition.
func NewRepartition[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) Repartition[K, V] {
	return topology.NewRepartition(name, key, value)
}

// Metadata tells where the record in process came from. ctx is what a Try function or a processor was given.
func Metadata(ctx context.Context) topology.Metadata {
	m, _ := topology.CurrentMetadata(ctx)
	return m
}

// Opt is a value that may be absent: the missing side of a left join.
type Opt[V any] struct {
	Value V
	OK    bool
}
