package stream

import (
	"fmt"
	"reflect"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// An Option fits every operator: Named and OnError are options.
type Option interface{ option(s *settings) }

// A KeyOption fits operators that may change the key: KeepsPartitioning and every Common option.
type KeyOption interface{ keyOption(s *settings) }

// A RepartitionOption fits repartitions: IdleAfter, PartitionBy and every Common option.
type RepartitionOption interface{ repartitionOption(s *settings) }

// A TableOption fits operators that keep a table in a store: Coalesce and every Common option.
type TableOption interface{ tableOption(s *settings) }

// A SourceTableOption fits tables that are read from a topic: SourceOptions, TableOptions and every Common option.
type SourceTableOption interface{ sourceTableOption(s *settings) }

// A SourceOption fits sources: StartFrom, TimestampFrom, IdleAfter and every Common option.
type SourceOption interface{ sourceOption(s *settings) }

// A SinkOption fits sinks: PartitionBy, PartitionsBy and every Common option.
type SinkOption interface{ sinkOption(s *settings) }

// A ProcessOption fits Process and ProcessValues: Stores and every Common option.
type ProcessOption interface{ processOption(s *settings) }

// A change is what an option does to the settings of its call: nothing, for the zero value of an option.
type change func(s *settings)

func (c change) on(s *settings) {
	if c != nil {
		c(s)
	}
}

// Common is an option that fits everywhere.
type Common struct{ apply change }

func (o Common) option(s *settings)            { o.apply.on(s) }
func (o Common) keyOption(s *settings)         { o.apply.on(s) }
func (o Common) repartitionOption(s *settings) { o.apply.on(s) }
func (o Common) tableOption(s *settings)       { o.apply.on(s) }
func (o Common) sourceTableOption(s *settings) { o.apply.on(s) }
func (o Common) sourceOption(s *settings)      { o.apply.on(s) }
func (o Common) sinkOption(s *settings)        { o.apply.on(s) }
func (o Common) processOption(s *settings)     { o.apply.on(s) }

// Named names the operator: in descriptions, counters and dead letters, and as the name under which its timers survive restarts.
func Named(name string) Common { return Common{func(s *settings) { s.Name = name }} }

// OnError sets the policy for failures at this operator. Without it the builder's applies.
func OnError(p dlq.Policy) Common { return Common{func(s *settings) { s.Policy = p }} }

// A KeyChange is an option of operators that may change the key.
type KeyChange struct{ apply change }

func (o KeyChange) keyOption(s *settings)     { o.apply.on(s) }
func (o KeyChange) processOption(s *settings) { o.apply.on(s) }

// KeepsPartitioning says that a new key is in the partition that the old one was in: records that had the same key as one another stay together. No
// repartition is asked for then. Nothing checks it: where it is not true, keys are counted and joined in pieces.
func KeepsPartitioning() KeyChange { return KeyChange{func(s *settings) { s.keepsPartitions = true }} }

// A Source is an option of everything that reads a topic of the cluster.
type Source struct{ apply change }

func (o Source) sourceOption(s *settings)      { o.apply.on(s) }
func (o Source) sourceTableOption(s *settings) { o.apply.on(s) }

// An Idle is the option that IdleAfter makes.
type Idle struct{ after time.Duration }

func (o Idle) sourceOption(s *settings)      { s.idle = o.after }
func (o Idle) sourceTableOption(s *settings) { s.idle = o.after }
func (o Idle) repartitionOption(s *settings) { s.idle = o.after }

// IdleAfter lets event time go on without records: when the input has been quiet for d of wall time, in one of its partitions, the clocks of the
// operators behind it go on from its last timestamp as the wall clock does, so that windows close and joins give up waiting. Records that come afterwards
// with earlier timestamps may be late. Repartition topics downstream inherit it.
//
// Without it, as in Kafka Streams, event time stands still while nothing comes.
func IdleAfter(d time.Duration) Idle { return Idle{d} }

// A Result is an option of operators that keep a table in a store.
type Result struct{ apply change }

func (o Result) tableOption(s *settings)       { o.apply.on(s) }
func (o Result) sourceTableOption(s *settings) { o.apply.on(s) }

// Start says where a source begins in a partition that has no committed offset.
type Start = topology.StartFrom

const (
	// Earliest begins at the oldest record. It is the default.
	Earliest = topology.Earliest
	// Latest begins with what comes.
	Latest = topology.Latest
	// NoStart refuses to run without a committed offset.
	NoStart = topology.NoStart
)

// StartFrom says where the source begins in a partition that has no committed offset.
func StartFrom(s Start) Source { return Source{func(o *settings) { o.start = s }} }

// TimestampFrom takes the event time from the record instead of from the broker. A time before 1970, the zero time too, makes the record
// undecodable: it meets the policy. K and V are the topic's types.
func TimestampFrom[K, V any](f func(K, V) time.Time) Source {
	return Source{func(o *settings) { o.timestamp = f }}
}

// A Partitioner is an option of everything that writes a topic.
type Partitioner struct{ apply change }

func (o Partitioner) sinkOption(s *settings)        { o.apply.on(s) }
func (o Partitioner) repartitionOption(s *settings) { o.apply.on(s) }

// PartitionBy chooses the partition, 0 to n-1, instead of the key's hash. K and V are the topic's types.
func PartitionBy[K, V any](f func(k K, v V, n int32) int32) Partitioner {
	return Partitioner{func(o *settings) { o.partition = f }}
}

type processOption func(s *settings)

func (o processOption) processOption(s *settings) { o(s) }

// Stores declares the stores that a processor opens.
func Stores(specs ...state.Spec) ProcessOption {
	return processOption(func(o *settings) { o.NodeSpec.Stores = append(o.NodeSpec.Stores, specs...) })
}

// settings are what the options of one call say.
type settings struct {
	topology.NodeSpec
	start           Start
	timestamp       any
	partition       any
	multicast       any
	idle            time.Duration
	grace           Wait
	keepsPartitions bool
	coalesce        bool
	sourceLog       bool
	logs            string // the store that is restored from the source
	async           asyncSettings
}

func newSettings(op string) settings {
	return settings{NodeSpec: topology.NodeSpec{Op: op, Pos: caller()}}
}

// node makes the description of an operator's node. It must be called by the operator itself or one of its helpers: the position is that of
// the first caller outside of this module's building packages. functions are those that the user must give: see gather.
func node(op string, opts []Option, functions ...any) topology.NodeSpec {
	return gather(op, opts, Option.option, functions...).NodeSpec
}

// pure marks an operator that only makes records of records: see topology.NodeSpec.
func pure(s topology.NodeSpec) topology.NodeSpec {
	s.Pure = true
	return s
}

func (s settings) pure() settings {
	s.Pure = true
	return s
}

// gather makes the settings of a call from its options, of one of the interfaces above. functions are those that the user must give: one that is nil is an
// error of Build, at the position of the call.
func gather[O any](op string, opts []O, apply func(O, *settings), functions ...any) settings {
	s := newSettings(op)
	for _, o := range opts {
		if !missing(o) {
			apply(o, &s)
		}
	}
	for _, f := range functions {
		if missing(f) {
			s.Err = fmt.Errorf("a function is nil: give it a %v", reflect.TypeOf(f))
			break
		}
	}
	return s
}

// functions are the elements of a list, for gather.
func functions[F any](list []F) []any {
	out := make([]any, len(list))
	for i, f := range list {
		out[i] = f
	}
	return out
}

// missing tells whether x is nil, of an interface or as a function or pointer.
func missing(x any) bool {
	v := reflect.ValueOf(x)
	return x == nil || (v.Kind() == reflect.Func || v.Kind() == reflect.Pointer) && v.IsNil()
}

// typed returns an option's function as F; the zero F if the option was not given.
func typed[F any](b *Builder, s *settings, option string, f any) F {
	var zero F
	if f == nil {
		return zero
	}
	g, ok := f.(F)
	if !ok {
		b.report(s.NodeSpec, fmt.Errorf("%s is given a %v here: it must be a %v", option, reflect.TypeOf(f), reflect.TypeFor[F]()))
		return zero
	}
	if missing(g) {
		b.report(s.NodeSpec, fmt.Errorf("%s is given no function: it must be a %v", option, reflect.TypeFor[F]()))
	}
	return g
}
