package stream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
	"github.com/weirstream/weir/topology"
)

var errBad = errors.New("bad value")

// failOnBad fails for the value "bad".
func failOnBad(_ context.Context, _, v string) error {
	if v == "bad" {
		return errBad
	}
	return nil
}

// guarded is a program with a node named "fussy" under the policies.
func guarded(t *testing.T, builder, operator dlq.Policy, opts ...streamtest.Option) *streamtest.Driver {
	t.Helper()
	b := stream.NewBuilder().OnError(builder)
	common := []stream.Option{stream.Named("fussy")}
	if operator != nil {
		common = append(common, stream.OnError(operator))
	}
	b.Stream(lines("in")).TryPeek(failOnBad, common...).To(lines("out"))
	return start(t, b, opts...)
}

func TestOnError_FailsByDefault(t *testing.T) {
	t.Parallel()
	d := guarded(t, nil, nil)
	feed(t, d, "in", "k=a@1")
	err := tryFeed(t, d, "in", "k=bad@2")
	require.ErrorIs(t, err, errBad)
	require.EqualError(t, err, `task 0_0: topic "in" partition 0 offset 1: process at node "fussy": bad value`)
	at, ok := errors.AsType[*task.RecordError](err)
	require.True(t, ok)
	require.EqualValues(t, 1, at.Offset)
	failure, ok := errors.AsType[*dlq.Failure](err)
	require.True(t, ok)
	require.Equal(t, &dlq.Failure{Node: "fussy", Stage: dlq.Process, Attempts: 1, Err: errBad}, failure)
	require.ErrorContains(t, tryFeed(t, d, "in", "k=b@3"), "the topology has failed")
	require.Equal(t, []string{"k=a@1"}, read(d, "out"))
}

func TestOnError_SkipDropsTheRecordCounted(t *testing.T) {
	t.Parallel()
	d := guarded(t, dlq.Skip(), nil)
	feed(t, d, "in", "k=a@1", "k=bad@2", "k=b@3")
	require.Equal(t, []string{"k=a@1", "k=b@3"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("failed"))
	require.Empty(t, d.DeadLetters("in"))
}

func TestOnError_SendWritesADeadLetter(t *testing.T) {
	t.Parallel()
	d := guarded(t, dlq.Send(), nil, streamtest.Application("shop"), streamtest.StartAt(at(5000)))
	header := stream.Header{Key: "h", Value: []byte("1")}
	feed(t, d, "in", "k=a@1")
	d.SendRaw("in", []byte("k"), []byte("bad"), at(2), header)
	feed(t, d, "in", "null=bad@3", "k=b@4")
	require.Equal(t, []string{"k=a@1", "k=b@4"}, read(d, "out"))
	letters := d.DeadLetters("in")
	require.Len(t, letters, 2)
	require.Equal(t, streamtest.DeadLetter{
		Key: []byte("k"), Value: []byte("bad"), Timestamp: at(2), Headers: []topology.Header{header},
		Letter: dlq.Letter{
			ApplicationID: "shop", Node: "fussy", Stage: dlq.Process, Attempts: 1, Reason: "processing-failed", Message: "bad value",
			Class: "error", Source: dlq.Origin{Topic: "in", Offset: 1}, FailedAt: at(5000),
		},
	}, letters[0])
	require.Nil(t, letters[1].Key)
	require.EqualValues(t, 2, d.Count("dead-letter", "processing-failed"))
}

func TestOnError_SendToWritesToItsTopic(t *testing.T) {
	t.Parallel()
	d := guarded(t, dlq.SendTo("hospital"), nil)
	feed(t, d, "in", "k=bad@2")
	require.Equal(t, []string{"k=bad@2"}, read(d, "hospital"))
	require.Empty(t, d.DeadLetters("in"))
}

func TestOnError_OfTheOperatorComesFirst(t *testing.T) {
	t.Parallel()
	d := guarded(t, dlq.Fail(), dlq.Skip())
	feed(t, d, "in", "k=bad@2", "k=b@3")
	require.Equal(t, []string{"k=b@3"}, read(d, "out"))
	d = guarded(t, dlq.Skip(), dlq.Fail())
	require.ErrorIs(t, tryFeed(t, d, "in", "k=bad@2"), errBad)
}

func TestOnError_RejectIsSentWhateverThePolicy(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]dlq.Policy{
		"none": nil, "Fail": dlq.Fail(), "Skip": dlq.Skip(), "SendTo": dlq.SendTo("hospital"),
		"Retry": dlq.Retry(3, dlq.Constant(time.Second)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder().OnError(policy)
			b.Stream(lines("in")).TryMapValues(func(context.Context, string, string) (string, error) {
				return "", fmt.Errorf("wrapped: %w", dlq.Reject("unknown-patient", errBad))
			}).To(lines("out"))
			d := start(t, b, streamtest.DeadLetters(func(source string) string { return "dead-" + source }))
			feed(t, d, "in", "k=a@1")
			letters := d.DeadLetters("in")
			require.Len(t, letters, 1)
			require.Equal(t, "unknown-patient", letters[0].Reason)
			require.Equal(t, 1, letters[0].Attempts)
			require.Equal(t, []string{"dead-in", "in"}, d.Topics())
		})
	}
}

