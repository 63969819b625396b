package topology_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/topology"
)

// The hashes of UtilsTest.testMurmur2 in Kafka. The sign is not part of a partition.
func TestPartitionFor_AgreesWithKafka(t *testing.T) {
	t.Parallel()
	tests := []struct {
		key  string
		hash int32
	}{
		{"21", -973932308},
		{"foobar", -790332482},
		{"a-little-bit-long-string", -985981536},
		{"a-little-bit-longer-string", -1486304829},
		{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
		{"abc", 479470107},
	}
	for _, tt := range tests {
		t.Run(tt.key, func(t *testing.T) {
			t.Parallel()
			positive := tt.hash & math.MaxInt32
			for _, n := range []int32{1, 2, 3, 12, 100, 4096, math.MaxInt32} {
				require.Equal(t, positive%n, topology.PartitionFor([]byte(tt.key), n))
			}
		})
	}
}

func TestPartitionFor_TakesAnEmptyKey(t *testing.T) {
	t.Parallel()
	require.Equal(t, topology.PartitionFor([]byte{}, 7), topology.PartitionFor(nil, 7))
}

func TestTopicNames_CarryTheApplication(t *testing.T) {
	t.Parallel()
	require.Equal(t, "shop-by-city-repartition", topology.RepartitionTopic("shop", "by-city"))
	require.Equal(t, "shop-per-city-changelog", topology.ChangelogTopic("shop", "per-city"))
}
