package stream_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// each reads digits: the partitions that the value names.
func each(_, v string, _ int32) (to []int32) {
	for _, c := range v {
		to = append(to, c-'0')
	}
	return to
}

// places returns the new records of a topic with their partitions.
func places(d *streamtest.Driver, topic string) []string {
	out := []string{}
	for _, r := range d.ReadRaw(topic) {
		out = append(out, fmt.Sprintf("%d: %s=%s", r.Partition, orNull(r.Key), orNull(r.Value)))
	}
	return out
}

func TestPartitionsBy_WritesToEachPartitionThatTheFunctionNames(t *testing.T) {
	t.Parallel()
	none := stream.PartitionBy(func(string, string, int32) int32 { panic("PartitionsBy wins") })
	b := stream.NewBuilder()
	b.Stream(lines("in")).To(lines("out"), none, stream.PartitionsBy(each), stream.Named("spread"))
	d := start(t, b, streamtest.Partitions("out", 3))
	feed(t, d, "in", "k=02@1", "l=1@2", "m=@3", "null=null@4")
	require.Equal(t, []string{"0: k=02", "1: l=1", "2: k=02"}, places(d, "out"))
	require.EqualValues(t, 2, d.Dropped("no-partition"))
	require.ErrorContains(t, tryFeed(t, d, "in", "k=13@5"), `partition 3 of topic "out": PartitionsBy must return some of 0 to 2`)
	require.Empty(t, read(d, "out"), "all of a record's copies, or none")
}

func TestPartitionsBy_AsksForTheTopicOfEachRecord(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Skip())
	all := func(_, _ string, n int32) (to []int32) {
		for p := range n {
			to = append(to, p)
		}
		return to
	}
	b.Stream(lines("in")).ToDynamic(func(k, _ string) string { return "out-" + k }, lines("any"), stream.PartitionsBy(all))
	d := start(t, b, streamtest.Partitions("out-b", 2))
	feed(t, d, "in", "a=1@1", "b=2@2", "no/topic=3@3")
	require.Equal(t, []string{"0: a=1"}, places(d, "out-a"))
	require.Equal(t, []string{"0: b=2", "1: b=2"}, places(d, "out-b"))
	require.EqualValues(t, 1, d.Dropped("failed"))
}

func TestBuild_RefusesAPartitionsByOfOtherTypes(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	s := b.Stream(lines("in"))
	wrong := stream.PartitionsBy(func(string, int64, int32) []int32 { return nil })
	pos := here()
	s.To(lines("out"), wrong)
	file, line, _ := strings.Cut(pos, ":")
	next := 0
	_, err := fmt.Sscan(line, &next)
	require.NoError(t, err)
	requireFault(t, b, fmt.Sprintf("%s:%d", file, next+1),
		"to: PartitionsBy is given a func(string, int64, int32) []int32 here: it must be a func(string, string, int32) []int32")
}

func TestPartitionBy_ChoosesThePartitionOfARepartition(t *testing.T) {
	t.Parallel()
	byLength := stream.PartitionBy(func(k, _ string, n int32) int32 { return int32(len(k)) % n })
	b := stream.NewBuilder()
	s := b.Stream(lines("in"))
	s.Repartition(through("moved").Partitions(3), byLength).To(lines("out"))
	s.GroupBy(byValue, through("grouped").Partitions(3), byLength).Count(numberStore("counts")).ToStream().To(numbers("counted"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "kk=bb@2", "kkk=bb@3", "kkkk=cccc@4")
	require.Equal(t, []string{"0: kkk=bb", "1: k=a", "1: kkkk=cccc", "2: kk=bb"}, places(d, "test-moved-repartition"))
	require.Equal(t, []string{"1: a=a", "1: cccc=cccc", "2: bb=bb", "2: bb=bb"}, places(d, "test-grouped-repartition"))
	require.ElementsMatch(t, []string{"a=1@1", "bb=1@2", "bb=2@3", "cccc=1@4"}, read(d, "counted"))
	n, ok, err := streamtest.KeyValue(d, numberStore("counts"), 2).Get("bb")
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 2, n)
}

func TestKeepsPartitioning_AsksForNoRepartition(t *testing.T) {
	t.Parallel()
	keeps := stream.KeepsPartitioning()
	upper := strings.ToUpper
	one := func(k, v string) iter.Seq2[string, string] {
		return func(yield func(string, string) bool) { yield(upper(k), v) }
	}
	forward := func(n *lineNode) (lineFunc, error) {
		return func(_ context.Context, r lineRecord) error {
			r.Key = upper(r.Key)
			return n.Forward(r)
		}, nil
	}
	tests := map[string]func(s lineStream, o ...stream.KeyChange) lineStream{
		"map": func(s lineStream, o ...stream.KeyChange) lineStream {
			return s.Map(func(k, v string) (string, string) { return upper(k), v }, keyOptions(o)...)
		},
		"select-key": func(s lineStream, o ...stream.KeyChange) lineStream {
			return s.SelectKey(func(k, _ string) string { return upper(k) }, keyOptions(o)...)
		},
		"flat-map": func(s lineStream, o ...stream.KeyChange) lineStream { return s.FlatMap(one, keyOptions(o)...) },
		"process": func(s lineStream, o ...stream.KeyChange) lineStream {
			if len(o) > 0 {
				return s.Process(forward, o[0])
			}
			return s.Process(forward)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			change(b.Stream(lines("in")), keeps).GroupByKey().Count(numberStore("counts")).ToStream().To(numbers("out"))
			d := start(t, b, streamtest.Partitions("in", 3), streamtest.Partitions("out", 3))
			feed(t, d, "in", "k=a@1", "l=b@2", "k=c@3")
			require.ElementsMatch(t, []string{"K=1@1", "L=1@2", "K=2@3"}, read(d, "out"))
			require.NotContains(t, strings.Join(d.Topics(), " "), "repartition")

			b = stream.NewBuilder()
			change(b.Stream(lines("in"))).GroupByKey()
			require.Contains(t, faults(t, b), "needs the stream partitioned by its key, which the "+name)

			b = stream.NewBuilder()
			moved := b.Stream(lines("in")).SelectKey(byValue)
			change(moved, keeps).GroupByKey()
			require.Contains(t, faults(t, b), "which the select-key", "it keeps what partitioning there is: none")
		})
	}
}

func keyOptions(changes []stream.KeyChange) (opts []stream.KeyOption) {
	for _, o := range changes {
		opts = append(opts, o)
	}
	return opts
}

func ExamplePartitionsBy() {
	b := stream.NewBuilder()
	toAll := func(_, _ string, n int32) (partitions []int32) {
		for p := range n {
			partitions = append(partitions, p)
		}
		return partitions
	}
	b.Stream(words).To(out, stream.PartitionsBy(toAll)) // each partition's reader gets every word
	run(b, "words k=hello@1")
	// Output:
	// out k=hello@1
}
