package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

func text(name string) stream.Topic[string, string] {
	return stream.NewTopic(name, serde.String(), serde.String())
}

func built(t *testing.T, s *stream.Builder) *topology.Topology {
	t.Helper()
	top, err := s.Build()
	require.NoError(t, err)
	return top
}

// requests counts the requests of an API key that the embedded cluster gets.
func requests(b *testbroker.Broker, key kmsg.Key) *kfake.FaultHandle {
	return b.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Observe: true, Count: -1})
}

func TestCommit_OpensNoTransactionWhereNothingIsProduced(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, out, id := b.Name("in"), b.Name("out"), b.Name("app")
	b.Create(in, 2)
	b.Create(out, 2)
	s := stream.NewBuilder()
	s.Stream(text(in)).Filter(func(_, v string) bool { return v == "keep" }).To(text(out))
	cfg := quick(b, id)
	cfg.StateDir = t.TempDir()
	var seen []*kfake.FaultHandle
	if !b.Real() {
		for _, key := range []kmsg.Key{kmsg.OffsetCommit, kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.AddOffsetsToTxn} {
			seen = append(seen, requests(b, key))
		}
	}
	i := launch(t, built(t, s), cfg)
	i.running(b)
	b.Produce(&kgo.Record{Topic: in, Value: []byte("drop")}, &kgo.Record{Topic: in, Partition: 1, Value: []byte("drop")})
	b.Eventually("the positions are committed", func() bool { return b.Behind(id, in) == 0 })
	for w := range 2 {
		r, err := b.Admin().DescribeTransactions(t.Context(), transactionalID(t, cfg, w))
		require.NoError(t, err)
		require.Equal(t, "Empty", r[transactionalID(t, cfg, w)].State)
	}
	if !b.Real() {
		require.Positive(t, seen[0].Hits())
		for _, h := range seen[1:] {
			require.Zero(t, h.Hits(), "no transaction without a record")
		}
	}
	b.Produce(&kgo.Record{Topic: in, Value: []byte("keep")})
	b.Eventually("the positions are committed", func() bool { return b.Behind(id, in) == 0 })
	require.Len(t, b.Read(out), 1)
	i.end()
}

// txnOffsets notes which partitions the transactions of an application carry.
type txnOffsets struct {
	mu   sync.Mutex
	seen []map[topicPartition]int64
}

func observeTxnOffsets(b *testbroker.Broker) *txnOffsets {
	o := &txnOffsets{}
	b.Fake.ControlKey(int16(kmsg.TxnOffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Fake.KeepControl()
		m := map[topicPartition]int64{}
		for _, t := range r.(*kmsg.TxnOffsetCommitRequest).Topics {
			for _, p := range t.Partitions {
				m[topicPartition{t.Topic, p.Partition}] = p.Offset
			}
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.seen = append(o.seen, m)
		return nil, nil, false
	})
	return o
}

func (o *txnOffsets) all() []map[topicPartition]int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen
}

// A timer writes without input: what keeps another owner of the task from doing so at the same time is the offsets in its transaction.
func TestCommit_CarriesTheOffsetsOfEveryTaskWithEffects(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	if b.Real() {
		t.Skip("a real cluster does not show its requests")
	}
	in, out, id := b.Name("in"), b.Name("out"), b.Name("app")
	b.Create(in, 2)
	b.Create(out, 1)
	s := stream.NewBuilder()
	s.Stream(text(in)).ProcessValues(func(n *stream.ValueNode[string, string]) (
		func(context.Context, stream.Record[string, string]) error, error,
	) {
		node := n.Node()
		node.EveryWallTime(20*time.Millisecond, func(now time.Time) error {
			return node.Forward(stream.Record[string, string]{Key: "tick", Value: "tock", Timestamp: now})
		})
		return func(context.Context, stream.Record[string, string]) error { return nil }, nil
	}).To(text(out))
	cfg := quick(b, id)
	cfg.Workers = 1
	seen := observeTxnOffsets(b)
	i := launch(t, built(t, s), cfg)
	b.Eventually("timers fire", func() bool { return len(b.Read(out)) > 10 })
	i.end()
	both := 0
	for _, m := range seen.all() {
		require.NotEmpty(t, m)
		for tp, at := range m {
			require.Equal(t, in, tp.topic)
			require.Zero(t, at)
		}
		if len(m) == 2 {
			both++
		}
	}
	require.Positive(t, both)
	require.Equal(t, map[string]map[int32]int64{in: {0: 0, 1: 0}}, b.Committed(id))
}

