package topology_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A cluster is the number of partitions of its topics.
type cluster map[string]int32

func (c cluster) partitions(topic string) (int32, bool) {
	n, ok := c[topic]
	return n, ok
}

func plan(t *testing.T, c cluster, program func(b *topology.Builder)) *topology.Plan {
	t.Helper()
	p, err := build(t, program).Plan("shop", c.partitions)
	require.NoError(t, err)
	return p
}

func internal(t *testing.T, p *topology.Plan, name string) topology.InternalTopic {
	t.Helper()
	for _, i := range p.Internal {
		if i.Name == name {
			return i
		}
	}
	require.FailNow(t, "no internal topic", name)
	return topology.InternalTopic{}
}

func TestPlan_HasATaskForEachSubtopologyAndPartition(t *testing.T) {
	t.Parallel()
	p := plan(t, cluster{"orders": 2}, func(b *topology.Builder) {
		in := read(b, text("orders"))
		write(in.Through(rekey("by-city").Partitions(3), via("repartition", "r")), text("out"))
	})
	require.Equal(t, []topology.TaskPlan{
		{ID: topology.TaskID{Subtopology: 0, Partition: 0}, Topics: []string{"orders"}},
		{ID: topology.TaskID{Subtopology: 0, Partition: 1}, Topics: []string{"orders"}},
		{ID: topology.TaskID{Subtopology: 1, Partition: 0}, Topics: []string{"shop-by-city-repartition"}},
		{ID: topology.TaskID{Subtopology: 1, Partition: 1}, Topics: []string{"shop-by-city-repartition"}},
		{ID: topology.TaskID{Subtopology: 1, Partition: 2}, Topics: []string{"shop-by-city-repartition"}},
	}, p.Tasks)
}

func TestPlan_GivesATaskOnlyTheTopicsThatHaveItsPartition(t *testing.T) {
	t.Parallel()
	p := plan(t, cluster{"a": 1, "b": 2}, func(b *topology.Builder) {
		topology.Merge(node("merge", "m"), read(b, text("a")), read(b, text("b")))
	})
	require.Equal(t, []topology.TaskPlan{
		{ID: topology.TaskID{}, Topics: []string{"a", "b"}},
		{ID: topology.TaskID{Partition: 1}, Topics: []string{"b"}},
	}, p.Tasks)
}

func TestPlan_ConfiguresInternalTopics(t *testing.T) {
	t.Parallel()
	p := plan(t, cluster{"orders": 4}, counted)
	require.Equal(t, topology.InternalTopic{
		Name: "shop-by-city-repartition", Partitions: 12,
		Config: map[string]string{
			"cleanup.policy": "delete", "retention.ms": "-1", "segment.bytes": "52428800",
			"message.timestamp.type": "CreateTime", "message.timestamp.before.max.ms": "9223372036854775807",
			"message.timestamp.after.max.ms": "9223372036854775807",
		},
	}, internal(t, p, "shop-by-city-repartition"))
	require.Equal(t, topology.InternalTopic{
		Name: "shop-per-city-changelog", Partitions: 12, Store: "per-city",
		Config: map[string]string{
			"cleanup.policy": "compact", "message.timestamp.type": "CreateTime",
			"message.timestamp.before.max.ms": "9223372036854775807", "message.timestamp.after.max.ms": "9223372036854775807",
		},
	}, internal(t, p, "shop-per-city-changelog"))
	// The retention of the store, 90 minutes, and a day.
	require.Equal(t, topology.InternalTopic{
		Name: "shop-recent-changelog", Partitions: 12, Store: "recent",
		Config: map[string]string{
			"cleanup.policy": "compact,delete", "retention.ms": "91800000", "message.timestamp.type": "LogAppendTime",
		},
	}, internal(t, p, "shop-recent-changelog"))
	require.Len(t, p.Internal, 3, "a store without a changelog has no topic")
	require.Equal(t, map[string]int32{
		"orders": 4, "shop-by-city-repartition": 12, "shop-per-city-changelog": 12, "shop-recent-changelog": 12,
	}, p.Partitions)
}

