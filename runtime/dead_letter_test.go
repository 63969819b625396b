package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

var errBad = errors.New("a bad record")

// picky copies what is good, under a policy for what is bad.
func picky(in, out string, policy dlq.Policy) *stream.Builder {
	s := stream.NewBuilder()
	s.Stream(text(in)).TryMapValues(func(_ context.Context, _, v string) (string, error) {
		if strings.HasPrefix(v, "bad") {
			return "", errBad
		}
		return v, nil
	}, stream.OnError(policy), stream.Named("check")).To(text(out))
	return s
}

func headersOf(r *kgo.Record) []dlq.Header {
	var hs []dlq.Header
	for _, h := range r.Headers {
		hs = append(hs, dlq.Header{Key: h.Key, Value: h.Value})
	}
	return hs
}

// Letters are part of the transaction: one that is aborted leaves none, and the records are sent again.
func TestDeadLetter_ComesOnceWhateverIsAborted(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, out, id := b.Name("in"), b.Name("out"), b.Name("app")
	b.Create(in, 3)
	b.Create(out, 1)
	gate, cfg := testbroker.NewGate(), quick(b, id)
	cfg.ClientOptions = append(cfg.ClientOptions, gate.Option())
	i := launch(t, built(t, picky(in, out, dlq.Send())), cfg)
	i.running(b)
	sent := 0
	send := func(n int) {
		var rs []*kgo.Record
		for range n {
			kind := "good"
			if sent%3 == 0 {
				kind = "bad"
			}
			rs = append(rs, &kgo.Record{
				Topic: in, Partition: int32(sent % 3), Key: []byte("k"), Value: []byte(fmt.Sprintf("%s %d", kind, sent)),
				Headers: []kgo.RecordHeader{{Key: "own", Value: []byte("kept")}},
			})
			sent++
		}
		b.Produce(rs...)
	}
	for _, lose := range []func(int16, int){gate.LoseRequests, gate.LoseAnswers, gate.LoseRequests} {
		before := gate.Lost(int16(kmsg.EndTxn))
		lose(int16(kmsg.EndTxn), 1)
		b.Eventually("an end is lost", func() bool { send(3); return gate.Lost(int16(kmsg.EndTxn)) > before })
	}
	b.Eventually("all is processed", func() bool { return b.Behind(id, in) == 0 })
	i.end()
	letters := b.Read(in + ".dlq")
	seen := map[string]bool{}
	for _, r := range letters {
		l, err := dlq.Parse(headersOf(r))
		require.NoError(t, err)
		require.Equal(t, "own", r.Headers[0].Key)
		require.Equal(t, "processing-failed", l.Reason)
		require.Equal(t, errBad.Error(), l.Message)
		require.Equal(t, id, l.ApplicationID)
		require.Equal(t, "check", l.Node)
		require.Equal(t, in, l.Source.Topic)
		require.Equal(t, 1, l.Attempts)
		require.True(t, strings.HasPrefix(string(r.Value), "bad "), r.Value)
		require.False(t, seen[string(r.Value)], "%s comes twice", r.Value)
		seen[string(r.Value)] = true
	}
	require.Len(t, letters, sent/3)
	require.Len(t, b.Read(out), sent-sent/3)
	require.Equal(t, int64(sent/3), i.app.Stats().Count("dead-letter", ""), "aborted letters do not count")
	m, err := b.Admin().ListTopics(t.Context(), in+".dlq")
	require.NoError(t, err)
	require.Len(t, m[in+".dlq"].Partitions, 3, "as many as the source has")
}

func TestDeadLetter_NamesTheRecordThatStopsTheApplication(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, out, id := b.Name("in"), b.Name("out"), b.Name("app")
	b.Create(in, 2)
	b.Create(out, 1)
	i := launch(t, built(t, picky(in, out, dlq.Fail())), quick(b, id))
	i.running(b)
	b.Produce(&kgo.Record{Topic: in, Partition: 1, Value: []byte("good")})
	b.Eventually("the good one is done", func() bool { return len(b.Read(out)) == 1 })
	b.Produce(&kgo.Record{Topic: in, Partition: 1, Value: []byte("good")}, &kgo.Record{Topic: in, Partition: 1, Value: []byte("bad")})
	err := i.wait()
	require.ErrorIs(t, err, errBad)
	require.ErrorContains(t, err, fmt.Sprintf("task 0_1: topic %q partition 1 offset 2:", in))
	require.ErrorContains(t, err, "check")
	var record *task.RecordError
	require.ErrorAs(t, err, &record)
	require.Equal(t, int64(2), record.Offset)
	require.Equal(t, Failed, i.app.State())
}

