package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// A service is what asynchronous calls ask. It notes how many calls there are at once, and whether those of one key overlap.
type service struct {
	mu       sync.Mutex
	busy     map[string]bool
	now, max int
	errs     []string
	calls    map[string]int
	answer   func(ctx context.Context, v string) error
}

func newService(answer func(ctx context.Context, v string) error) *service {
	return &service{busy: map[string]bool{}, calls: map[string]int{}, answer: answer}
}

// soon answers after about a time.
func soon(d time.Duration) func(ctx context.Context, v string) error {
	return func(ctx context.Context, v string) error {
		select {
		case <-time.After(d * time.Duration(1+len(v)%3)):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *service) call(ctx context.Context, k, v string) (string, error) {
	m := stream.Metadata(ctx)
	s.mu.Lock()
	id := fmt.Sprint(m.Partition, k)
	if s.busy[id] {
		s.errs = append(s.errs, "calls of one key overlap: "+id)
	}
	s.busy[id] = true
	s.now++
	s.max = max(s.max, s.now)
	s.calls[v]++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now--
		s.busy[id] = false
	}()
	if err := s.answer(ctx, v); err != nil {
		return "", err
	}
	return v + "!", nil
}

func (s *service) atOnce() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// An asyncPipeline asks a service for each record, then counts, so that the task has state.
type asyncPipeline struct {
	b           *testbroker.Broker
	in, out, id string
	partitions  int
	sent        int
}

func newAsyncPipeline(b *testbroker.Broker, partitions int) *asyncPipeline {
	p := &asyncPipeline{b: b, in: b.Name("in"), out: b.Name("out"), id: b.Name("app"), partitions: partitions}
	b.Create(p.in, int32(partitions))
	b.Create(p.out, int32(partitions))
	return p
}

func (p *asyncPipeline) build(t *testing.T, s *service, opts ...stream.AsyncOption) *topology.Topology {
	t.Helper()
	b := stream.NewBuilder()
	async := b.Stream(text(p.in)).MapValuesAsync(s.call, opts...)
	async.To(text(p.out), stream.PartitionBy(func(k, _ string, n int32) int32 {
		var i int32
		_, _ = fmt.Sscanf(k, "%d", &i)
		return i % n
	}))
	async.GroupByKey().Count(state.KeyValue("counts", serde.String(), serde.Int64()))
	return built(t, b)
}

// send produces n more records. A key names its partition.
func (p *asyncPipeline) send(n int) {
	rs := make([]*kgo.Record, n)
	for i := range rs {
		k := p.sent + i
		part := k % p.partitions
		rs[i] = &kgo.Record{Topic: p.in, Partition: int32(part), Key: fmt.Appendf(nil, "%d-%d", part, k%7), Value: fmt.Append(nil, k)}
	}
	p.b.Produce(rs...)
	p.sent += n
}

func (p *asyncPipeline) done() bool { return p.b.Behind(p.id, p.in) == 0 }

// requireOnce demands that each record came out once, in the order of its partition.
func (p *asyncPipeline) requireOnce(t *testing.T, services ...*service) {
	t.Helper()
	var want, got [][]string
	for range p.partitions {
		want, got = append(want, nil), append(got, nil)
	}
	for k := range p.sent {
		want[k%p.partitions] = append(want[k%p.partitions], fmt.Sprintf("%d!", k))
	}
	for _, r := range p.b.Read(p.out) {
		got[r.Partition] = append(got[r.Partition], string(r.Value))
	}
	require.Equal(t, want, got)
	for _, s := range services {
		s.mu.Lock()
		require.Empty(t, s.errs)
		s.mu.Unlock()
	}
}

func TestAsync_MakesCallsAtOnce(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newAsyncPipeline(b, 2)
	release := make(chan struct{})
	s := newService(func(ctx context.Context, _ string) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	i := launch(t, p.build(t, s, stream.Concurrency(5)), quick(b, p.id))
	p.send(200)
	b.Eventually("each task makes as many calls as it may", func() bool { return s.atOnce() == 10 })
	close(release)
	b.Eventually("all is done", p.done)
	i.end()
	require.Equal(t, 10, s.max)
	p.requireOnce(t, s)
}

func TestAsync_IsExactlyOnceAcrossAborts(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newAsyncPipeline(b, 4)
	s := newService(soon(time.Millisecond))
	cfg, gate := quick(b, p.id), testbroker.NewGate()
	cfg.StateDir, cfg.ClientOptions = t.TempDir(), append(cfg.ClientOptions, gate.Option())
	i := launch(t, p.build(t, s), cfg)
	i.running(b)
	strikes := []func(){
		func() {
			before := gate.Lost(int16(kmsg.EndTxn))
			gate.LoseAnswers(int16(kmsg.EndTxn), 1)
			b.Eventually("an answer is lost", func() bool { p.send(20); return gate.Lost(int16(kmsg.EndTxn)) > before })
		},
		func() {
			if b.Real() {
				return
			}
			h := b.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownMemberID, Count: 1})
			b.Eventually("a commit is refused", func() bool { p.send(20); return h.Hits() > 0 })
			h.Remove()
		},
	}
	for range 3 {
		for _, strike := range strikes {
			p.send(50)
			strike()
			p.send(50)
		}
	}
	b.Eventually("all is done", p.done)
	i.end()
	if !b.Real() {
		require.Positive(t, i.app.Stats().Aborts)
	}
	p.requireOnce(t, s)
}

