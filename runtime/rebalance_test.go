package runtime

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/internal/wire"
	"github.com/weirstream/weir/topology"
)

// member launches an instance of the pipeline with a directory and a trace of its own.
func (p *pipeline) member(t *testing.T, change func(c *Config)) (*instance, *trace) {
	t.Helper()
	tr, cfg := newTrace(p), quick(p.b, p.application)
	if change != nil {
		change(&cfg)
	}
	return launch(t, p.build(t, tr), cfg, tr.observe), tr
}

// awaitShares waits until the instances run that many tasks each, in any order.
func awaitShares(b *testbroker.Broker, shares []int, instances ...*instance) {
	b.Eventually(fmt.Sprintf("tasks are shared as %v", shares), func() bool {
		left := map[int]int{}
		for _, n := range shares {
			left[n]++
		}
		for _, i := range instances {
			left[len(i.app.Stats().Tasks)]--
		}
		for _, n := range left {
			if n != 0 {
				return false
			}
		}
		return true
	})
}

func TestRebalance_SharesTasksEvenly(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 4)
	first, _ := p.member(t, nil)
	awaitShares(b, []int{8}, first)
	second, _ := p.member(t, nil)
	awaitShares(b, []int{4, 4}, first, second)
	third, _ := p.member(t, nil)
	awaitShares(b, []int{3, 3, 2}, first, second, third)
	p.send(300)
	p.awaitCounted(t, first, second, third)
	first.end()
	awaitShares(b, []int{4, 4}, second, third)
	second.end()
	awaitShares(b, []int{8}, third)
	p.send(300)
	p.awaitCounted(t, third)
	third.end()
	requireCounts(t, b, p.counts, p.sent)
	require.Empty(t, third.app.Stats().Tasks, "who has ended runs nothing")
}

func TestRebalance_SharesTasksByWorkers(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 3)
	big, _ := p.member(t, func(c *Config) { c.Workers = 4 })
	small, _ := p.member(t, func(c *Config) { c.Workers = 2 })
	awaitShares(b, []int{4, 2}, big, small)
	require.Len(t, big.app.Stats().Tasks, 4)
	big.end()
	small.end()
}

// A task that is given up is committed before, so that nothing is processed twice.
func TestRebalance_HandsTasksOverWhereTheyStand(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 4)
	first, tr1 := p.member(t, nil)
	first.running(b)
	p.send(500)
	p.awaitCounted(t, first)
	second, tr2 := p.member(t, nil)
	b.Eventually("the second has its share, under load", func() bool { p.send(20); return len(second.app.Stats().Tasks) == 4 })
	p.awaitCounted(t, first, second)
	awaitShares(b, []int{4, 4}, first, second)
	require.Positive(t, second.app.Stats().Restored, "state comes along")
	p.send(500)
	p.awaitCounted(t, first, second)
	second.end()
	awaitShares(b, []int{8}, first)
	p.send(500)
	p.awaitCounted(t, first)
	first.end()
	requireCounts(t, b, p.counts, p.sent)
	require.Zero(t, first.app.Stats().Aborts+second.app.Stats().Aborts)
	require.Equal(t, p.sent, tr1.of(p.words)+tr2.of(p.words), "each record is processed once")
	require.Equal(t, p.sent, tr1.of(p.repartition())+tr2.of(p.repartition()), "each record is processed once")
	ends, err := b.Admin().ListCommittedOffsets(t.Context(), p.words, p.repartition())
	require.NoError(t, err)
	total := int64(0)
	for _, parts := range ends.Offsets() {
		for _, o := range parts {
			total += o.At
		}
	}
	require.Equal(t, total, first.app.Stats().Processed+second.app.Stats().Processed)
}

