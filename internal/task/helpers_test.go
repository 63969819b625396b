package task_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

type (
	lineRecord = stream.Record[string, string]
	lineNode   = stream.Node[string, string]
	lineFunc   = func(context.Context, lineRecord) error
)

var errBad = errors.New("bad value")

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func lines(name string) stream.Topic[string, string] {
	return stream.NewTopic(name, serde.String(), serde.String())
}

func counts(name string) state.KeyValueSpec[string, int64] {
	return state.KeyValue(name, serde.String(), serde.Int64())
}

// A bench is a driver of one task: it keeps what the task gives it.
type bench struct {
	t       *testing.T
	top     *topology.Topology
	disk    state.Engine
	task    *task.Task
	config  task.Config
	now     time.Time
	out     []topology.Output
	log     []topology.Output
	refuse  error // of Output
	refuses error // of Changelog
	next    map[string]int64
}

// newBench builds the program and starts its first subtopology.
func newBench(t *testing.T, b *stream.Builder, change ...func(c *task.Config)) *bench {
	t.Helper()
	top, err := b.Build()
	require.NoError(t, err)
	be := &bench{t: t, top: top, disk: state.NewMemory(), now: at(0), next: map[string]int64{}}
	be.config = task.Config{
		Application: "test", Topology: top, Subtopologies: top.Subtopologies()[:1], Context: t.Context(),
		Output: func(o topology.Output) error {
			if be.refuse == nil {
				be.out = append(be.out, o)
			}
			return be.refuse
		},
		Changelog: func(o topology.Output) error {
			if be.refuses == nil {
				be.log = append(be.log, o)
			}
			return be.refuses
		},
		Partitions: func(string) (int32, error) { return 1, nil },
		Now:        func() time.Time { return be.now },
		CacheBytes: 1 << 20,
	}
	for _, f := range change {
		f(&be.config)
	}
	be.open()
	return be
}

type kept struct{ state.Engine }

func (kept) Close() error { return nil }

// open opens the task anew and starts it at the beginning of its topics.
func (b *bench) open() {
	b.t.Helper()
	if b.config.DB == nil {
		db, err := state.NewDB(kept{b.disk}, state.NewMemory())
		require.NoError(b.t, err)
		b.config.DB = db
	}
	var err error
	b.task, err = task.Open(b.config)
	require.NoError(b.t, err)
	require.NoError(b.t, b.task.Start(b.start(), nil))
}

func (b *bench) start() map[string]int64 {
	positions := map[string]int64{}
	for _, sub := range b.config.Subtopologies {
		for _, src := range sub.SourceTopics("test") {
			positions[src.Name] = 0
		}
	}
	return positions
}

func (b *bench) raw(topic, key, value string, ms int64) topology.Raw {
	r := topology.Raw{Topic: topic, Offset: b.next[topic], LeaderEpoch: 3, Key: []byte(key), Value: []byte(value), TimestampMs: ms}
	b.next[topic]++
	return r
}

func (b *bench) add(topic, key, value string, ms int64) {
	b.task.Add(topic, []topology.Raw{b.raw(topic, key, value, ms)})
}

// step steps once and demands that there is something to do.
func (b *bench) step() {
	b.t.Helper()
	did, err := b.task.Step(b.now)
	require.NoError(b.t, err)
	require.True(b.t, did)
}

func (b *bench) idle() {
	b.t.Helper()
	did, err := b.task.Step(b.now)
	require.NoError(b.t, err)
	require.False(b.t, did)
}

// drain steps until nothing is left to do.
func (b *bench) drain() {
	b.t.Helper()
	for {
		did, err := b.task.Step(b.now)
		require.NoError(b.t, err)
		if !did {
			return
		}
	}
}

func (b *bench) commit() *task.Commit {
	b.t.Helper()
	c, err := b.task.Prepare()
	require.NoError(b.t, err)
	require.NoError(b.t, b.task.Committed(c, func(state.Info) (state.Checkpoint, bool) {
		return state.Checkpoint{Offset: int64(len(b.log))}, true
	}))
	return c
}

// values are the values written, in order.
func (b *bench) values() []string {
	out := []string{}
	for _, o := range b.out {
		out = append(out, string(o.Value))
	}
	return out
}

func (b *bench) count(kind task.CountKind) int64 {
	n := int64(0)
	for _, c := range b.task.Counts() {
		if c.Kind == kind {
			n += c.N
		}
	}
	return n
}

func failOnBad(_ context.Context, _, v string) error {
	if v == "bad" {
		return errBad
	}
	return nil
}