func TestPlan_GivesAChangelogAsManyPartitionsAsThereAreTasks(t *testing.T) {
	t.Parallel()
	p := plan(t, cluster{"a": 3, "b": 5}, func(b *topology.Builder) {
		store := state.KeyValue("seen", serde.String(), serde.String())
		pass(read(b, text("a")), node("left", "left", store))
		pass(read(b, text("b")), node("right", "right", store))
	})
	require.Len(t, p.Tasks, 5)
	require.Equal(t, int32(5), internal(t, p, "shop-seen-changelog").Partitions)
}

func TestPlan_CountsThePartitionsOfARepartition(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		program func(b *topology.Builder) topology.Port[string, string]
		want    int32
	}{
		{"that of its one source", func(b *topology.Builder) topology.Port[string, string] {
			return read(b, text("two")).Through(rekey("r"), via("repartition", ""))
		}, 2},
		{"the largest of its sources", func(b *topology.Builder) topology.Port[string, string] {
			m := topology.Merge(node("merge", "m"), read(b, text("two")), read(b, text("six")), read(b, text("four")))
			return m.Through(rekey("r"), via("repartition", ""))
		}, 6},
		{"the largest across another repartition", func(b *topology.Builder) topology.Port[string, string] {
			first := read(b, text("six")).Through(rekey("first"), via("repartition", ""))
			return topology.Merge(node("merge", "m"), first, read(b, text("two"))).Through(rekey("r"), via("repartition", ""))
		}, 6},
		{"a fixed number upstream", func(b *topology.Builder) topology.Port[string, string] {
			first := read(b, text("six")).Through(rekey("first").Partitions(3), via("repartition", ""))
			return first.Through(rekey("r"), via("repartition", ""))
		}, 3},
		{"a number of its own", func(b *topology.Builder) topology.Port[string, string] {
			return read(b, text("two")).Through(rekey("r").Partitions(9), via("repartition", ""))
		}, 9},
		{"the topic it is joined with, though smaller", func(b *topology.Builder) topology.Port[string, string] {
			p := read(b, text("six")).Through(rekey("r"), via("repartition", ""))
			b.Copartition("join", "join.go:1", p, read(b, text("two")))
			return p
		}, 2},
		{"a fixed repartition it is joined with", func(b *topology.Builder) topology.Port[string, string] {
			p := read(b, text("six")).Through(rekey("r"), via("repartition", ""))
			other := read(b, text("two")).Through(rekey("other").Partitions(5), via("repartition", ""))
			b.Copartition("join", "join.go:1", p, other)
			return p
		}, 5},
		{"the larger of two that are joined", func(b *topology.Builder) topology.Port[string, string] {
			p := read(b, text("two")).Through(rekey("r"), via("repartition", ""))
			b.Copartition("join", "join.go:1", p, read(b, text("six")).Through(rekey("other"), via("repartition", "")))
			return p
		}, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := plan(t, cluster{"two": 2, "four": 4, "six": 6}, func(b *topology.Builder) { write(tt.program(b), text("out")) })
			require.Equal(t, tt.want, internal(t, p, "shop-r-repartition").Partitions)
		})
	}
}

func TestPlan_NamesEveryMissingTopic(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) {
		read(b, text("here"))
		read(b, text("lost"))
		read(b, text("gone"))
	})
	_, err := top.Plan("shop", cluster{"here": 1}.partitions)
	require.ErrorContains(t, err, `topic "lost" does not exist`)
	require.ErrorContains(t, err, "lost.go:1")
	require.ErrorContains(t, err, `topic "gone" does not exist`)
	require.ErrorContains(t, err, "gone.go:1")
	require.NotContains(t, err.Error(), "here")
}