// An instance that comes back to its directory replays what it has missed.
func TestRebalance_ContinuesFromLocalState(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	stay, _ := p.member(t, nil)
	stay.running(b)
	dir := t.TempDir()
	come, _ := p.member(t, func(c *Config) { c.StateDir = dir })
	awaitShares(b, []int{2, 2}, stay, come)
	for range 5 {
		p.send(200)
		p.awaitCounted(t, stay, come)
	}
	come.end()
	awaitShares(b, []int{4}, stay)
	p.send(50)
	p.awaitCounted(t, stay)
	again, _ := p.member(t, func(c *Config) { c.StateDir = dir })
	awaitShares(b, []int{2, 2}, stay, again)
	p.send(50)
	p.awaitCounted(t, stay, again)
	s := again.app.Stats()
	require.LessOrEqual(t, s.Restored, int64(50), "only the tail")
	require.Zero(t, s.Wiped)
	again.end()
	stay.end()
	requireCounts(t, b, p.counts, p.sent)
}

// Tasks that stay go on processing while others hold a join up.
func TestRebalance_LetsTheOtherTasksRun(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	if b.Real() {
		t.Skip("a real cluster does not hold a join up on demand")
	}
	p := newPipeline(b, 2)
	// Half of the transaction's time may be used before the worker stops adding to it.
	first, tr := p.member(t, func(c *Config) { c.TransactionTimeout = time.Minute })
	first.running(b)
	p.send(100)
	p.awaitCounted(t, first)
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.Fake.ControlKey(int16(kmsg.SyncGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		once.Do(func() { close(held) })
		b.Fake.SleepControl(func() { <-release })
		return nil, nil, false
	})
	second, _ := p.member(t, nil)
	<-held
	commits := first.app.Stats().Commits
	p.send(500)
	b.Eventually("the records are processed meanwhile", func() bool { return tr.of(p.words) == p.sent })
	require.Equal(t, Rebalancing, first.app.State())
	require.Equal(t, commits, first.app.Stats().Commits, "nothing is committed between a join and its end")
	close(release)
	p.awaitCounted(t, first, second)
	require.Zero(t, first.app.Stats().Aborts)
	first.end()
	second.end()
	requireCounts(t, b, p.counts, p.sent)
	require.Equal(t, p.sent, tr.of(p.words), "nothing was processed again")
}

// An instance that the group has given up aborts: its tasks are another's.
func TestRebalance_AbortsWhatIsLost(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	session := 1500 * time.Millisecond
	if b.Real() {
		session = 6 * time.Second
	}
	p := newPipeline(b, 4)
	gate := testbroker.NewGate()
	mute, tr1 := p.member(t, func(c *Config) {
		c.SessionTimeout, c.ClientOptions = session, append(c.ClientOptions, gate.Option())
	})
	other, tr2 := p.member(t, func(c *Config) { c.SessionTimeout = session })
	awaitShares(b, []int{4, 4}, mute, other)
	p.send(300)
	p.awaitCounted(t, mute, other)
	gate.LoseRequests(int16(kmsg.Heartbeat), -1)
	gate.LoseRequests(int16(kmsg.JoinGroup), -1)
	b.Eventually("the other has all tasks", func() bool { p.send(20); return len(other.app.Stats().Tasks) == 8 })
	p.awaitCounted(t, other)
	gate.LoseRequests(int16(kmsg.JoinGroup), 0)
	gate.LoseRequests(int16(kmsg.Heartbeat), 0)
	awaitShares(b, []int{4, 4}, mute, other)
	p.send(300)
	p.awaitCounted(t, mute, other)
	mute.end()
	other.end()
	require.Positive(t, mute.app.Stats().Aborts)
	requireCounts(t, b, p.counts, p.sent)
	require.Empty(t, tr1.errs)
	require.Empty(t, tr2.errs)
}