func TestAsync_IsExactlyOnceWhenMembersComeAndGo(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newAsyncPipeline(b, 4)
	s1, s2 := newService(soon(time.Millisecond)), newService(soon(time.Millisecond))
	stay := launch(t, p.build(t, s1), quick(b, p.id))
	stay.running(b)
	for range 2 {
		come := launch(t, p.build(t, s2), quick(b, p.id))
		b.Eventually("the newcomer has tasks, under load", func() bool { p.send(20); return len(come.app.Stats().Tasks) == 2 })
		p.send(100)
		come.end()
	}
	b.Eventually("all is done", p.done)
	stay.end()
	p.requireOnce(t, s1, s2)
}

func TestAsync_RetriesCallsThatTakeTooLong(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newAsyncPipeline(b, 1)
	var s *service
	s = newService(func(ctx context.Context, v string) error {
		s.mu.Lock()
		first := s.calls[v] == 1 && len(v) == 2 && v[1] == '3'
		s.mu.Unlock()
		if !first {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	})
	i := launch(t, p.build(t, s, stream.Timeout(50*time.Millisecond), stream.OnError(dlq.Retry(3, dlq.Constant(10*time.Millisecond)))), quick(b, p.id))
	p.send(60)
	b.Eventually("all is done", p.done)
	i.end()
	p.requireOnce(t, s)
	require.EqualValues(t, 5, i.app.Stats().Count("retried", ""))
	require.Equal(t, 2, s.calls["13"])
}

func TestAsync_AnErrorWithoutAPolicyStopsTheApplication(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newAsyncPipeline(b, 1)
	bad := errors.New("no such article")
	i := launch(t, p.build(t, newService(func(_ context.Context, v string) error {
		if v == "7" {
			return bad
		}
		return nil
	})), quick(b, p.id))
	p.send(20)
	require.ErrorIs(t, i.wait(), bad)
	require.LessOrEqual(t, len(b.Read(p.out)), 7)
}

// Calls that are on their way when the application stops are cancelled, and made again by whoever comes next.
func TestAsync_AStopEndsItsCalls(t *testing.T) {
	b := testbroker.Start(t)
	p := newAsyncPipeline(b, 2)
	hang := newService(func(ctx context.Context, v string) error {
		if len(v) < 2 {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	})
	cfg := quick(b, p.id)
	cfg.StateDir = t.TempDir()
	before := goleak.IgnoreCurrent()
	i := launch(t, p.build(t, hang), cfg)
	p.send(100)
	b.Eventually("calls hang", func() bool { return hang.atOnce() > 5 })
	i.end()
	require.Zero(t, hang.atOnce())
	const conn = "github.com/twmb/franz-go/pkg/kfake.(*clientConn)."
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction(conn+"read"), goleak.IgnoreAnyFunction(conn+"read.func1"),
		goleak.IgnoreAnyFunction(conn+"write"))
	s := newService(soon(0))
	again := launch(t, p.build(t, s), cfg)
	b.Eventually("all is done", p.done)
	again.end()
	p.requireOnce(t, s)
}

func TestAsync_LeavesCallsBehindThatDoNotHeedTheirContext(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newAsyncPipeline(b, 1)
	release := make(chan struct{})
	s := newService(func(context.Context, string) error { <-release; return nil })
	i := launch(t, p.build(t, s, stream.Concurrency(2)), quick(b, p.id), func(a *App) { a.grace = 100 * time.Millisecond })
	p.send(10)
	b.Eventually("calls hang", func() bool { return s.atOnce() == 2 })
	i.stop()
	require.ErrorContains(t, i.wait(), "2 calls of asynchronous operators do not end: their functions block and do not heed their contexts")
	close(release)
}
