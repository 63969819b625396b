package runtime

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// life runs an instance of the pipeline until everything that was sent, and n records more, is counted. It returns what the instance did.
func (p *pipeline) life(t *testing.T, dir string, n int) Stats {
	t.Helper()
	i, tr := p.member(t, func(c *Config) { c.StateDir = dir })
	p.send(n)
	p.awaitCounted(t, i)
	i.running(p.b)
	i.end()
	require.Empty(t, tr.errs)
	return i.app.Stats()
}

// changelog is the topic of the pipeline's store.
func (p *pipeline) changelog() string { return topology.ChangelogTopic(p.application, "counts") }

func TestRestore_ReplaysNothingBehindACleanStop(t *testing.T) {
	t.Parallel()
	p := newPipeline(testbroker.Start(t), 2)
	dir := t.TempDir()
	p.life(t, dir, 300)
	s := p.life(t, dir, 100)
	require.Zero(t, s.Restored)
	require.Zero(t, s.Wiped)
	require.Positive(t, s.Changelog)
	requireCounts(t, p.b, p.counts, p.sent)
}

func TestRestore_ReplaysTheTailThatOthersWrote(t *testing.T) {
	t.Parallel()
	p := newPipeline(testbroker.Start(t), 2)
	here, elsewhere := t.TempDir(), t.TempDir()
	for range 3 {
		p.life(t, here, 100)
	}
	require.Positive(t, p.life(t, elsewhere, 20).Restored)
	s := p.life(t, here, 50)
	require.Positive(t, s.Restored)
	require.LessOrEqual(t, s.Restored, int64(20), "the tail, of %d", s.Changelog)
	require.Greater(t, s.Changelog, 2*s.Restored)
	requireCounts(t, p.b, p.counts, p.sent)
}

// reopen changes the checkpoints in a directory that nobody uses.
func reopen(t *testing.T, p *pipeline, dir string, change func(c *state.Checkpoint)) {
	t.Helper()
	cfg := quick(p.b, p.application)
	cfg.StateDir = dir
	d, err := openStateDir(cfg.withDefaults())
	require.NoError(t, err)
	info := state.KeyValue("counts", serde.String(), serde.Int64()).Info()
	for part := range p.partitions {
		db, err := d.openTask(p.application, topology.TaskID{Subtopology: 1, Partition: int32(part)})
		require.NoError(t, err)
		cp, ok, err := db.Checkpoint(info)
		require.NoError(t, err)
		require.True(t, ok)
		change(&cp)
		c := db.Begin()
		require.NoError(t, c.SaveCheckpoint(info, cp))
		require.NoError(t, c.Apply())
		require.NoError(t, db.Close())
	}
	require.NoError(t, d.close())
}

func TestRestore_WipesStateThatCannotBeContinued(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(c *state.Checkpoint)
	}{
		{"of another cluster", func(c *state.Checkpoint) { c.ClusterID = "another" }},
		{"of another topic", func(c *state.Checkpoint) { c.TopicID[3]++ }},
		{"beyond the end", func(c *state.Checkpoint) { c.Offset += 1000 }},
		{"too old", func(c *state.Checkpoint) { c.AppliedAt = time.Now().Add(-2 * checkpointAge) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(testbroker.Start(t), 2)
			dir := t.TempDir()
			p.life(t, dir, 300)
			reopen(t, p, dir, c.change)
			s := p.life(t, dir, 100)
			require.Equal(t, int64(2), s.Wiped)
			require.Positive(t, s.Restored)
			requireCounts(t, p.b, p.counts, p.sent)
		})
	}
}

func TestRestore_WipesStateBelowTheStartOfTheChangelog(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	if b.Real() {
		t.Skip("a real cluster deletes no records of a compacted topic on demand")
	}
	p := newPipeline(b, 1)
	here, elsewhere := t.TempDir(), t.TempDir()
	p.life(t, here, 100)
	for range 2 {
		p.life(t, elsewhere, 100) // with every key
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: p.changelog(), At: p.firstOfNewest()})
	_, err := p.b.Admin().DeleteRecords(t.Context(), offsets)
	require.NoError(t, err)
	s := p.life(t, here, 100)
	require.Equal(t, int64(1), s.Wiped)
	requireCounts(t, p.b, p.counts, p.sent)
}

// firstOfNewest is the smallest of the offsets at which the changelog has the newest row of a key.
func (p *pipeline) firstOfNewest() int64 {
	newest := map[string]int64{}
	for _, r := range p.b.Read(p.changelog()) {
		newest[string(r.Key)] = r.Offset
	}
	first := int64(-1)
	for _, at := range newest {
		if first < 0 || at < first {
			first = at
		}
	}
	return first
}

