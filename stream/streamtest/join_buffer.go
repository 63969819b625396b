package streamtest

import "github.com/weirstream/weir/state"

// JoinBuffer returns the rows of a join buffer in the task of a partition: see KeyValue.
func JoinBuffer[K, V any](d *Driver, spec state.JoinBufferSpec[K, V], partition int32) *state.JoinBufferStore[K, V] {
	d.tb.Helper()
	return spec.Open(opener{d, partition})
}
