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

// A SourceOption fits sources: StartFrom, TimestampFrom and every Common option.
type SourceOption interface{ sourceOption(s *settings) }

// A SinkOption fits sinks: PartitionBy and every Common option.
type SinkOption interface{ sinkOption(s *settings) }

// A ProcessOption fits Process and ProcessValues: Stores and every Common option.
type ProcessOption interface{ processOption(s *settings) }

// Common is an option that fits everywhere.
type Common struct{ apply func(s *settings) }

func (o Common) option(s *settings)        { o.set(s) }
func (o Common) sourceOption(s *settings)  { o.set(s) }
func (o Common) sinkOption(s *settings)    { o.set(s) }
func (o Common) processOption(s *settings) { o.set(s) }

func (o Common) set(s *settings) {
	if o.apply != nil {
		o.apply(s)
	}
}

// Named names the operator: in descriptions, counters and dead letters, and as the name under which its timers survive restarts.
func Named(name string) Common { return Common{func(s *settings) { s.Name = name }} }

// OnError sets the policy for failures at this operator. Without it the builder's applies.
func OnError(p dlq.Policy) Common { return Common{func(s *settings) { s.Policy = p }} }

type sourceOption func(s *settings)

func (o sourceOption) sourceOption(s *settings) { o(s) }

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
func StartFrom(s Start) SourceOption {
	return sourceOption(func(o *settings) { o.start = s })
}

// TimestampFrom takes the event time from the record instead of from the broker. A time before 1970, the zero time too, makes the record
// undecodable: it meets the policy. K and V are the topic's types.
func TimestampFrom[K, V any](f func(K, V) time.Time) SourceOption {
	return sourceOption(func(o *settings) { o.timestamp = f })
}

type sinkOption func(s *settings)

func (o sinkOption) sinkOption(s *settings) { o(s) }

// PartitionBy chooses the partition, 0 to n-1, instead of the key's hash. K and V are the topic's types.
func PartitionBy[K, V any](f func(k K, v V, n int32) int32) SinkOption {
	return sinkOption(func(o *settings) { o.partition = f })
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
	start     Start
	timestamp any
	partition any
}

func newSettings(op string) settings {
	return settings{NodeSpec: topology.NodeSpec{Op: op, Pos: caller()}}
}

// node makes the description of an operator's node. It must be called by the operator itself or one of its helpers: the position is that of
// the first caller outside of this module's building packages.
func node(op string, opts []Option) topology.NodeSpec {
	s := newSettings(op)
	for _, o := range opts {
		if o != nil {
			o.option(&s)
		}
	}
	return s.NodeSpec
}

func sinkNode(op string, opts []SinkOption) settings {
	s := newSettings(op)
	for _, o := range opts {
		if o != nil {
			o.sinkOption(&s)
		}
	}
	return s
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
	return g
}