// A changelog that somebody has deleted is another one, whatever its offsets.
func TestRestore_StartsAnewBehindADeletedChangelog(t *testing.T) {
	t.Parallel()
	p := newPipeline(testbroker.Start(t), 1)
	dir := t.TempDir()
	p.life(t, dir, 200)
	_, err := p.b.Admin().DeleteTopics(t.Context(), p.changelog())
	require.NoError(t, err)
	p.b.Eventually("the topic is gone", func() bool {
		m, err := p.b.Admin().ListTopics(t.Context(), p.changelog())
		return err == nil && !m.Has(p.changelog())
	})
	s := p.life(t, dir, wordKinds)
	require.Equal(t, int64(1), s.Wiped)
	require.Zero(t, s.Restored)
	rs := p.b.Read(p.counts)
	for _, r := range rs[len(rs)-wordKinds:] {
		n, err := serde.Int64().Decode(r.Value)
		require.NoError(t, err)
		require.Equal(t, int64(1), n, "what the log has lost is lost")
	}
}

func TestRestore_ReadsACompactedChangelog(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	if b.Real() {
		t.Skip("a real cluster does not compact on demand")
	}
	p := newPipeline(b, 2)
	dir := t.TempDir()
	for range 3 {
		p.life(t, dir, 100)
	}
	b.Fake.Compact()
	s := p.life(t, t.TempDir(), 100)
	require.LessOrEqual(t, s.Restored, int64(2*wordKinds))
	b.Fake.Compact()
	p.life(t, dir, 100)
	requireCounts(t, b, p.counts, p.sent)
}

// Rows of a transaction that is open may come to count: a restore waits until it is known whether they do.
func TestRestore_WaitsForAnOpenTransaction(t *testing.T) {
	t.Parallel()
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		t.Run(fmt.Sprintf("commit %t", bool(end)), func(t *testing.T) {
			t.Parallel()
			b := testbroker.Start(t)
			p := newPipeline(b, 1)
			p.life(t, t.TempDir(), 100)
			other := b.Client(kgo.TransactionalID(b.Name("other")))
			require.NoError(t, other.BeginTransaction())
			var last *kgo.Record
			for _, r := range b.Read(p.changelog()) {
				if string(r.Key) == "w1" {
					last = r
				}
			}
			require.NotNil(t, last)
			row := append([]byte(nil), last.Value...)
			binary.BigEndian.PutUint64(row[len(row)-8:], 1000)
			require.NoError(t, other.ProduceSync(t.Context(), &kgo.Record{Topic: p.changelog(), Key: last.Key, Value: row}).FirstErr())
			i, _ := p.member(t, nil)
			b.Eventually("the other subtopology runs", func() bool { return len(i.app.Stats().Tasks) == 1 })
			until := time.Now().Add(500 * time.Millisecond)
			b.Eventually("it is not done before the transaction is", func() bool {
				require.Equal(t, Rebalancing, i.app.State())
				return time.Now().After(until)
			})
			require.NoError(t, other.EndTransaction(t.Context(), end))
			i.running(b)
			b.Produce(&kgo.Record{Topic: p.words, Value: []byte("w1")})
			p.sent++
			p.awaitCounted(t, i)
			i.end()
			rs := b.Read(p.counts)
			n, err := serde.Int64().Decode(rs[len(rs)-1].Value)
			require.NoError(t, err)
			require.Equal(t, bool(end), n == 1001)
		})
	}
}

// storesOf makes a topology with stores of all kinds in one task. Each value that goes in comes out with the number of times that each store
// has seen it.
func storesOf(t *testing.T, in, out string) *topology.Topology {
	t.Helper()
	disk := state.KeyValue("disk", serde.String(), serde.Int64())
	memory := state.KeyValue("memory", serde.String(), serde.Int64()).InMemory()
	local := state.KeyValue("local", serde.String(), serde.Int64()).WithoutChangelog()
	passing := state.KeyValue("passing", serde.String(), serde.Int64()).WithoutChangelog().InMemory()
	s := stream.NewBuilder()
	s.Stream(text(in)).ProcessValues(func(n *stream.ValueNode[string, string]) (
		func(context.Context, stream.Record[string, string]) error, error,
	) {
		stores := []*state.KeyValueStore[string, int64]{disk.Open(n), memory.Open(n), local.Open(n), passing.Open(n)}
		return func(_ context.Context, r stream.Record[string, string]) error {
			line := ""
			for _, st := range stores {
				v, _, err := st.Get(r.Value)
				if err != nil {
					return err
				}
				if err := st.Put(r.Value, v+1); err != nil {
					return err
				}
				line += fmt.Sprintf("%d ", v+1)
			}
			return n.Forward(line)
		}, nil
	}, stream.Stores(disk, memory, local, passing)).To(text(out))
	return built(t, s)
}

