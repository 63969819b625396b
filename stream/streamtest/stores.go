package streamtest

import (
	"github.com/weirstream/weir/state"
)

// KeyValue returns a store's rows in the task of a partition: what the topology itself would read now. The store must not be written.
func KeyValue[K, V any](d *Driver, spec state.KeyValueSpec[K, V], partition int32) *state.KeyValueStore[K, V] {
	d.tb.Helper()
	return spec.Open(opener{d, partition})
}

// Window returns a window store's rows in the task of a partition: see KeyValue.
func Window[K, V any](d *Driver, spec state.WindowSpec[K, V], partition int32) *state.WindowStore[K, V] {
	d.tb.Helper()
	return spec.Open(opener{d, partition})
}

// Session returns a session store's rows in the task of a partition: see KeyValue.
func Session[K, V any](d *Driver, spec state.SessionSpec[K, V], partition int32) *state.SessionStore[K, V] {
	d.tb.Helper()
	return spec.Open(opener{d, partition})
}

// Versioned returns a versioned store's rows in the task of a partition: see KeyValue.
func Versioned[K, V any](d *Driver, spec state.VersionedSpec[K, V], partition int32) *state.VersionedStore[K, V] {
	d.tb.Helper()
	return spec.Open(opener{d, partition})
}

// LRU returns an LRU store's rows in the task of a partition: see KeyValue. Peek and All leave its order as it is.
func LRU[K, V any](d *Driver, spec state.LRUSpec[K, V], partition int32) *state.LRUStore[K, V] {
	d.tb.Helper()
	return spec.Open(opener{d, partition})
}

type opener struct {
	d         *Driver
	partition int32
}

// OpenStore implements state.Opener.
func (o opener) OpenStore(spec state.Spec) (state.Store, error) {
	o.d.tb.Helper()
	for _, in := range o.d.tasks {
		if in.task != nil && in.id.Partition == o.partition {
			if st := in.task.StoreNamed(spec.Info().Name); st != nil {
				return st, nil
			}
		}
	}
	o.d.tb.Fatalf("open store %q: the topology has none of that name in partition %d", spec.Info().Name, o.partition)
	return nil, nil
}