func TestOnError_RetryHoldsThePartitionUpUntilTheRecordGoesThrough(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Retry(3, dlq.Exponential(time.Second, time.Minute)))
	var tries []string
	down := true
	b.Stream(lines("in")).TryPeek(func(_ context.Context, _, v string) error {
		tries = append(tries, v)
		if down && v == "bad" {
			return errBad
		}
		return nil
	}).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=bad@1", "k=b@2")
	require.Equal(t, []string{"bad"}, tries)
	d.Advance(time.Second - 1)
	require.Equal(t, []string{"bad"}, tries)
	d.Advance(1)
	require.Equal(t, []string{"bad", "bad"}, tries)
	d.Advance(time.Second)
	down = false
	require.Empty(t, read(d, "out"))
	d.Advance(time.Second)
	require.Equal(t, []string{"bad", "bad", "bad", "b"}, tries)
	require.Equal(t, []string{"k=bad@1", "k=b@2"}, read(d, "out"), "in order")
	require.EqualValues(t, 2, d.Count("retried", "process"))
	require.Zero(t, d.Dropped(""))
}

func TestOnError_RetryGivesUpAfterItsLastAttempt(t *testing.T) {
	t.Parallel()
	retry := dlq.Retry(2, dlq.Constant(time.Second))

	d := guarded(t, retry.Then(dlq.Send()), nil)
	feed(t, d, "in", "k=bad@1", "k=b@2")
	d.Advance(time.Second)
	require.Empty(t, d.DeadLetters("in"))
	d.Advance(time.Second)
	letters := d.DeadLetters("in")
	require.Len(t, letters, 1)
	require.Equal(t, 3, letters[0].Attempts)
	require.Equal(t, []string{"k=b@2"}, read(d, "out"))
	feed(t, d, "in", "k=bad@3")
	d.Advance(time.Second)
	d.Advance(time.Second)
	require.Equal(t, 3, d.DeadLetters("in")[0].Attempts, "the next record has retries of its own")

	d = guarded(t, retry, nil)
	feed(t, d, "in", "k=bad@1")
	d.Advance(time.Second)
	require.ErrorIs(t, d.TryAdvance(time.Second), errBad)
}

func TestOnError_RetryOfOnePartitionLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Retry(1, dlq.Constant(time.Second)).Then(dlq.Skip()))
	b.Stream(lines("a")).Merge(b.Stream(lines("b"))).TryPeek(failOnBad).To(lines("out"))
	d := start(t, b)
	feed(t, d, "a", "k=bad@1", "k=a@2")
	feed(t, d, "b", "k=b@9")
	require.Equal(t, []string{"k=b@9"}, read(d, "out"), "an input that waits holds nobody up")
	d.Advance(time.Second)
	require.Equal(t, []string{"k=a@2"}, read(d, "out"))
}

func TestOnError_OfTheBuilderDecidesAboutBytesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Send())
	b.Stream(numbers("in")).To(numbers("out"))
	b.Stream(stream.NewTopic("strict", decimal(), serde.String()), stream.OnError(dlq.Skip())).To(stream.NewTopic("out", decimal(), serde.String()))
	d := start(t, b)
	feed(t, d, "in", "k=1@1", "k=x@2", "k=2@3")
	feed(t, d, "strict", "x=1@1", "7=1@2")
	require.Equal(t, []string{"k=1@1", "k=2@3", "7=1@2"}, read(d, "out"))
	letters := d.DeadLetters("in")
	require.Len(t, letters, 1)
	require.Equal(t, dlq.Decode, letters[0].Stage)
	require.Equal(t, "deserialization-failed", letters[0].Reason)
	require.Equal(t, "in-source", letters[0].Node)
	require.Contains(t, letters[0].Message, "decode value as int64")
	require.Equal(t, "x", string(letters[0].Value))
	require.EqualValues(t, 1, d.Dropped("failed"))
}

