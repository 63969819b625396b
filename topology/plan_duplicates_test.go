package topology_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

func TestPlan_DoesNotCompactTheChangelogOfDuplicates(t *testing.T) {
	t.Parallel()
	store := state.Window("records", serde.String(), serde.String()).Retention(time.Hour).Duplicates()
	p := plan(t, cluster{"a": 2}, func(b *topology.Builder) { pass(read(b, text("a")), node("keep", "keep", store)) })
	require.Equal(t, topology.InternalTopic{
		Name: "shop-records-changelog", Partitions: 2, Store: "records",
		Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "90000000", "message.timestamp.type": "LogAppendTime"},
	}, internal(t, p, "shop-records-changelog"))
}
