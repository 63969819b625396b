package stream

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A history reads the rows of a table as they were: in the store with the versions, and through the functions of the tables derived from it.
type history[K, V any] struct {
	// store is what is read; its retention is how far back.
	store state.Spec
	open  func(c *topology.NodeContext) (lookupAsOf[K, V], error)
}

// A lookupAsOf reads the version of a row that was valid at a time.
type lookupAsOf[K, V any] func(k K, at time.Time) (v V, ok bool, err error)

func storedHistory[K, V any](spec state.VersionedSpec[K, V]) *history[K, V] {
	return &history[K, V]{spec, func(c *topology.NodeContext) (lookupAsOf[K, V], error) {
		rows, err := openVersions(c, spec)
		if err != nil {
			return nil, err
		}
		return func(k K, at time.Time) (v V, ok bool, err error) {
			version, ok, err := rows.GetAsOf(k, at)
			return version.Value, ok, err
		}, nil
	}}
}

// openVersions opens the store for a node that reads it.
func openVersions[K, V any](c *topology.NodeContext, spec state.VersionedSpec[K, V]) (*state.VersionedStore[K, V], error) {
	st, err := c.OpenStore(spec)
	if err != nil {
		return nil, err
	}
	rows, ok := st.(*state.VersionedStore[K, V])
	if !ok {
		return nil, fmt.Errorf("store %q has other types than the table", spec.Info().Name)
	}
	return rows, nil
}

// deriveHistory is the history of a table whose rows are f of the parent's: false is none.
func deriveHistory[K, V, V2 any](parent *history[K, V], f func(K, V) (V2, bool)) *history[K, V2] {
	return &history[K, V2]{parent.store, func(c *topology.NodeContext) (lookupAsOf[K, V2], error) {
		get, err := parent.open(c)
		if err != nil {
			return nil, err
		}
		return func(k K, at time.Time) (v V2, ok bool, err error) {
			in, ok, err := get(k, at)
			if err != nil || !ok {
				return v, false, err
			}
			c.Enter()
			v, ok = f(k, in)
			return v, ok, nil
		}, nil
	}}
}
