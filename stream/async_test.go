package stream_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// shout is a call that fails for the value "bad" and panics for "worse".
func shout(_ context.Context, k, v string) (string, error) {
	switch v {
	case "bad":
		return "", errBad
	case "worse":
		panic(errBad)
	case "skip":
		return "", stream.ErrSkip
	case "reject":
		return "", dlq.Reject("no-voice", errBad)
	}
	return k + strings.ToUpper(v), nil
}

func TestMapValuesAsync(t *testing.T) {
	t.Parallel()
	runLines(t, []lineCase{
		{"gives each record a new value, in order", func(s lineStream) lineStream { return s.MapValuesAsync(shout) },
			[]string{"a=x@1", "b=y@2", "a=z@3"}, []string{"a=aX@1", "b=bY@2", "a=aZ@3"}, nil},
		{"passes tombstones uncalled, and calls for records without a key", func(s lineStream) lineStream { return s.MapValuesAsync(shout) },
			[]string{"a=null@1", "null=x@2"}, []string{"a=null@1", "null=X@2"}, nil},
		{"skips", func(s lineStream) lineStream { return s.MapValuesAsync(shout, stream.OnError(dlq.Skip())) },
			[]string{"a=skip@1", "a=bad@2", "a=worse@3", "a=x@4"}, []string{"a=aX@4"}, map[string]int64{"skipped": 1, "failed": 2}},
		{"stands behind all that is pure", func(s lineStream) lineStream {
			yes, no := s.Filter(func(_, v string) bool { return v != "no" }).
				FilterNot(func(_, v string) bool { return v == "not" }).
				MapValues(strings.ToLower).
				FlatMapValues(strings.Fields).
				Split(func(_, v string) bool { return v < "m" })
			branches, rest := no.Branch(func(_, v string) bool { return v < "t" })
			return yes.Merge(branches[0], rest).
				Map(func(k, v string) (string, string) { return v, k }).
				SelectKey(func(_, v string) string { return v }).
				MapValuesAsync(shout)
		}, []string{"k=A z n@1", "k=no@2"}, []string{"k=kK@1", "k=kK@1", "k=kK@1"}, nil},
	})
}

func TestMapValuesAsync_ShowsNullsOfNullableTypes(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(optional("in")).MapValuesAsync(func(_ context.Context, _ string, v *string) (*string, error) {
		if s := orNil(v); s != "none" {
			return &s, nil
		}
		return nil, nil
	}).To(optional("out"))
	d := start(t, b)
	feed(t, d, "in", "a=null@1", "a=none@2", "a=x@3")
	require.Equal(t, []string{"a=nil@1", "a=null@2", "a=x@3"}, read(d, "out"))
}

func TestMapValuesAsync_KeepsThePartitioning(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	st := state.KeyValue("counts", lines("in").Key(), numbers("n").Value())
	b.Stream(lines("in")).MapValuesAsync(shout).GroupByKey().Count(st).ToStream().To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "a=x@1", "a=y@2")
	require.Equal(t, []string{"a=1@1", "a=2@2"}, read(d, "out"))
}

func TestMapValuesAsync_SendsWhatItRejects(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).MapValuesAsync(shout, stream.Named("voice")).To(lines("out"))
	top, err := b.Build()
	require.NoError(t, err)
	require.Equal(t, []string{"in"}, top.DeadLetterSources())
	d := streamtest.New(t, top)
	feed(t, d, "in", "a=reject@1", "a=x@2")
	letters := d.DeadLetters("in")
	require.Len(t, letters, 1)
	require.Equal(t, "voice", letters[0].Node)
	require.Equal(t, "no-voice", letters[0].Reason)
	require.ErrorIs(t, tryFeed(t, d, "in", "a=bad@3"), errBad)
}

