package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A store that is restored from a source has no changelog: one that begins later would lack its rows.
func TestCompare_RefusesAStoreThatIsRestoredFromElsewhere(t *testing.T) {
	t.Parallel()
	store := state.KeyValue("rows", serde.String(), serde.String())
	program := func(st state.Spec) topology.Manifest {
		return build(t, func(b *topology.Builder) { pass(read(b, text("in")), node("table", "rows-table", st)) }).Manifest()
	}
	logged, sourced := program(store), program(store.RestoredFrom("in", serde.String(), serde.String()))
	require.Equal(t, []string{"app-rows-changelog"}, logged.InternalTopics("app"))
	require.Empty(t, sourced.InternalTopics("app"))
	require.ErrorContains(t, topology.Compare(sourced, logged).Err(), "source as changelog")
	require.Error(t, topology.Compare(logged, sourced).Err())
	require.NoError(t, topology.Compare(sourced, sourced).Err())
}
