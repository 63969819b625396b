package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// An instance is an App that runs in a test.
type instance struct {
	t    *testing.T
	app  *App
	stop context.CancelFunc
	done chan struct{}
	err  error // of Run, once done is closed
}

// quick is a configuration for tests: everything that waits waits little.
func quick(b *testbroker.Broker, application string) Config {
	return Config{
		ApplicationID: application, Brokers: b.Addrs(), Workers: 2, CommitInterval: 30 * time.Millisecond, FlushInterval: 300 * time.Millisecond,
		SessionTimeout: 6 * time.Second, RebalanceTimeout: 10 * time.Second, TransactionTimeout: 5 * time.Second, RequestTimeout: 20 * time.Second,
		MemoryBytes: 32 << 20, ClientOptions: []kgo.Opt{cheapCompression()},
	}
}

// cheapCompression replaces LZ4, over whose large buffers the race detector takes minutes.
func cheapCompression() kgo.Opt {
	c, err := kgo.DefaultCompressor(kgo.SnappyCompression())
	if err != nil {
		panic(err)
	}
	return kgo.WithCompressor(c)
}

// launch runs an application until the test ends, or until end is called. The changes are made before it runs.
func launch(t *testing.T, top *topology.Topology, cfg Config, changes ...func(a *App)) *instance {
	t.Helper()
	if cfg.StateDir == "" {
		cfg.StateDir = t.TempDir()
	}
	if cfg.Logger == nil {
		cfg.Logger = testLogger(t)
	}
	app, err := New(top, cfg)
	require.NoError(t, err)
	for _, f := range changes {
		f(app)
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &instance{t: t, app: app, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		i.err = app.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-i.done
	})
	return i
}

// end stops the instance and demands that it ends well.
func (i *instance) end() {
	i.t.Helper()
	i.stop()
	require.NoError(i.t, i.wait())
	require.Equal(i.t, Stopped, i.app.State())
}

// wait returns the error of Run when it has ended.
func (i *instance) wait() error {
	i.t.Helper()
	select {
	case <-i.done:
		return i.err
	case <-time.After(time.Minute):
		require.FailNow(i.t, "Run does not return")
		return nil
	}
}

// running waits for the instance to run, and fails if it ends instead.
func (i *instance) running(b *testbroker.Broker) {
	i.t.Helper()
	b.Eventually("the instance runs", func() bool {
		select {
		case <-i.done:
			require.NoError(i.t, i.err)
			return true
		default:
			return i.app.State() == Running
		}
	})
}

// testLogger writes to the test's log, while the test runs.
func testLogger(t *testing.T) *slog.Logger {
	w := &logWriter{t: t}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.t = nil
	})
	return slog.New(slog.NewTextHandler(w, nil))
}

type logWriter struct {
	mu sync.Mutex
	t  *testing.T
}