func TestRestore_TreatsEachStoreByItsKind(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, out, id := b.Name("in"), b.Name("out"), b.Name("app")
	b.Create(in, 1)
	b.Create(out, 1)
	sent := 0
	life := func(dir string) (last string, s Stats) {
		cfg := quick(b, id)
		cfg.StateDir = dir
		i := launch(t, storesOf(t, in, out), cfg)
		for range 3 {
			b.Produce(&kgo.Record{Topic: in, Value: []byte("x")})
			sent++
		}
		b.Eventually("all is processed", func() bool { return committedOf(b, out) >= int64(sent) && b.Behind(id, in) == 0 })
		i.running(b)
		i.end()
		rs := b.Read(out)
		require.Len(t, rs, sent)
		return string(rs[len(rs)-1].Value), i.app.Stats()
	}
	here := t.TempDir()
	last, s := life(here)
	require.Equal(t, "3 3 3 3 ", last)
	require.Zero(t, s.Restores)
	last, s = life(here)
	require.Equal(t, "6 6 6 3 ", last)
	require.Equal(t, int64(1), s.Restores, "only the store in memory")
	last, s = life(t.TempDir())
	require.Equal(t, "9 9 3 3 ", last, "elsewhere")
	require.Equal(t, int64(2), s.Restores)
	require.Zero(t, s.Wiped)
	topics, err := b.Admin().ListTopics(t.Context())
	require.NoError(t, err)
	require.True(t, topics.Has(topology.ChangelogTopic(id, "memory")))
	require.False(t, topics.Has(topology.ChangelogTopic(id, "local")))
	require.False(t, topics.Has(topology.ChangelogTopic(id, "passing")))
}

// Clocks that do not fit in the metadata of an offset travel in the changelog.
func TestRestore_BringsLargeClocksAlong(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, out, id := b.Name("in"), b.Name("out"), b.Name("app")
	b.Create(in, 1)
	b.Create(out, 1)
	const timers = 60
	build := func() *topology.Topology {
		s := stream.NewBuilder()
		st := state.KeyValue("seen", serde.String(), serde.Int64())
		x := s.Stream(text(in))
		for i := range timers {
			x = x.ProcessValues(func(n *stream.ValueNode[string, string]) (
				func(context.Context, stream.Record[string, string]) error, error,
			) {
				n.Node().EveryStreamTime(time.Hour, func(time.Time) error { return nil })
				return func(_ context.Context, r stream.Record[string, string]) error { return n.Forward(r.Value) }, nil
			}, stream.Named(fmt.Sprintf("timer-%02d-with-a-name-that-is-long-enough-to-fill-the-metadata-of-an-offset", i)))
		}
		x.ProcessValues(func(n *stream.ValueNode[string, string]) (func(context.Context, stream.Record[string, string]) error, error) {
			seen := st.Open(n)
			return func(_ context.Context, r stream.Record[string, string]) error {
				now, _ := n.Node().StreamTime()
				if err := seen.Put(r.Value, now.UnixMilli()); err != nil {
					return err
				}
				return n.Forward(fmt.Sprintf("%d", now.UnixMilli()))
			}, nil
		}, stream.Stores(st)).To(text(out))
		return built(t, s)
	}
	var got []string
	for n, ms := range []int64{5_000_000, 10} {
		i := launch(t, build(), quick(b, id)) // in a directory of its own
		b.Produce(&kgo.Record{Topic: in, Value: []byte("x"), Timestamp: time.UnixMilli(ms)})
		b.Eventually("it is processed", func() bool { return committedOf(b, out) > int64(n) && b.Behind(id, in) == 0 })
		i.end()
	}
	for _, r := range b.Read(out) {
		got = append(got, string(r.Value))
	}
	require.Equal(t, []string{"5000000", "5000000"}, got, "stream time has not gone back")
	clocks := 0
	for _, r := range b.Read(topology.ChangelogTopic(id, "seen")) {
		for _, h := range r.Headers {
			if h.Key == task.ClocksHeader {
				clocks++
			}
		}
	}
	require.Positive(t, clocks)
}

func TestUnusable_SaysWhy(t *testing.T) {
	t.Parallel()
	id := [16]byte{1}
	a := &App{cluster: &cluster{id: "c", topicIDs: map[string]kadm.TopicID{"log": id}}}
	good := state.Checkpoint{ClusterID: "c", TopicID: id, Offset: 50, AppliedAt: time.Now()}
	x := &restoring{topic: "log", end: 100}
	require.Empty(t, a.unusable(good, x, 10))
	require.Empty(t, a.unusable(good, x, 50))
	for _, c := range []struct {
		change func(c *state.Checkpoint)
		want   string
	}{
		{func(c *state.Checkpoint) { c.ClusterID = "d" }, `it is of cluster "d"`},
		{func(c *state.Checkpoint) { c.TopicID = [16]byte{2} }, "deleted and created again"},
		{func(c *state.Checkpoint) { c.Offset = 101 }, "it is at offset 101, and the topic ends at 100"},
		{func(c *state.Checkpoint) { c.Offset = 9 }, "it is at offset 9, and the topic begins at 10"},
		{func(c *state.Checkpoint) { c.AppliedAt = time.Now().Add(-checkpointAge - time.Minute) }, "compaction may have removed deletes"},
	} {
		cp := good
		c.change(&cp)
		require.Contains(t, a.unusable(cp, x, 10), c.want)
	}
}