func TestPlan_NamesTheJoinsWhoseTopicsAreUnequal(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) {
		one, two, three := read(b, text("one")), read(b, text("two")), read(b, text("three"))
		fixed := one.Through(rekey("fixed").Partitions(7), via("repartition", ""))
		b.Copartition("join", "first.go:10", one, two)
		b.Copartition("left-join", "second.go:20", two, three)
		b.Copartition("join-table", "third.go:30", fixed, two)
	})
	_, err := top.Plan("shop", cluster{"one": 1, "two": 2, "three": 2}.partitions)
	require.ErrorContains(t, err, `first.go:10: join: topics are not co-partitioned: "one" has 1, "two" has 2`)
	require.ErrorContains(t, err,
		`third.go:30: join-table: topics are not co-partitioned: "shop-fixed-repartition" has 7, "two" has 2`)
	require.NotContains(t, err.Error(), "second.go")
}

func TestPlan_IsTheSameEachTime(t *testing.T) {
	t.Parallel()
	top := build(t, joined)
	c := cluster{"clicks": 4, "views": 9}
	want, err := top.Plan("shop", c.partitions)
	require.NoError(t, err)
	require.Equal(t, int32(4), want.Partitions["shop-views-by-user-repartition"])
	for range 20 {
		got, err := top.Plan("shop", c.partitions)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestTaskID_RoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := topology.TaskID{
			Subtopology: rapid.IntRange(0, 1<<30).Draw(t, "subtopology"),
			Partition:   rapid.Int32Range(0, 1<<31-1).Draw(t, "partition"),
		}
		got, err := topology.ParseTaskID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, got)
	})
	require.Equal(t, "1_3", topology.TaskID{Subtopology: 1, Partition: 3}.String())
}

func TestParseTaskID_RejectsOtherForms(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "1", "_", "1_", "_3", "1_3_5", "-1_3", "1_-3", "a_3", "1_b", "1_2147483648", "1-3", " 1_3",
	} {
		_, err := topology.ParseTaskID(s)
		require.ErrorContains(t, err, "parse task id", "%q", s)
	}
}

func TestSubtopologies_AreConnectedByEdges(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) {
		write(read(b, text("a")), text("a-out"))
		x, y := read(b, text("x")), read(b, text("y"))
		topology.Merge(node("merge", "m"), x, y)
		write(y.Through(rekey("r"), via("repartition", "")), text("r-out"))
	})
	require.Equal(t, [][]string{{"a"}, {"x", "y"}, {"shop-r-repartition"}}, sourceNames(top))
}

func TestSubtopologies_AreConnectedByStores(t *testing.T) {
	t.Parallel()
	store := state.KeyValue("seen", serde.String(), serde.String())
	other := state.Window("other", serde.String(), serde.String()).Retention(time.Minute)
	top := build(t, func(b *topology.Builder) {
		pass(read(b, text("a")), node("a", "a", store))
		pass(read(b, text("b")), node("b", "b", other))
		p := pass(read(b, text("c")), node("c", "c"))
		p.AddStores(other, store)
	})
	require.Equal(t, [][]string{{"a", "b", "c"}}, sourceNames(top))
	var names []string
	for _, s := range top.Subtopologies()[0].Stores() {
		names = append(names, s.Info().Name)
	}
	require.Equal(t, []string{"seen", "other"}, names)
}

func sourceNames(top *topology.Topology) [][]string {
	var out [][]string
	for _, s := range top.Subtopologies() {
		var topics []string
		for _, src := range s.SourceTopics("shop") {
			topics = append(topics, src.Name)
		}
		out = append(out, topics)
	}
	return out
}

// The end of a window may be in the future, and brokers refuse records with such timestamps.
func TestPlan_LetsTheBrokerStampTheChangelogsOfBuffers(t *testing.T) {
	t.Parallel()
	p := plan(t, cluster{"orders": 1}, func(b *topology.Builder) {
		pass(read(b, text("orders")), node("hold", "hold", state.Buffer("held", serde.String(), serde.String())))
	})
	require.Equal(t, topology.InternalTopic{
		Name: "shop-held-changelog", Partitions: 1, Store: "held",
		Config: map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"},
	}, internal(t, p, "shop-held-changelog"))
}