func (w *logWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t != nil {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// A pipeline is a topology with a repartition and a count, its topics, and what an instance of it was seen to do.
type pipeline struct {
	b             *testbroker.Broker
	words, counts string
	application   string
	partitions    int
	sent          int
}

func newPipeline(b *testbroker.Broker, partitions int) *pipeline {
	p := &pipeline{b: b, words: b.Name("words"), counts: b.Name("counts"), application: b.Name("app"), partitions: partitions}
	b.Create(p.words, int32(partitions))
	b.Create(p.counts, int32(partitions))
	return p
}

const wordKinds = 17

// build makes a topology whose records pass by the trace, behind each source.
func (p *pipeline) build(t *testing.T, tr *trace) *topology.Topology {
	t.Helper()
	s := stream.NewBuilder()
	s.Stream(stream.NewTopic(p.words, serde.String(), serde.String())).
		Process(tr.tap).
		SelectKey(func(_, word string) string { return word }).
		Repartition(stream.NewRepartition("by-word", serde.String(), serde.String())).
		ProcessValues(tr.tapValues).
		GroupByKey().
		Count(state.KeyValue("counts", serde.String(), serde.Int64())).
		ToStream().
		To(stream.NewTopic(p.counts, serde.String(), serde.Int64()))
	top, err := s.Build()
	require.NoError(t, err)
	return top
}

// repartition is the name of the topic in the middle.
func (p *pipeline) repartition() string { return topology.RepartitionTopic(p.application, "by-word") }

// send produces n more words.
func (p *pipeline) send(n int) {
	rs := make([]*kgo.Record, n)
	for i := range rs {
		k := p.sent + i
		rs[i] = &kgo.Record{
			Topic: p.words, Partition: int32(k % p.partitions), Key: []byte(fmt.Sprintf("k%d", k)), Value: []byte(fmt.Sprintf("w%d", k%wordKinds)),
		}
	}
	p.b.Produce(rs...)
	p.sent += n
}

// counted tells whether all that was sent is counted, and committed.
func (p *pipeline) counted() bool {
	if committedOf(p.b, p.counts) < int64(p.sent) {
		return false
	}
	return p.b.Behind(p.application, p.words) == 0 && p.b.Behind(p.application, p.repartition()) == 0
}

// awaitCounted returns when all is counted, and fails when an instance ends before.
func (p *pipeline) awaitCounted(t *testing.T, instances ...*instance) {
	t.Helper()
	p.b.Eventually("everything is counted", func() bool {
		for _, i := range instances {
			select {
			case <-i.done:
				require.NoError(t, i.err)
				return true
			default:
			}
		}
		return p.counted()
	})
}

// A trace notes which records an instance processes, and where it was rolled back to.
type trace struct {
	b           *testbroker.Broker
	application string

	mu        sync.Mutex
	wired     int
	last      map[topicPartition]seen
	pending   map[topicPartition]target
	resumed   map[topicPartition][]target
	errs      []string
	rollbacks int
	records   map[string]int // processed, by topic
	holdAt    int            // the number of records until one is held up
	release   <-chan struct{}
}

type seen struct {
	wiring int
	offset int64
}

// target is a position that a task was taken back to, and the first record that it processed then.
type target struct {
	wiring           int
	position, record int64
}

func newTrace(p *pipeline) *trace {
	return &trace{
		b: p.b, application: p.application, last: map[topicPartition]seen{}, pending: map[topicPartition]target{},
		resumed: map[topicPartition][]target{}, records: map[string]int{},
	}
}

func (tr *trace) wire() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.wired++
	return tr.wired
}

func (tr *trace) tap(n *stream.Node[string, string]) (func(context.Context, stream.Record[string, string]) error, error) {
	wiring := tr.wire()
	return func(ctx context.Context, r stream.Record[string, string]) error {
		tr.note(wiring, stream.Metadata(ctx))
		return n.Forward(r)
	}, nil
}

func (tr *trace) tapValues(n *stream.ValueNode[string, string]) (func(context.Context, stream.Record[string, string]) error, error) {
	wiring := tr.wire()
	return func(ctx context.Context, r stream.Record[string, string]) error {
		tr.note(wiring, stream.Metadata(ctx))
		return n.Forward(r.Value)
	}, nil
}

// note checks that offsets go up while a task is wired, and keeps the first one behind a rollback.
func (tr *trace) note(wiring int, m topology.Metadata) {
	tr.mu.Lock()
	if tr.holdAt--; tr.holdAt == 0 {
		tr.mu.Unlock()
		<-tr.release
		tr.mu.Lock()
	}
	defer tr.mu.Unlock()
	tp := topicPartition{m.Topic, m.Partition}
	if l := tr.last[tp]; l.wiring == wiring && m.Offset <= l.offset {
		tr.errs = append(tr.errs, fmt.Sprintf("%v: offset %d comes after %d", tp, m.Offset, l.offset))
	}
	tr.last[tp] = seen{wiring, m.Offset}
	tr.records[m.Topic]++
	if p, ok := tr.pending[tp]; ok {
		delete(tr.pending, tp)
		if wiring <= p.wiring {
			p.record = m.Offset
			tr.resumed[tp] = append(tr.resumed[tp], p)
		}
	}
}

// block holds up a record, the n-th one from now, until release is closed.
func (tr *trace) block(release <-chan struct{}, n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.holdAt, tr.release = n, release
}

// holds tells that the record to be held up has come.
func (tr *trace) holds() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.holdAt <= 0
}

// rolledBack is the number of rollbacks of tasks.
func (tr *trace) rolledBack() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.rollbacks
}

// of is the number of records of a topic that were processed.
func (tr *trace) of(topic string) int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.records[topic]
}

// observe makes the trace the observer of the application's rollbacks. Each position must be the one that the group has.
func (tr *trace) observe(a *App) {
	a.rolledBack = func(id topology.TaskID, positions map[string]int64) {
		committed := tr.b.Committed(tr.application)
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.rollbacks++
		for topic, at := range positions {
			tp := topicPartition{topic, id.Partition}
			if c := max(committed[topic][id.Partition], 0); c != at {
				tr.errs = append(tr.errs, fmt.Sprintf("%v: rolled back to %d, and the group is at %d", tp, at, c))
			}
			tr.pending[tp] = target{wiring: tr.wired, position: at}
		}
	}
}

// requireResumed demands that after each rollback the next record was the first one at or behind the committed offset.
func (tr *trace) requireResumed(t *testing.T) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	require.Empty(t, tr.errs)
	for tp, targets := range tr.resumed {
		offsets := []int64{}
		for _, r := range tr.b.Read(tp.topic) {
			if r.Partition == tp.partition {
				offsets = append(offsets, r.Offset)
			}
		}
		for _, x := range targets {
			want := int64(-1)
			for _, o := range offsets {
				if o >= x.position {
					want = o
					break
				}
			}
			require.Equal(t, want, x.record, "%v: the first record behind the rollback to %d", tp, x.position)
		}
	}
}

// transactionalID is that of a worker of an instance with this state directory.
func transactionalID(t *testing.T, cfg Config, worker int) string {
	t.Helper()
	id, err := readProcessID(filepath.Join(cfg.StateDir, cfg.ApplicationID, "process-id"))
	require.NoError(t, err)
	return fmt.Sprintf("%s-%s-%d", cfg.ApplicationID, id, worker)
}

// names lists a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