// A function that holds its worker up for longer than the group waits costs the instance its place, and nobody a result.
func TestRebalance_StopsAnInstanceThatHangs(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	tr, cfg := newTrace(p), quick(b, p.application)
	cfg.Workers, cfg.RebalanceTimeout = 1, 2*time.Second
	hang := launch(t, p.build(t, tr), cfg, func(a *App) { a.grace = 100 * time.Millisecond })
	hang.running(b)
	p.send(100)
	p.awaitCounted(t, hang)
	release := make(chan struct{})
	tr.block(release, 5)
	p.send(20)
	b.Eventually("a record hangs", tr.holds)
	other, _ := p.member(t, func(c *Config) { c.RebalanceTimeout = 2 * time.Second })
	require.ErrorContains(t, hang.wait(), "does not come to a record's end: a user function blocks for longer than the group waits")
	close(release)
	p.send(100)
	p.awaitCounted(t, other)
	other.end()
	requireCounts(t, b, p.counts, p.sent)
}

func TestRebalance_SurvivesAGroupThatForgetsItsMember(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	if b.Real() {
		t.Skip("a real cluster does not do that on demand")
	}
	p := newPipeline(b, 4)
	i, tr := p.member(t, func(c *Config) { c.SessionTimeout = 1500 * time.Millisecond })
	i.running(b)
	for range 2 {
		h := b.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: p.application, Err: kerr.UnknownMemberID, Count: 1})
		b.Eventually("the heartbeat is refused", func() bool { p.send(20); return h.Hits() > 0 })
		p.awaitCounted(t, i)
	}
	i.end()
	requireCounts(t, b, p.counts, p.sent)
	tr.requireResumed(t)
}

// Members come and go under load, and transactions fail meanwhile.
func TestRebalance_CountsExactlyUnderJoinsAndFaults(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 4)
	gate := testbroker.NewGate()
	through := func(c *Config) { c.ClientOptions = append(c.ClientOptions, gate.Option()) }
	stay, tr := p.member(t, through)
	stay.running(b)
	traces, instances := []*trace{tr}, []*instance{stay}

	ctx, cancel := context.WithCancel(t.Context())
	var faults sync.WaitGroup
	faults.Go(func() {
		for n := 0; sleep(ctx, 100*time.Millisecond); n++ {
			strike(ctx, p, gate, n)
		}
	})
	random := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		come, tr := p.member(t, through)
		traces, instances = append(traces, tr), append(instances, come)
		b.Eventually("the newcomer has tasks", func() bool { p.send(10); return len(come.app.Stats().Tasks) > 0 })
		for range random.IntN(20) {
			p.send(10)
		}
		come.end()
	}
	cancel()
	faults.Wait()
	gate.LoseRequests(int16(kmsg.EndTxn), 0)
	p.awaitCounted(t, stay)
	stay.end()
	requireCounts(t, b, p.counts, p.sent)
	aborts := int64(0)
	for i, tr := range traces {
		tr.requireResumed(t)
		aborts += instances[i].app.Stats().Aborts
	}
	if !b.Real() {
		require.Positive(t, aborts)
	}
	t.Logf("%d records, %d aborts", p.sent, aborts)
}

// strike makes one commit fail, if one comes soon.
func strike(ctx context.Context, p *pipeline, gate *testbroker.Gate, n int) {
	var fault kfake.Fault
	switch kind := n % 4; {
	case kind == 0:
		gate.LoseAnswers(int16(kmsg.EndTxn), 1)
		return
	case kind == 1 || p.b.Real():
		gate.LoseRequests(int16(kmsg.EndTxn), 1)
		return
	case kind == 2:
		fault = kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: p.counts, Err: kerr.InvalidProducerEpoch}
	default:
		fault = kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Group: p.application, Err: kerr.TransactionAbortable}
	}
	h := p.b.Fake.Fault(fault)
	sleep(ctx, 100*time.Millisecond)
	h.Remove()
}

