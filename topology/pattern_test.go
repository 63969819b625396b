package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/topology"
)

func like(expression string) topology.TopicPattern[string, string] {
	return topology.NewTopicPattern(expression, serde.String(), serde.String())
}

func readLike(b *topology.Builder, expression string) topology.Port[string, string] {
	return b.SourcePattern(like(expression), topology.SourceSpec[string, string]{NodeSpec: topology.NodeSpec{Op: "stream-pattern", Pos: expression + ".go:1"}})
}

func readNames(top *topology.Topology) []string {
	out := []string{}
	for _, s := range top.Subtopologies() {
		for _, t := range s.SourceTopics("shop") {
			out = append(out, t.Name)
		}
	}
	return out
}

func TestResolve_FindsWhatMatchesAndMayBeRead(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) {
		b.OnError(dlq.SendTo("letters-of-all"))
		p := readLike(b, ".*")
		write(p, text("out"))
		p.Through(rekey("r"), via("repartition", ""))
	})
	existing := []string{
		"in-2", "in-1", "in-1", "in-1.dlq", "out", "letters-of-all", "shop-r-repartition", "shop-counts-changelog", "shop-window", "other-r-repartition", "gone.dlq",
	}
	resolved, err := top.Resolve("shop", nil, existing)
	require.NoError(t, err)
	require.Equal(t, []string{"in-1", "in-2", "other-r-repartition", "shop-window", "shop-r-repartition"}, readNames(resolved))
	require.Equal(t, []string{"shop-r-repartition"}, readNames(top), "the topology itself stays as it is")
	require.Equal(t, []string{"in-1", "in-2", "other-r-repartition", "shop-window"}, resolved.DeadLetterSources())
	resolved, err = top.Resolve("shop", func(source string) string { return "failed-" + source }, []string{"a", "failed-a", "b.dlq", "failed-c"})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b.dlq", "failed-c", "shop-r-repartition"}, readNames(resolved))
}

func TestResolve_MatchesWholeNames(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) { readLike(b, "a|b+") })
	resolved, err := top.Resolve("shop", nil, []string{"a", "ab", "xa", "bbb"})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "bbb"}, readNames(resolved))
}

func TestResolve_Refuses(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) {
		readLike(b, "in-.*")
		readLike(b, ".*-1")
		readLike(b, "none")
		read(b, text("in-2"))
	})
	_, err := top.Resolve("shop", nil, []string{"in-1", "in-2", "in-3"})
	require.ErrorContains(t, err, `in-.*.go:1: topic "in-2" matches the pattern "in-.*" and is read by the stream at in-2.go:1`)
	require.ErrorContains(t, err, `.*-1.go:1: topic "in-1" matches the pattern ".*-1" and is read by the stream-pattern at in-.*.go:1`)
	require.ErrorContains(t, err, `none.go:1: no topic matches the pattern "none": create one before the start`)
	_, err = top.Plan("shop", func(string) (int32, bool) { return 1, true })
	require.ErrorContains(t, err, "call Resolve first")
}

func TestResolve_LeavesATopologyWithoutPatternsAsItIs(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) { read(b, text("in")) })
	resolved, err := top.Resolve("shop", nil, nil)
	require.NoError(t, err)
	require.Same(t, top, resolved)
}

func TestResolve_PlansAndWiresEachTopic(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) {
		p := readLike(b, "in-.*")
		write(p, text("out"))
		p.Through(rekey("r"), via("repartition", ""))
	})
	one, err := top.Resolve("shop", nil, []string{"in-1"})
	require.NoError(t, err)
	two, err := top.Resolve("shop", nil, []string{"in-1", "in-2"})
	require.NoError(t, err)
	require.Equal(t, one.Signature(), two.Signature(), "a topic that appears is no other program")
	require.Equal(t, top.Signature(), two.Signature())
	require.Equal(t, top.Describe(), two.Describe())
	plan, err := two.Plan("shop", func(topic string) (int32, bool) { return map[string]int32{"in-1": 2, "in-2": 3}[topic], true })
	require.NoError(t, err)
	require.EqualValues(t, 3, plan.Partitions["shop-r-repartition"])
	require.Equal(t, topology.TaskPlan{ID: topology.TaskID{Partition: 1}, Topics: []string{"in-1", "in-2"}}, plan.Tasks[1])
	require.Equal(t, topology.TaskPlan{ID: topology.TaskID{Partition: 2}, Topics: []string{"in-2"}}, plan.Tasks[2])
	h := newHost(t)
	inputs, err := two.Wire(h, two.Subtopologies()...)
	require.NoError(t, err)
	require.Len(t, inputs, 3)
	for i, topic := range []string{"in-1", "in-2"} {
		require.Equal(t, topic, inputs[i].Topic)
		require.NoError(t, inputs[i].Decode(&topology.Raw{Key: []byte("k"), Value: []byte(topic)}))
	}
	require.NoError(t, inputs[0].Process())
	require.Equal(t, "in-1", string(h.outputs[0].Value), "each input has a head of its own")
}

func TestDescribe_ShowsPatterns(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) {
		b.OnError(dlq.Send())
		write(readLike(b, "in-.*"), text("out"))
	})
	d := top.Describe()
	require.Contains(t, d.String(), "reads topics like in-.* (string, string)")
	require.Contains(t, d.String(), "may send dead letters of in-.*")
	require.Contains(t, d.Mermaid(), "topics like in-.")
	require.True(t, d.Reads[0].Pattern)
}
