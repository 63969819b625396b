package topology

import (
	"fmt"
	"reflect"
	"regexp"

	"github.com/weirstream/weir/serde"
)

// A Topic is a topic of the cluster that the application reads or writes: a name and the serdes of its records. Declare each once,
// as a package variable, and use that value in the topology and in tests.
type Topic[K, V any] struct {
	name  string
	key   serde.Serde[K]
	value serde.Serde[V]
}

// NewTopic describes a topic. Its faults are reported by Build.
func NewTopic[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) Topic[K, V] {
	return Topic[K, V]{name, key, value}
}

// Name is the topic's name.
func (t Topic[K, V]) Name() string { return t.name }

// Key is the serde of the records' keys.
func (t Topic[K, V]) Key() serde.Serde[K] { return t.key }

// Value is the serde of the records' values.
func (t Topic[K, V]) Value() serde.Serde[V] { return t.value }

func (t Topic[K, V]) info() topicInfo {
	return topicInfo{
		name: t.name, keyType: reflect.TypeFor[K]().String(), valueType: reflect.TypeFor[V]().String(),
		valid: t.key != nil && t.value != nil,
	}
}

// A Repartition is a topic of the application's own, through which a stream finds the partitions of its new key. Its full name is
// <application>-<name>-repartition. What it holds is purged once it is processed.
type Repartition[K, V any] struct {
	topic      Topic[K, V]
	partitions int32
}

// NewRepartition describes a repartition topic. Its faults are reported by Build.
func NewRepartition[K, V any](name string, key serde.Serde[K], value serde.Serde[V]) Repartition[K, V] {
	return Repartition[K, V]{topic: NewTopic(name, key, value)}
}

// Partitions fixes the number of partitions. Without it, it is that of the topics it is joined with, else the largest of
// the topics that feed it.
func (r Repartition[K, V]) Partitions(n int32) Repartition[K, V] { r.partitions = n; return r }

// Name is the durable name, without application and suffix.
func (r Repartition[K, V]) Name() string { return r.topic.name }

// Topic is the topic that the repartition uses: its name is the durable one, without application and suffix.
func (r Repartition[K, V]) Topic() Topic[K, V] { return r.topic }

// Carrying is the repartition with values of another type: what an operator makes of the user's.
func (r Repartition[K, V]) Carrying[V2 any](value serde.Serde[V2]) Repartition[K, V2] {
	return Repartition[K, V2]{topic: NewTopic(r.topic.name, r.topic.key, value), partitions: r.partitions}
}

// info is the topic without its types, marked as the application's own.
func (r Repartition[K, V]) info() topicInfo {
	i := r.topic.info()
	i.internal, i.partitions = true, r.partitions
	return i
}

// topicInfo is a topic without its types.
type topicInfo struct {
	name               string
	keyType, valueType string
	valid              bool // has serdes
	internal           bool // a repartition
	partitions         int32
	pattern            *regexp.Regexp // of a source over all topics that match; name is the expression
}

var (
	topicName   = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)
	nodeName    = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,260}$`) // room for a topic's name and a suffix
	durableName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,149}$`)
)

func (t topicInfo) validate() error {
	switch {
	case t.name == "" && !t.valid:
		return fmt.Errorf("the topic's descriptor is empty: make it with NewTopic or NewRepartition")
	case t.internal && !durableName.MatchString(t.name):
		return fmt.Errorf("repartition name %q: use 1 to 150 of the characters a-z, A-Z, 0-9, '.', '_' and '-', a letter or digit first", t.name)
	case t.pattern == nil && (!topicName.MatchString(t.name) || t.name == "." || t.name == ".."):
		return fmt.Errorf("topic name %q: use 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'", t.name)
	case !t.valid:
		return fmt.Errorf("topic %q has no serde for its key or its value", t.name)
	case t.partitions < 0:
		return fmt.Errorf("repartition %q: %d partitions: use a positive number, or none", t.name, t.partitions)
	}
	return nil
}
