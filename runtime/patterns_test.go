package runtime

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// likeTopology counts the records of all topics of a prefix.
func likeTopology(t *testing.T, prefix, out string) *topology.Topology {
	t.Helper()
	s := stream.NewBuilder()
	s.StreamPattern(stream.NewTopicPattern(regexp.QuoteMeta(prefix)+"-.*", serde.String(), serde.String())).
		GroupByKey().Count(state.KeyValue("counts", serde.String(), serde.Int64())).
		ToStream().To(stream.NewTopic(out, serde.String(), serde.Int64()))
	return built(t, s)
}

func TestPatterns_NewTopicsAreReadWhenTheInstancesHaveStartedAnew(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	prefix, id := b.Name("orders"), b.Name("app")
	eu, us, out := prefix+"-eu", prefix+"-us", b.Name("out")
	b.Create(eu, 2)
	b.Create(out, 2)
	send := func(topic string, n int) {
		for i := range n {
			b.Produce(&kgo.Record{Topic: topic, Partition: int32(i % 2), Key: []byte{'k', byte('0' + i%2)}, Value: []byte("v")})
		}
	}
	one, two := quick(b, id), quick(b, id)
	one.StateDir, two.StateDir = t.TempDir(), t.TempDir()
	first := launch(t, likeTopology(t, prefix, out), one)
	second := launch(t, likeTopology(t, prefix, out), two)
	awaitShares(b, []int{1, 1}, first, second)
	send(eu, 10)
	b.Eventually("what is there is read", func() bool { return b.Behind(id, eu) == 0 && committedOf(b, out) >= 10 })
	b.Create(us, 2)
	send(us, 10)
	for range 2 {
		first.app.lookForTopics(t.Context())
	}
	require.Equal(t, []string{us}, first.app.Stats().NewTopics)
	second.end()
	second = launch(t, likeTopology(t, prefix, out), two) // one of the two knows the new topic
	awaitShares(b, []int{1, 1}, first, second)
	send(eu, 10)
	b.Eventually("the old topic is read", func() bool { return b.Behind(id, eu) == 0 })
	first.end()
	first = launch(t, likeTopology(t, prefix, out), one)
	awaitShares(b, []int{1, 1}, first, second)
	b.Eventually("the new topic is read", func() bool { return b.Behind(id, us) == 0 && b.Behind(id, eu) == 0 })
	require.Empty(t, first.app.Stats().NewTopics)
	first.end()
	second.end()
	last := map[string]int64{}
	for _, r := range b.Read(out) {
		n := decodeCount(t, r)
		require.Equal(t, last[string(r.Key)]+1, n, "each record is counted once")
		last[string(r.Key)] = n
	}
	require.Equal(t, map[string]int64{"k0": 15, "k1": 15}, last)
}

func TestPatterns_MustMatchAtTheStart(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	out := b.Name("out")
	b.Create(out, 1)
	i := launch(t, likeTopology(t, b.Name("none"), out), quick(b, b.Name("app")))
	require.ErrorContains(t, i.wait(), "no topic matches the pattern")
}