// Partitions are read once each: what topics the members believe to own makes no difference to the tasks.
func TestBalancer_GivesTheTopicsOfATaskToOneMember(t *testing.T) {
	t.Parallel()
	tasks := []topology.TaskPlan{
		{ID: topology.TaskID{Partition: 0}, Topics: []string{"a", "b"}}, {ID: topology.TaskID{Partition: 1}, Topics: []string{"a"}},
	}
	g := &generation{b: &balancer{tasks: tasks}, members: []joiner{
		{id: "x", generation: 3, owned: map[string][]int32{"a": {0, 1}, "b": {0}}},
		{id: "y", generation: -1, owned: map[string][]int32{}},
	}}
	got := balanced(t, g)
	require.Equal(t, map[string]map[string][]int32{"x": {"a": {0}, "b": {0}}, "y": {}}, got, "the task that is to move is given to nobody yet")
	g.members[0].owned = map[string][]int32{"a": {0}, "b": {0}}
	g.members[0].generation, g.members[1].generation = 4, 4
	require.Equal(t, map[string]map[string][]int32{"x": {"a": {0}, "b": {0}}, "y": {"a": {1}}}, balanced(t, g))
	// A member that claims what it had in an older generation does not hold it.
	g.members[1].owned, g.members[1].generation = map[string][]int32{"a": {0, 1}}, 2
	require.Equal(t, map[string]map[string][]int32{"x": {"a": {0}, "b": {0}}, "y": {"a": {1}}}, balanced(t, g))
}

// A topology is the group's as long as a member runs it. A newcomer with another is refused, even where it is the one that gives out tasks.
func TestBalancer_RefusesNewcomersWithAnotherTopology(t *testing.T) {
	t.Parallel()
	tasks := []topology.TaskPlan{
		{ID: topology.TaskID{Partition: 0}, Topics: []string{"a"}}, {ID: topology.TaskID{Partition: 1}, Topics: []string{"a"}},
	}
	sub := wire.Subscription{Workers: 1}
	old := topology.Manifest{Version: 1, Subtopologies: []topology.SubtopologyManifest{{
		Sources: []string{"a"}, Stores: []topology.StoreManifest{{Name: "counts", Kind: "key-value", KeyType: "string", ValueType: "int64"}},
	}}}
	other := topology.Manifest{Version: 1, Subtopologies: []topology.SubtopologyManifest{{
		Sources: []string{"a"}, Stores: []topology.StoreManifest{{Name: "sums", Kind: "key-value", KeyType: "string", ValueType: "float64"}},
	}}}
	for _, leader := range []topology.Manifest{old, other} {
		refused := map[string]string{}
		b := &balancer{tasks: tasks, self: sub, manifest: leader}
		g := &generation{b: b, members: []joiner{
			{id: "new", generation: -1, sub: sub, manifest: other, owned: map[string][]int32{}},
			{id: "old", generation: 7, sub: sub, manifest: old, owned: map[string][]int32{"a": {0, 1}}},
			{id: "strange", generation: -1, refused: "unknown version", owned: map[string][]int32{}},
		}}
		plan, err := g.BalanceOrError(nil)
		require.NoError(t, err)
		got := map[string]map[string][]int32{}
		for _, a := range plan.IntoSyncAssignment() {
			b.onRefused = func(err error) { refused[a.MemberID] = err.Error() }
			got[a.MemberID], err = b.ParseSyncAssignment(a.MemberAssignment)
			require.NoError(t, err)
		}
		require.Equal(t, map[string]map[string][]int32{"new": {}, "old": {"a": {0, 1}}, "strange": {}}, got)
		require.Len(t, refused, 2)
		require.Contains(t, refused["new"], `another topology runs under this application id. What is different here: store "counts" is gone; store "sums" is new; `+
			"give each application an id of its own")
		require.Contains(t, refused["strange"], "unknown version")
	}
}

func balanced(t *testing.T, g *generation) map[string]map[string][]int32 {
	t.Helper()
	plan, err := g.BalanceOrError(nil)
	require.NoError(t, err)
	out := map[string]map[string][]int32{}
	for _, a := range plan.IntoSyncAssignment() {
		parsed, err := g.b.ParseSyncAssignment(a.MemberAssignment)
		require.NoError(t, err)
		out[a.MemberID] = parsed
	}
	return out
}
