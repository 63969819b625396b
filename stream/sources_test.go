package stream_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func linesLike(expression string) stream.TopicPattern[string, string] {
	return stream.NewTopicPattern(expression, serde.String(), serde.String())
}

func lineCounts(name string) state.KeyValueSpec[string, int64] {
	return state.KeyValue(name, serde.String(), decimal())
}

func TestStreamAll_ReadsSeveralTopicsAsOne(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.StreamAll([]stream.Topic[string, string]{lines("a"), lines("b")}, stream.Named("both"),
		stream.TimestampFrom(func(_, _ string) time.Time { return at(7) })).To(lines("out"))
	d := start(t, b)
	feed(t, d, "a", "k=1@1", "k=null@3")
	feed(t, d, "b", "k=2@1")
	require.Equal(t, []string{"k=1@7", "k=null@3", "k=2@7"}, read(d, "out"))
}

func TestStreamPattern_ReadsTheTopicsThatMatch(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Send())
	topics := []string{}
	b.StreamPattern(linesLike("orders-.*")).TryPeek(func(ctx context.Context, _, v string) error {
		topics = append(topics, stream.Metadata(ctx).Topic)
		return failOnBad(ctx, "", v)
	}).GroupByKey().Count(lineCounts("counts")).ToStream().To(numbers("orders-out"))
	top, err := b.Build()
	require.NoError(t, err)
	d := streamtest.New(t, top, streamtest.Partitions("orders-eu", 2), streamtest.Partitions("orders-us", 2), streamtest.Partitions("orders-out", 2),
		streamtest.Partitions("orders-eu.dlq", 1), streamtest.Partitions("old-orders-eu", 2), streamtest.ManualCommit())
	feed(t, d, "orders-eu", "k=1@1", "k=bad@2")
	feed(t, d, "orders-us", "k=2@2")
	d.Commit()
	feed(t, d, "orders-us", "k=3@3")
	d.Crash()
	d.LoseDisk()
	d.Restart()
	d.Commit()
	require.Equal(t, []string{"k=1@1", "k=2@2", "k=3@3"}, read(d, "orders-out"))
	require.Equal(t, []string{"orders-eu", "orders-eu", "orders-us", "orders-us", "orders-us"}, topics)
	require.Len(t, d.DeadLetters("orders-eu"), 1)
}

func TestStreamPattern_FeedsCallsMadeAhead(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.StreamPattern(linesLike("in-[0-9]")).MapValuesAsync(shout).To(lines("out"))
	b.StreamPattern(linesLike("in-[0-9]")).To(lines("copy"))
	d := start(t, b, streamtest.Partitions("in-1", 1), streamtest.Partitions("in-2", 1))
	feed(t, d, "in-1", "k=x@1")
	feed(t, d, "in-2", "k=y@1")
	require.Equal(t, []string{"k=kX@1", "k=kY@1"}, read(d, "out"))
	require.Len(t, read(d, "copy"), 2, "two sources of one pattern are one")
}

func TestStreamPattern_IdleInputsLetTimeGoOn(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.StreamPattern(linesLike("in-.*"), stream.IdleAfter(time.Second)).
		Process(func(n *lineNode) (func(context.Context, lineRecord) error, error) {
			n.EveryStreamTime(2*time.Second, func(now time.Time) error {
				return n.Forward(lineRecord{Key: "now", Value: "tick", Timestamp: now})
			})
			return func(context.Context, lineRecord) error { return nil }, nil
		}).To(lines("out"))
	d := start(t, b, streamtest.Partitions("in-1", 1), streamtest.Partitions("in-2", 1))
	feed(t, d, "in-2", "k=x@1")
	require.Equal(t, []string{"now=tick@1"}, read(d, "out"))
	d.Advance(3 * time.Second)
	require.Equal(t, []string{"now=tick@3001"}, read(d, "out"))
}

func TestSources_BuildRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		program func(b *stream.Builder)
		want    string
	}{
		"no topics":       {func(b *stream.Builder) { b.StreamAll([]stream.Topic[string, string]{}) }, "there are no topics"},
		"an empty topic":  {func(b *stream.Builder) { b.StreamAll(make([]stream.Topic[string, string], 1)) }, "the topic's descriptor is empty"},
		"an empty handle": {func(b *stream.Builder) { b.StreamPattern(stream.TopicPattern[string, string]{}) }, "the pattern's descriptor is empty"},
		"a bad expression": {func(b *stream.Builder) {
			b.StreamPattern(linesLike("a(")).MapValues(strings.ToUpper).To(lines("out"))
		}, "error parsing regexp: missing closing )"},
		"no serde": {func(b *stream.Builder) {
			b.StreamPattern(stream.NewTopicPattern[string, string]("a.*", nil, nil))
		}, "has no serde for its key or its value"},
		"a pattern with other types": {func(b *stream.Builder) {
			b.StreamPattern(linesLike("a.*"))
			b.StreamPattern(stream.NewTopicPattern("a.*", serde.String(), serde.Int64()))
		}, "as string and string: read it once"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			c.program(b)
			_, err := b.Build()
			require.ErrorContains(t, err, "sources_test.go:")
			require.ErrorContains(t, err, c.want)
		})
	}
}

// Keys of several topics meet in one store only where their topics are partitioned alike.
func TestGroupByKey_NeedsTheTopicsCopartitioned(t *testing.T) {
	t.Parallel()
	for name, program := range map[string]func(s lineStream){
		"group-by-key": func(s lineStream) { s.GroupByKey().Count(lineCounts("st")) },
		"to-table":     func(s lineStream) { s.ToTable(state.KeyValue("st", serde.String(), serde.String())) },
	} {
		for _, pattern := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := stream.NewBuilder()
				if pattern {
					program(b.StreamPattern(linesLike("one|two")))
				} else {
					program(b.StreamAll([]stream.Topic[string, string]{lines("one"), lines("two")}))
				}
				top, err := b.Build()
				require.NoError(t, err)
				top, err = top.Resolve("app", nil, []string{"two", "one"})
				require.NoError(t, err)
				partitions := func(n int32) func(string) (int32, bool) {
					return func(topic string) (int32, bool) {
						if topic == "one" {
							return 1, true
						}
						return n, true
					}
				}
				_, err = top.Plan("app", partitions(2))
				require.ErrorContains(t, err, name+`: topics are not co-partitioned: "one" has 1, "two" has 2`)
				require.ErrorContains(t, err, "sources_test.go:")
				_, err = top.Plan("app", partitions(1))
				require.NoError(t, err)
			})
		}
	}
}

// A repartition that is merged with a topic takes its number of partitions.
func TestGroupByKey_GivesARepartitionThePartitionsOfItsMate(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("one")).Merge(b.Stream(lines("two")).Repartition(through("r"))).GroupByKey().Count(lineCounts("st"))
	top, err := b.Build()
	require.NoError(t, err)
	plan, err := top.Plan("app", func(topic string) (int32, bool) { return map[string]int32{"one": 3, "two": 5}[topic], true })
	require.NoError(t, err)
	require.EqualValues(t, 3, plan.Partitions["app-r-repartition"])
}
