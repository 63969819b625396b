package stream

import "github.com/weirstream/weir/topology"

// A Multicast is the option that PartitionsBy makes.
type Multicast struct{ partitions any }

func (o Multicast) sinkOption(s *settings) { s.multicast = o.partitions }

// PartitionsBy writes each record to all the partitions that f returns, each 0 to n-1: to several, or to none, which drops the record, counted with
// the reason no-partition. It wins over PartitionBy. K and V are the topic's types.
func PartitionsBy[K, V any](f func(k K, v V, n int32) []int32) Multicast { return Multicast{f} }

// multicast is the function of PartitionsBy, nil without one.
func multicast[K, V any](b *Builder, s *settings) func(*topology.Record[K, V], int32) []int32 {
	f := typed[func(K, V, int32) []int32](b, s, "PartitionsBy", s.multicast)
	if f == nil {
		return nil
	}
	return func(r *topology.Record[K, V], n int32) []int32 { return f(r.Key, r.Value, n) }
}
