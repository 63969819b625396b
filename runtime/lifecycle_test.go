package runtime

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// states notes the changes of an application's state.
type states struct {
	mu   sync.Mutex
	seen []State
}

func (s *states) note(from, to State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		s.seen = append(s.seen, from)
	}
	s.seen = append(s.seen, to)
}

func (s *states) all() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func TestStates_FollowTheDiagram(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	var seen states
	i, _ := p.member(t, func(c *Config) { c.OnState = seen.note })
	i.running(b)
	i.end()
	all := seen.all()
	require.Equal(t, []State{Created, Starting, Rebalancing, Running}, all[:4])
	require.Equal(t, []State{Stopping, Stopped}, all[len(all)-2:])
	for n := range len(all) - 1 {
		require.Contains(t, transitions[all[n]], all[n+1], "%v", all)
	}
	names := map[string]bool{}
	for s := Created; s <= Failed; s++ {
		names[s.String()] = true
	}
	require.Len(t, names, 7)
	require.Equal(t, "unknown", State(99).String())
}

// This test does not run beside others: it looks at all goroutines of the process.
func TestRun_LeavesNoGoroutine(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, p *pipeline, gate *testbroker.Gate, cfg Config)
	}{
		{"behind a clean stop", func(t *testing.T, p *pipeline, _ *testbroker.Gate, cfg Config) {
			i := launch(t, p.build(t, newTrace(p)), cfg)
			p.send(100)
			p.awaitCounted(t, i)
			i.end()
		}},
		{"behind a stop during the start", func(t *testing.T, p *pipeline, _ *testbroker.Gate, cfg Config) {
			i := launch(t, p.build(t, newTrace(p)), cfg)
			p.b.Eventually("it starts", func() bool { return i.app.State() != Created })
			i.end()
		}},
		{"behind a refusal at the start", func(t *testing.T, p *pipeline, _ *testbroker.Gate, cfg Config) {
			s := stream.NewBuilder()
			s.Stream(text(p.b.Name("nowhere"))).ForEach(func(string, string) {})
			require.Error(t, refused(t, built(t, s), cfg))
		}},
		{"behind a failure", func(t *testing.T, p *pipeline, _ *testbroker.Gate, cfg Config) {
			s := stream.NewBuilder()
			s.Stream(text(p.words)).TryForEach(func(context.Context, string, string) error { return errBad })
			i := launch(t, built(t, s), cfg)
			p.send(10)
			require.ErrorIs(t, i.wait(), errBad)
		}},
		{"behind aborts", func(t *testing.T, p *pipeline, gate *testbroker.Gate, cfg Config) {
			i := launch(t, p.build(t, newTrace(p)), cfg)
			i.running(p.b)
			gate.LoseRequests(int16(kmsg.EndTxn), 2)
			p.b.Eventually("aborts", func() bool { p.send(10); return gate.Lost(int16(kmsg.EndTxn)) == 2 })
			p.awaitCounted(t, i)
			i.end()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPipeline(testbroker.Start(t), 2)
			gate, cfg := testbroker.NewGate(), quick(p.b, p.application)
			cfg.ClientOptions = append(cfg.ClientOptions, gate.Option())
			before := goleak.IgnoreCurrent()
			c.run(t, p, gate, cfg)
			require.Zero(t, gate.Connections())
			// The embedded cluster holds the connections of the test's own client.
			const conn = "github.com/twmb/franz-go/pkg/kfake.(*clientConn)."
			goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction(conn+"read"), goleak.IgnoreAnyFunction(conn+"read.func1"),
				goleak.IgnoreAnyFunction(conn+"write"))
		})
	}
}

// A function that waits is told to stop, and its record is processed again by the next run.
func TestRun_InterruptsAFunctionThatWaits(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, out, id := b.Name("in"), b.Name("out"), b.Name("app")
	b.Create(in, 1)
	b.Create(out, 1)
	waiting := make(chan struct{})
	var once sync.Once
	build := func(wait bool) *topology.Topology {
		s := stream.NewBuilder()
		s.Stream(text(in)).TryMapValues(func(ctx context.Context, _, v string) (string, error) {
			if wait && v == "wait" {
				once.Do(func() { close(waiting) })
				<-ctx.Done()
				return "", ctx.Err()
			}
			return v, nil
		}).To(text(out))
		return built(t, s)
	}
	cfg := quick(b, id)
	cfg.StateDir = t.TempDir()
	i := launch(t, build(true), cfg, func(a *App) { a.grace = 300 * time.Millisecond })
	b.Produce(&kgo.Record{Topic: in, Value: []byte("go")}, &kgo.Record{Topic: in, Value: []byte("wait")})
	<-waiting
	i.end()
	again := launch(t, build(false), cfg)
	b.Eventually("all is processed", func() bool { return b.Behind(id, in) == 0 && committedOf(b, out) >= 2 })
	again.end()
	require.Len(t, b.Read(out), 2)
}

// A function that does not even heed its context is left behind: Run returns, and says so.
func TestRun_LeavesAFunctionThatHangsBehind(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	tr, cfg := newTrace(p), quick(b, p.application)
	cfg.StateDir = t.TempDir()
	i := launch(t, p.build(t, tr), cfg, func(a *App) { a.grace = 100 * time.Millisecond })
	i.running(b)
	p.send(100)
	p.awaitCounted(t, i)
	release := make(chan struct{})
	tr.block(release, 5)
	p.send(20)
	b.Eventually("a record hangs", tr.holds)
	i.stop()
	require.ErrorContains(t, i.wait(), "does not stop: a user function blocks and does not heed its context; it is left behind")
	close(release)
	p.send(100)
	cfg.StateDir = t.TempDir()
	again := launch(t, p.build(t, newTrace(p)), cfg)
	p.awaitCounted(t, again)
	again.end()
	requireCounts(t, b, p.counts, p.sent)
}

