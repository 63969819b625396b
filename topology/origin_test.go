package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/topology"
)

// The bytes of the first release: records in repartition topics outlive an upgrade.
func TestOriginHeader_HasTheRecordedForm(t *testing.T) {
	t.Parallel()
	value := []byte("\x01\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x2ain")
	rest, from, ok := topology.SplitOrigin([]topology.Header{{Key: "__weir.origin", Value: value}})
	require.True(t, ok)
	require.Empty(t, rest)
	require.Equal(t, dlq.Origin{Topic: "in", Partition: 7, Offset: 42}, from)
}

func TestSplitOrigin_LeavesOtherHeaders(t *testing.T) {
	t.Parallel()
	tests := map[string][]topology.Header{
		"none":                nil,
		"another":             {{Key: "trace", Value: make([]byte, 20)}},
		"not the last":        {{Key: topology.OriginHeader, Value: append([]byte{1}, make([]byte, 20)...)}, {Key: "trace"}},
		"too short":           {{Key: topology.OriginHeader, Value: append([]byte{1}, make([]byte, 11)...)}},
		"empty":               {{Key: topology.OriginHeader}},
		"of a later version":  {{Key: topology.OriginHeader, Value: append([]byte{2}, make([]byte, 20)...)}},
		"of another spelling": {{Key: "__Weir.origin", Value: append([]byte{1}, make([]byte, 20)...)}},
	}
	for name, headers := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rest, from, ok := topology.SplitOrigin(headers)
			require.False(t, ok)
			require.Equal(t, headers, rest)
			require.Zero(t, from)
		})
	}
}

func FuzzSplitOrigin(f *testing.F) {
	f.Add("__weir.origin", []byte("\x01\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x2ain"))
	f.Add("__weir.origin", []byte{1})
	f.Add("trace", []byte("t1"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		headers := []topology.Header{{Key: "first"}, {Key: key, Value: value}}
		rest, from, ok := topology.SplitOrigin(headers)
		if !ok {
			require.Equal(t, headers, rest)
			require.Zero(t, from)
			return
		}
		require.Equal(t, headers[:1], rest)
		require.Equal(t, topology.OriginHeader, key)
		require.Len(t, value, 13+len(from.Topic))
	})
}