func TestMapValuesAsync_RetriesAndSurvivesACrash(t *testing.T) {
	t.Parallel()
	calls := map[string]int{}
	b := stream.NewBuilder().OnError(dlq.Retry(2, dlq.Constant(time.Second)))
	b.Stream(lines("in")).MapValuesAsync(func(ctx context.Context, _, v string) (string, error) {
		if calls[v]++; calls[v] == 1 {
			return "", errBad
		}
		require.EqualValues(t, 0, stream.Metadata(ctx).Partition)
		return v, nil
	}).To(lines("out"))
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "a=x@1", "b=y@2")
	d.Advance(time.Second)
	d.Crash()
	d.Restart()
	d.Advance(time.Second)
	d.Commit()
	require.Equal(t, []string{"a=x@1", "b=y@2"}, read(d, "out"))
	require.Equal(t, map[string]int{"x": 3, "y": 2}, calls)
}

func TestTimeout_EndsTheCallAndIsNamed(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).MapValuesAsync(func(ctx context.Context, _, _ string) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}, stream.Timeout(time.Millisecond)).To(lines("out"))
	err := tryFeed(t, start(t, b), "in", "a=x@1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "call ended by its Timeout of 1ms")
}

func TestMapValuesAsync_BuildRefuses(t *testing.T) {
	t.Parallel()
	const pure = " cannot run ahead: put a Repartition between the two"
	for name, c := range map[string]struct {
		program func(s lineStream)
		want    string
	}{
		"a processor upstream": {func(s lineStream) {
			s.ProcessValues(func(n *stream.ValueNode[string, string]) (func(context.Context, lineRecord) error, error) {
				return func(_ context.Context, r lineRecord) error { return n.Forward(r.Value) }, nil
			}).Filter(func(_, _ string) bool { return true }).MapValuesAsync(shout)
		}, "the process-values at async_test.go:"},
		"a Try form": {func(s lineStream) {
			s.TryMapValues(shout).MapValuesAsync(shout)
		}, "the map-values at async_test.go:"},
		"a Peek": {func(s lineStream) {
			s.Peek(func(_, _ string) {}).MapValuesAsync(shout)
		}, "the peek at async_test.go:"},
		"another one": {func(s lineStream) {
			s.MapValuesAsync(shout).MapValues(strings.ToLower).MapValuesAsync(shout)
		}, "the map-values-async at async_test.go:"},
		"an aggregation": {func(s lineStream) {
			s.GroupByKey().Reduce(func(_, v string) string { return v }, state.KeyValue("st", lines("").Key(), lines("").Value())).
				ToStream().MapValuesAsync(shout)
		}, "the to-stream at async_test.go:"},
		"on one of two ways": {func(s lineStream) {
			s.Merge(s.Peek(func(_, _ string) {})).MapValuesAsync(shout)
		}, "the peek at async_test.go:"},
		"no concurrency": {func(s lineStream) { s.MapValuesAsync(shout, stream.Concurrency(0)) }, "Concurrency(0): use 1 or more"},
		"no time":        {func(s lineStream) { s.MapValuesAsync(shout, stream.Timeout(0)) }, "Timeout(0s): use a positive duration"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			c.program(b.Stream(lines("in")))
			_, err := b.Build()
			require.ErrorContains(t, err, "async_test.go:")
			require.ErrorContains(t, err, "map-values-async")
			require.ErrorContains(t, err, c.want)
			if strings.HasPrefix(c.want, "the ") {
				require.ErrorContains(t, err, pure)
			}
		})
	}
}

func TestMapValuesAsync_StandsBehindARepartition(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).Peek(func(_, _ string) {}).Repartition(through("between")).MapValuesAsync(shout).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "a=x@1")
	require.Equal(t, []string{"a=aX@1"}, read(d, "out"))
}

func TestMapValuesAsync_OfAZeroHandleIsAZeroHandle(t *testing.T) {
	t.Parallel()
	var s lineStream
	s.MapValuesAsync(shout).To(lines("out"))
	_, err := stream.NewBuilder().Build()
	require.ErrorContains(t, err, "the topology is empty")
}