func TestTimers_FireByTheWallClock(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, out, id := b.Name("in"), b.Name("out"), b.Name("app")
	b.Create(in, 1)
	b.Create(out, 1)
	s := stream.NewBuilder()
	s.Stream(text(in)).ProcessValues(func(n *stream.ValueNode[string, string]) (
		func(context.Context, stream.Record[string, string]) error, error,
	) {
		n.Node().EveryWallTime(50*time.Millisecond, func(now time.Time) error {
			return n.Node().Forward(stream.Record[string, string]{Key: "tick", Value: now.String(), Timestamp: now})
		})
		return func(context.Context, stream.Record[string, string]) error { return nil }, nil
	}).To(text(out))
	i := launch(t, built(t, s), quick(b, id))
	started := time.Now()
	b.Eventually("timers fire", func() bool { return len(b.Read(out)) >= 5 })
	i.end()
	rs := b.Read(out)
	require.LessOrEqual(t, len(rs), int(time.Since(started)/(50*time.Millisecond))+2)
	for n := range len(rs) - 1 {
		require.True(t, rs[n].Timestamp.Before(rs[n+1].Timestamp))
	}
}

func TestAtLeastOnce_LosesNothingAcrossRestarts(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	dir := t.TempDir()
	for range 3 {
		i, _ := p.member(t, func(c *Config) { c.StateDir, c.Guarantee = dir, AtLeastOnce })
		p.send(200)
		p.awaitCounted(t, i)
		i.end()
		require.Zero(t, i.app.Stats().Restored, "a clean stop leaves nothing to replay")
	}
	requireCounts(t, b, p.counts, p.sent)
}

func TestAtLeastOnce_LosesNothingWhenMembersComeAndGo(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 4)
	gate := testbroker.NewGate()
	change := func(c *Config) { c.Guarantee, c.ClientOptions = AtLeastOnce, append(c.ClientOptions, gate.Option()) }
	stay, _ := p.member(t, change)
	stay.running(b)
	for n := range 3 {
		come, _ := p.member(t, change)
		if n > 0 {
			gate.LoseAnswers(int16(kmsg.OffsetCommit), 1)
		}
		b.Eventually("the newcomer has tasks", func() bool { p.send(30); return len(come.app.Stats().Tasks) > 0 })
		come.end()
	}
	p.awaitCounted(t, stay)
	stay.end()
	last := map[string]int64{}
	for _, r := range b.Read(p.counts) {
		last[string(r.Key)] = max(last[string(r.Key)], decodeCount(t, r))
	}
	for k := range wordKinds {
		want := int64((p.sent + wordKinds - 1 - k) / wordKinds)
		require.GreaterOrEqual(t, last[fmt.Sprintf("w%d", k)], want)
	}
}

func TestHouse_RemovesStateOfTasksThatWentElsewhere(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	dir := t.TempDir()
	first, _ := p.member(t, func(c *Config) { c.StateDir, c.StateCleanupDelay = dir, 200*time.Millisecond })
	awaitShares(b, []int{4}, first)
	app := filepath.Join(dir, p.application)
	require.Subset(t, names(t, app), []string{"LOCK", "process-id", "manifest", "0_0", "0_1", "1_0", "1_1"})
	require.NoError(t, os.MkdirAll(filepath.Join(app, "notes"), 0o755), "not a task's")
	second, _ := p.member(t, nil)
	awaitShares(b, []int{2, 2}, first, second)
	b.Eventually("what went is removed", func() bool { return len(names(t, app)) == 6 })
	left := names(t, app)
	require.Subset(t, left, first.app.Stats().Tasks, "what runs is kept")
	require.Contains(t, left, "notes")
	p.send(100)
	p.awaitCounted(t, first, second)
	second.end()
	awaitShares(b, []int{4}, first)
	p.send(100)
	p.awaitCounted(t, first)
	first.end()
	requireCounts(t, b, p.counts, p.sent)
}

func TestHouse_PurgesWhatIsProcessedOfRepartitions(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	i, _ := p.member(t, nil)
	p.send(300)
	p.awaitCounted(t, i)
	i.app.purge(t.Context())
	starts, err := b.Admin().ListStartOffsets(t.Context(), p.repartition(), p.words)
	require.NoError(t, err)
	committed := b.Committed(p.application)
	for part := range int32(2) {
		o, _ := starts.Lookup(p.repartition(), part)
		require.Equal(t, committed[p.repartition()][part], o.Offset)
		require.Positive(t, o.Offset)
		o, _ = starts.Lookup(p.words, part)
		require.Zero(t, o.Offset, "inputs are not the application's to purge")
	}
	p.send(100)
	p.awaitCounted(t, i)
	i.end()
	requireCounts(t, b, p.counts, p.sent)
}

func decodeCount(t *testing.T, r *kgo.Record) int64 {
	t.Helper()
	n, err := serde.Int64().Decode(r.Value)
	require.NoError(t, err)
	return n
}