func TestOnError_DecidesAboutValuesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	floats := stream.NewTopic("out", serde.String(), serde.JSON[float64]())
	b := stream.NewBuilder().OnError(dlq.Skip())
	zero := 0.0
	b.Stream(numbers("in")).MapValues(func(n int64) float64 { return float64(n) / zero }).To(floats, stream.OnError(dlq.Send()))
	d := start(t, b)
	feed(t, d, "in", "k=1@1")
	letters := d.DeadLetters("in")
	require.Len(t, letters, 1)
	require.Equal(t, dlq.Encode, letters[0].Stage)
	require.Equal(t, "serialization-failed", letters[0].Reason)
	require.Equal(t, "out-sink", letters[0].Node)
}

// The letter goes to the topic where the record entered the application, however many steps later it fails.
func TestOnError_SendsToTheDeadLetterTopicOfTheOrigin(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Send())
	b.Stream(lines("in")).
		SelectKey(func(_, v string) string { return v }).Repartition(through("one")).
		SelectKey(func(k, v string) string { return v + k }).Repartition(through("two").Partitions(2)).
		TryPeek(failOnBad, stream.Named("last")).
		To(lines("out"))
	d := start(t, b, streamtest.Partitions("in", 3))
	header := stream.Header{Key: "h", Value: []byte("1")}
	partition := topology.PartitionFor([]byte("k"), 3)
	d.SendRaw("in", []byte("k"), []byte("good"), at(1))
	d.SendRaw("in", []byte("k"), []byte("bad"), at(2), header)
	letters := d.DeadLetters("in")
	require.Len(t, letters, 1)
	require.Equal(t, dlq.Origin{Topic: "in", Partition: partition, Offset: 1}, letters[0].Source)
	require.Equal(t, "last", letters[0].Node)
	require.Equal(t, "badbad", string(letters[0].Key), "the bytes are those of the task that failed")
	require.Equal(t, []topology.Header{header}, letters[0].Headers, "without those of the engine")
}

func TestOnError_TellsTheOriginsOfATaskThatReadsBothEndsApart(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Send())
	s := b.Stream(lines("in"))
	s.Merge(s.SelectKey(func(_, v string) string { return v }).Repartition(through("again"))).TryPeek(failOnBad)
	d := start(t, b, streamtest.Partitions("in", 2))
	feed(t, d, "in", "a=bad@1", "b=bad@1", "c=bad@1", "d=bad@1", "e=bad@1", "f=bad@1")
	sources := map[dlq.Origin]int{}
	for _, l := range d.DeadLetters("in") {
		sources[l.Source]++
	}
	require.Len(t, sources, 6)
	for source, n := range sources {
		require.Equal(t, 1, n, "a record that failed went nowhere else: %v", source)
	}
}

// A value whose encoding the service behind it cannot give is nobody's fault.
type moodySerde struct {
	serde.Serde[string]
	down *bool
}

func (s moodySerde) Decode(b []byte) (string, error) {
	if *s.down {
		return "", serde.Unavailable(errors.New("connection refused"))
	}
	return s.Serde.Decode(b)
}

func (s moodySerde) Append(dst []byte, v string) ([]byte, error) {
	if *s.down {
		return dst, serde.Unavailable(errors.New("connection refused"))
	}
	return s.Serde.Append(dst, v)
}

func TestUnavailable_WaitsWithoutAskingThePolicy(t *testing.T) {
	t.Parallel()
	readDown, writeDown := true, true
	b := stream.NewBuilder().OnError(dlq.Skip())
	b.Stream(stream.NewTopic[string, string]("in", serde.String(), moodySerde{serde.String(), &readDown})).
		To(stream.NewTopic[string, string]("out", serde.String(), moodySerde{serde.String(), &writeDown}))
	d := start(t, b)
	feed(t, d, "in", "k=a@1")
	d.Advance(time.Second)
	readDown = false
	d.Advance(time.Second)
	d.Advance(time.Second)
	require.Empty(t, read(d, "out"))
	writeDown = false
	d.Advance(time.Second)
	require.Equal(t, []string{"k=a@1"}, read(d, "out"))
	require.EqualValues(t, 4, d.Count("retried", "unavailable"))
	require.Zero(t, d.Dropped(""))
}

func TestOnError_APolicyThatMisbehavesFails(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]dlq.Policy{"by a panic": panicPolicy{}, "by an answer": oddPolicy{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, tryFeed(t, guarded(t, p, nil), "in", "k=bad@1"), errBad)
		})
	}
}

type panicPolicy struct{}

func (panicPolicy) Decide(f *dlq.Failure) dlq.Decision {
	if errors.Is(f.Err, errBad) {
		panic("no idea")
	}
	return dlq.Decision{}
}

type oddPolicy struct{}

func (oddPolicy) Decide(*dlq.Failure) dlq.Decision { return dlq.Decision{Action: 77} }
