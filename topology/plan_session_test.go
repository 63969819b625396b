package topology_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

func TestPlan_CutsTheChangelogOfSessionsByAgeAndThatOfEndlessWindowsNever(t *testing.T) {
	t.Parallel()
	sessions := state.Session("sessions", serde.String(), serde.String()).Retention(90 * time.Minute)
	endless := state.Window("endless", serde.String(), serde.String()).Retention(state.Forever)
	p := plan(t, cluster{"a": 2}, func(b *topology.Builder) {
		port := read(b, text("a"))
		for _, st := range []state.Spec{sessions, endless} {
			spec := node("keep", st.Info().Name)
			spec.Stores = append(spec.Stores, st)
			topology.Merge(spec, port)
		}
	})
	require.Equal(t, map[string]string{
		"cleanup.policy": "compact,delete", "retention.ms": "91800000", "message.timestamp.type": "LogAppendTime",
	}, internal(t, p, "shop-sessions-changelog").Config)
	require.Equal(t, map[string]string{
		"cleanup.policy": "compact", "retention.ms": "-1", "message.timestamp.type": "LogAppendTime",
	}, internal(t, p, "shop-endless-changelog").Config)
}