// Brokers before 4.0 are told which groups a transaction commits offsets of.
func TestCommit_WorksWithOlderBrokers(t *testing.T) {
	t.Parallel()
	if os.Getenv("KAFKA_BROKERS") != "" {
		t.Skip("the real cluster is as new as it is")
	}
	for _, v := range []struct {
		name     string
		versions *kversion.Versions
	}{{"3.0", kversion.V3_0_0()}, {"3.7", kversion.V3_7_0()}} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			b := testbroker.Start(t, kfake.MaxVersions(v.versions))
			added, aborted := requests(b, kmsg.AddOffsetsToTxn), kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownMemberID}
			p := newPipeline(b, 2)
			first, tr := p.member(t, nil)
			first.running(b)
			p.send(200)
			h := b.Fake.Fault(aborted)
			b.Eventually("a transaction is aborted", func() bool { p.send(20); return h.Hits() > 0 })
			p.awaitCounted(t, first)
			second, _ := p.member(t, nil)
			awaitShares(b, []int{2, 2}, first, second)
			p.send(200)
			p.awaitCounted(t, first, second)
			first.end()
			second.end()
			require.Positive(t, added.Hits())
			requireCounts(t, b, p.counts, p.sent)
			tr.requireResumed(t)
		})
	}
}

// What an instance has left open when it was killed is aborted when it starts again: its transactional ids are those of before.
func TestStart_AbortsWhatACrashLeftOpen(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 1)
	cfg := quick(b, p.application)
	cfg.StateDir, cfg.TransactionTimeout = t.TempDir(), 5*time.Minute
	first := launch(t, p.build(t, newTrace(p)), cfg)
	first.running(b)
	p.send(100)
	p.awaitCounted(t, first)
	first.end()
	before, err := os.ReadFile(filepath.Join(cfg.StateDir, p.application, "process-id"))
	require.NoError(t, err)

	// A transaction of the dead instance, with a result and offsets.
	changelog := topology.ChangelogTopic(p.application, "counts")
	dead := b.Client(kgo.TransactionalID(transactionalID(t, cfg, 0)), kgo.TransactionTimeout(5*time.Minute))
	require.NoError(t, dead.BeginTransaction())
	for _, topic := range []string{p.counts, changelog, p.repartition()} {
		require.NoError(t, dead.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("w1"), Value: make([]byte, 8)}).FirstErr())
	}
	dead.CloseAllowingRebalance()

	p.send(100)
	again := launch(t, p.build(t, newTrace(p)), cfg)
	p.awaitCounted(t, again)
	again.end()
	after, err := os.ReadFile(filepath.Join(cfg.StateDir, p.application, "process-id"))
	require.NoError(t, err)
	require.Equal(t, before, after)
	requireCounts(t, b, p.counts, p.sent)
}

