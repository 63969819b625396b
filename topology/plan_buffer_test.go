package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// Brokers refuse timestamps that are more than an hour ahead: a row that waits for its time may have one.
func TestPlan_LetsTheBrokerTimeTheChangelogsOfWhatWaits(t *testing.T) {
	t.Parallel()
	p := plan(t, cluster{"a": 2}, func(b *topology.Builder) {
		port := read(b, text("a"))
		for _, st := range []state.Spec{
			state.Buffer("held", serde.String(), serde.String()), state.JoinBuffer("waiting", serde.String(), serde.String()),
		} {
			spec := node("keep", st.Info().Name)
			spec.Stores = append(spec.Stores, st)
			topology.Merge(spec, port)
		}
	})
	want := map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}
	require.Equal(t, want, internal(t, p, "shop-held-changelog").Config)
	require.Equal(t, want, internal(t, p, "shop-waiting-changelog").Config)
}