func TestDeadLetter_TakesAnOversizedResult(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, out, id := b.Name("in"), b.Name("out"), b.Name("app")
	b.Create(in, 1)
	b.Create(out, 1)
	s := stream.NewBuilder().OnError(dlq.Send())
	s.Stream(text(in)).MapValues(func(v string) string {
		if v == "big" {
			return strings.Repeat("x", 2_000_000)
		}
		return v
	}).To(text(out))
	i := launch(t, built(t, s), quick(b, id))
	for _, v := range []string{"small", "big", "small"} {
		b.Produce(&kgo.Record{Topic: in, Value: []byte(v)})
	}
	b.Eventually("all is processed", func() bool { return b.Behind(id, in) == 0 })
	i.end()
	require.Len(t, b.Read(out), 2)
	letters := b.Read(in + ".dlq")
	require.Len(t, letters, 1)
	require.Equal(t, "big", string(letters[0].Value))
	l, err := dlq.Parse(headersOf(letters[0]))
	require.NoError(t, err)
	require.Contains(t, l.Message, "the limit is")
}

// A letter tells where its record entered the application, behind a repartition too.
func TestDeadLetter_NamesTheSourceBehindARepartition(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, id := b.Name("in"), b.Name("app")
	b.Create(in, 1)
	s := stream.NewBuilder().OnError(dlq.Send())
	s.Stream(text(in)).SelectKey(func(_, v string) string { return v }).
		Repartition(stream.NewRepartition("by-value", serde.String(), serde.String())).
		TryForEach(func(context.Context, string, string) error { return dlq.Reject("no-good", errBad) })
	i := launch(t, built(t, s), quick(b, id))
	i.running(b)
	b.Produce(&kgo.Record{Topic: in, Value: []byte("first")}, &kgo.Record{Topic: in, Value: []byte("second")})
	b.Eventually("all is processed", func() bool { return len(b.Read(in+".dlq")) == 2 })
	i.end()
	for n, r := range b.Read(in + ".dlq") {
		l, err := dlq.Parse(headersOf(r))
		require.NoError(t, err)
		require.Equal(t, dlq.Origin{Topic: in, Offset: int64(n)}, l.Source)
		require.Equal(t, "no-good", l.Reason)
	}
}

// A record that is tried again holds its partition up, and no other.
func TestRetry_HoldsUpItsPartitionAlone(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, out, id := b.Name("in"), b.Name("out"), b.Name("app")
	b.Create(in, 2)
	b.Create(out, 2)
	var well atomic.Bool
	var attempts atomic.Int64
	s := stream.NewBuilder()
	st := state.KeyValue("seen", serde.String(), serde.Int64())
	s.Stream(text(in)).ProcessValues(func(n *stream.ValueNode[string, string]) (
		func(context.Context, stream.Record[string, string]) error, error,
	) {
		seen := st.Open(n)
		return func(_ context.Context, r stream.Record[string, string]) error {
			v, _, err := seen.Get(r.Value)
			if err = errors.Join(err, seen.Put(r.Value, v+1), n.Forward(fmt.Sprintf("%s %d", r.Value, v+1))); err != nil {
				return err
			}
			if r.Value == "stuck" && !well.Load() {
				attempts.Add(1)
				return errBad
			}
			return nil
		}, nil
	}, stream.Stores(st), stream.OnError(dlq.Retry(1_000_000, dlq.Constant(20*time.Millisecond)))).To(text(out))
	cfg := quick(b, id)
	cfg.Workers = 1
	i := launch(t, built(t, s), cfg)
	b.Produce(&kgo.Record{Topic: in, Value: []byte("stuck")}, &kgo.Record{Topic: in, Value: []byte("behind")})
	b.Eventually("it is tried again", func() bool { return attempts.Load() > 3 })
	for range 20 {
		b.Produce(&kgo.Record{Topic: in, Partition: 1, Value: []byte("free")})
	}
	b.Eventually("the other partition is committed", func() bool { return b.Committed(id)[in][1] == 20 })
	require.LessOrEqual(t, b.Committed(id)[in][0], int64(0))
	require.Len(t, b.Read(out), 20)
	well.Store(true)
	b.Eventually("all is processed", func() bool { return b.Behind(id, in) == 0 })
	i.end()
	var first []string
	for _, r := range b.Read(out) {
		if !strings.HasPrefix(string(r.Value), "free") {
			first = append(first, string(r.Value))
		}
	}
	require.Equal(t, []string{"stuck 1", "behind 1"}, first, "failed attempts leave nothing, and the order stays")
	require.GreaterOrEqual(t, i.app.Stats().Count("retried", ""), int64(4))
}