// The input is transactional itself: aborted records are not seen, and markers are moved over.
func TestFetch_MovesOverMarkersAndAbortedRecords(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, out, id := b.Name("in"), b.Name("out"), b.Name("app")
	b.Create(in, 1)
	b.Create(out, 1)
	s := stream.NewBuilder()
	s.Stream(text(in)).To(text(out))
	i := launch(t, built(t, s), quick(b, id))
	i.running(b)
	up := b.Client(kgo.TransactionalID(b.Name("upstream")))
	var want []string
	for n, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		require.NoError(t, up.BeginTransaction())
		for k := range 3 {
			v := fmt.Sprintf("%d.%d", n, k)
			require.NoError(t, up.ProduceSync(t.Context(), &kgo.Record{Topic: in, Value: []byte(v)}).FirstErr())
			if end == kgo.TryCommit {
				want = append(want, v)
			}
		}
		require.NoError(t, up.EndTransaction(t.Context(), end))
	}
	b.Eventually("no lag is left, trailing markers included", func() bool { return b.Behind(id, in) == 0 && committedOf(b, out) >= int64(len(want)) })
	var got []string
	for _, r := range b.Read(out) {
		got = append(got, string(r.Value))
	}
	require.Equal(t, want, got)
	i.end()
	require.Equal(t, int64(20), i.app.Stats().Processed, "records and markers")
}

// A refusal that no retry mends stops the application with its cause. What it has not committed is processed by the next run.
func TestCommit_StopsAtARefusalForGood(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		key  kmsg.Key
		err  *kerr.Error
		want string
	}{
		{"of a record", kmsg.Produce, kerr.TopicAuthorizationFailed, "write to topic"},
		{"of a batch", kmsg.Produce, kerr.InvalidRecord, "write to topic"},
		{"of offsets", kmsg.TxnOffsetCommit, kerr.GroupAuthorizationFailed, "commit offset of topic"},
		{"of the end", kmsg.EndTxn, kerr.TransactionalIDAuthorizationFailed, "commit the transaction"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := testbroker.Start(t)
			if b.Real() {
				t.Skip("a real cluster does not do that on demand")
			}
			p := newPipeline(b, 2)
			cfg := quick(b, p.application)
			cfg.StateDir = t.TempDir()
			i := launch(t, p.build(t, newTrace(p)), cfg)
			i.running(b)
			p.send(100)
			p.awaitCounted(t, i)
			fault := kfake.Fault{Keys: []kmsg.Key{c.key}, Err: c.err, Count: -1}
			if c.key == kmsg.Produce {
				fault.Topic = p.counts
			}
			h := b.Fake.Fault(fault)
			p.send(100)
			err := i.wait()
			require.ErrorIs(t, err, c.err)
			require.ErrorContains(t, err, fmt.Sprintf("application %q", p.application))
			require.ErrorContains(t, err, c.want)
			require.Equal(t, Failed, i.app.State())
			h.Remove()
			again := launch(t, p.build(t, newTrace(p)), cfg)
			p.awaitCounted(t, again)
			again.end()
			requireCounts(t, b, p.counts, p.sent)
		})
	}
}

func TestCommit_StopsWhereOffsetsAloneAreRefusedForGood(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	if b.Real() {
		t.Skip("a real cluster does not do that on demand")
	}
	in, id := b.Name("in"), b.Name("app")
	b.Create(in, 1)
	s := stream.NewBuilder()
	s.Stream(text(in)).ForEach(func(string, string) {})
	i := launch(t, built(t, s), quick(b, id))
	i.running(b)
	b.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	b.Produce(&kgo.Record{Topic: in, Value: []byte("x")})
	err := i.wait()
	require.ErrorIs(t, err, kerr.GroupAuthorizationFailed)
	require.ErrorContains(t, err, fmt.Sprintf("group %q", id))
}

func TestClassify_KnowsWhatToDoAboutEachError(t *testing.T) {
	t.Parallel()
	for _, row := range classes {
		require.Equal(t, row.class, classify(fmt.Errorf("wrapped: %w", row.err)), row.reason)
		require.NotEmpty(t, row.reason)
	}
	for _, c := range []struct {
		err  error
		want class
	}{
		{kerr.MessageTooLarge, fatal}, {kerr.TopicAuthorizationFailed, fatal}, {errors.New("anything else"), fatal},
		{context.DeadlineExceeded, abort}, {kgo.ErrRecordTimeout, abort}, {io.EOF, retry}, {net.ErrClosed, retry},
	} {
		require.Equal(t, c.want, classify(fmt.Errorf("wrapped: %w", c.err)), c.err)
	}
}
