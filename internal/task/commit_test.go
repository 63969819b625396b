package task_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/internal/wire"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// counted counts the records of "a" into "out"; its second input is "b".
func counted() *stream.Builder {
	b := stream.NewBuilder().OnError(dlq.Skip())
	b.Stream(lines("a")).Merge(b.Stream(lines("b"))).TryPeek(failOnBad).GroupByKey().Count(counts("counts")).
		ToStream().To(stream.NewTopic("out", serde.String(), serde.Int64()))
	return b
}

func TestPrepare_CarriesThePositionsOfAllInputs(t *testing.T) {
	t.Parallel()
	b := newBench(t, counted())
	c, err := b.task.Prepare()
	require.NoError(t, err)
	require.False(t, c.Effects)
	require.False(t, c.Moved)
	require.NoError(t, b.task.Rollback(b.start(), nil))

	b.add("a", "k", "v", 1)
	b.add("a", "k", "bad", 2)
	b.add("a", "k", "v", 3)
	b.step()
	b.step()
	require.True(t, b.task.Uncommitted())
	c = b.commit()
	require.True(t, c.Effects)
	require.True(t, c.Moved)
	require.Len(t, c.Offsets, 2)
	require.Equal(t, "a", c.Offsets[0].Topic)
	require.EqualValues(t, 2, c.Offsets[0].Offset)
	require.EqualValues(t, 3, c.Offsets[0].LeaderEpoch)
	require.NotEmpty(t, c.Offsets[0].Metadata)
	require.Equal(t, task.Offset{Topic: "b"}, c.Offsets[1])
	require.False(t, b.task.Uncommitted())
	b.step()
	c, err = b.task.Prepare()
	require.NoError(t, err)
	require.True(t, c.Moved)
}

func TestPrepare_LogsOneRecordPerRowThatChanged(t *testing.T) {
	t.Parallel()
	b := newBench(t, counted())
	for _, k := range []string{"l", "k", "l", "l"} {
		b.add("a", k, "v", 5)
	}
	b.drain()
	require.Empty(t, b.log)
	b.commit()
	require.Len(t, b.log, 2)
	require.Equal(t, "l", string(b.log[0].Key))
	require.Equal(t, []byte{0, 0, 0, 0, 0, 0, 0, 3}, b.log[0].Value)
	require.Equal(t, "test-counts-changelog", b.log[0].Topic)
	require.Equal(t, at(5), b.log[0].Timestamp)
	require.Equal(t, "k", string(b.log[1].Key))
	b.commit()
	require.Len(t, b.log, 2)
}

func TestPrepare_ChangesNothingUntilCommitted(t *testing.T) {
	t.Parallel()
	b := newBench(t, counted())
	b.add("a", "k", "v", 1)
	b.drain()
	_, err := b.task.Prepare()
	require.NoError(t, err)
	b.open() // a crash: on the same disk
	rows := 0
	for range counts("counts").Open(opener{b.task}).All() {
		rows++
	}
	require.Zero(t, rows)
}

type opener struct{ t *task.Task }

func (o opener) OpenStore(spec state.Spec) (state.Store, error) {
	return o.t.StoreNamed(spec.Info().Name), nil
}

func TestPrepare_FailsWhereTheChangelogIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, counted())
	b.add("a", "k", "v", 1)
	b.drain()
	b.refuses = errors.New("no broker")
	_, err := b.task.Prepare()
	require.ErrorIs(t, err, b.refuses)
	require.ErrorContains(t, err, "task 0_0: commit")
}

func TestCommitted_FailsWhereTheEngineDoes(t *testing.T) {
	t.Parallel()
	var diskErr error
	b := newBench(t, counted(), func(c *task.Config) {
		db, err := state.NewDB(broken{state.NewMemory(), &diskErr}, state.NewMemory())
		require.NoError(t, err)
		c.DB = db
	})
	b.add("a", "k", "v", 1)
	b.drain()
	c, err := b.task.Prepare()
	require.NoError(t, err)
	diskErr = errors.New("no space left")
	require.ErrorIs(t, b.task.Committed(c, func(state.Info) (state.Checkpoint, bool) { return state.Checkpoint{}, false }), diskErr)
}

// Whoever does not know whether its commit came through can tell by its metadata.
func TestPrepare_GivesEachCommitItsOwnMetadata(t *testing.T) {
	t.Parallel()
	b := newBench(t, counted())
	seen := map[string]bool{}
	for i := range 6 {
		b.add("a", "k", "v", 7)
		if i%2 == 0 {
			b.add("a", "k", "bad", 7) // its failure must not undo the number of the last commit
		}
		b.drain()
		c := b.commit()
		require.False(t, seen[c.Offsets[0].Metadata], "commit %d", i)
		seen[c.Offsets[0].Metadata] = true
	}
	b.add("a", "k", "bad", 7)
	for i := range 3 {
		b.drain()
		c := b.commit()
		require.False(t, seen[c.Offsets[0].Metadata], "commit of a record that failed, %d", i)
		seen[c.Offsets[0].Metadata] = true
		b.add("a", "k", "bad", 7)
	}
}

func TestStart_GoesOnFromTheClocksOfACommit(t *testing.T) {
	t.Parallel()
	program := func() *stream.Builder {
		b := stream.NewBuilder()
		b.Stream(lines("a")).Process(func(n *lineNode) (lineFunc, error) {
			return func(_ context.Context, r lineRecord) error {
				now, _ := n.StreamTime()
				return n.Forward(lineRecord{Value: now.Format(time.RFC3339Nano)})
			}, nil
		}).To(lines("out"))
		return b
	}
	b := newBench(t, program())
	b.add("a", "k", "v", 5000)
	b.drain()
	c := b.commit()

	other := newBench(t, program()) // another machine
	require.NoError(t, other.task.Rollback(map[string]int64{"a": 1}, task.DecodeMetadata(c.Offsets[0].Metadata)))
	other.next["a"] = 1
	other.add("a", "k", "v", 1000)
	other.drain()
	require.Equal(t, []string{"1970-01-01T00:00:05Z"}, other.values())

	b.open() // the same machine, without metadata
	b.next["a"] = 0
	b.add("a", "k", "v", 1000)
	b.drain()
	require.Equal(t, "1970-01-01T00:00:05Z", b.values()[1])

	err := b.task.Rollback(b.start(), []byte{99})
	require.ErrorContains(t, err, "read clocks: decode clocks")
}

func TestStart_TakesAClockThatWasSetBackFromTheLaterCommit(t *testing.T) {
	t.Parallel()
	b := newBench(t, counted())
	b.add("a", "k", "v", 5000)
	b.drain()
	b.commit()
	b.add("a", "k", "v", 5000)
	b.drain()
	b.commit()
	for _, test := range []struct{ commit, want int64 }{{9, 1000}, {0, 5000}} {
		other := wire.AppendClocks(nil, []wire.Clock{{Name: "stream", UnixMs: 1000}, {Name: "commits", UnixMs: test.commit}})
		for range 2 { // what an earlier start read does not count
			require.NoError(t, b.task.Rollback(b.start(), other))
			now, ok := b.task.Now(topology.StreamTime)
			require.True(t, ok)
			require.Equal(t, at(test.want), now)
		}
	}
}

func TestPrepare_LogsLargeClocksWhereNothingIsCutOff(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	windows := state.Window("windows", serde.String(), serde.Int64()).Retention(time.Minute)
	s := b.Stream(lines("a"))
	for i := range 100 {
		s.Process(func(n *lineNode) (lineFunc, error) {
			windows.Open(n)
			n.EveryStreamTime(time.Hour, func(time.Time) error { return nil })
			return func(context.Context, lineRecord) error { return nil }, nil
		}, stream.Named(fmt.Sprintf("%s-%d", strings.Repeat("long", 10), i)), stream.Stores(windows))
	}
	s.GroupByKey().Count(counts("counts"))
	be := newBench(t, b)
	be.add("a", "k", "v", 5000)
	be.drain()
	be.commit()
	require.Equal(t, "windows", be.task.Stores()[0].Info().Name, "it comes first")
	var topics []string
	for _, o := range be.log {
		if string(o.Key) == task.ClocksHeader {
			topics = append(topics, o.Topic)
		}
	}
	require.Equal(t, []string{"test-counts-changelog"}, topics)
}

func TestRestore_KeepsTheClocksOfTheLatestCommit(t *testing.T) {
	t.Parallel()
	record := func(commit, stream int64) *topology.Raw {
		return &topology.Raw{
			Key: []byte(task.ClocksHeader), Headers: []topology.Header{{Key: task.ClocksHeader}},
			Value: wire.AppendClocks(nil, []wire.Clock{{Name: "stream", UnixMs: stream}, {Name: "commits", UnixMs: commit}}),
		}
	}
	b := newBench(t, counted())
	for _, latest := range []int64{3, 9} {
		for _, commit := range []int64{2, latest, 1} { // from several changelogs, in any order
			step := b.task.Restore()
			require.NoError(t, step.Add(b.task.Stores()[0], record(commit, commit*1000)))
			require.NoError(t, step.Add(b.task.Stores()[0], record(0, 0)))
			require.NoError(t, step.Apply(nil))
		}
		require.NoError(t, b.task.Rollback(b.start(), nil))
		now, _ := b.task.Now(topology.StreamTime)
		require.Equal(t, at(latest*1000), now)
	}
	bad := record(10, 0)
	bad.Value = []byte{99}
	require.ErrorContains(t, b.task.Restore().Add(b.task.Stores()[0], bad), "restore clocks at offset 0")
}

func TestDecodeMetadata_TakesWhatIsNotItsOwnForNone(t *testing.T) {
	t.Parallel()
	require.Nil(t, task.DecodeMetadata(""))
	require.Nil(t, task.DecodeMetadata("not base64!"))
	require.Equal(t, []byte("x"), task.DecodeMetadata(base64.StdEncoding.EncodeToString([]byte("x"))))
}

func TestRollback_TakesTheTaskBackToItsLastCommit(t *testing.T) {
	t.Parallel()
	b := newBench(t, counted())
	b.add("a", "k", "v", 1)
	b.drain()
	clocks := task.DecodeMetadata(b.commit().Offsets[0].Metadata)
	b.add("a", "k", "v", 50)
	b.add("a", "k", "bad", 51)
	b.drain()
	b.add("a", "k", "queued", 52)
	require.Equal(t, 1, b.task.Buffered("a"))
	require.NoError(t, b.task.Rollback(map[string]int64{"a": 1, "b": 0}, clocks))
	require.Zero(t, b.task.Buffered("a"))
	require.False(t, b.task.Uncommitted())
	require.Equal(t, map[string]int64{"a": 1, "b": 0}, b.task.Positions())
	now, ok := b.task.Now(1)
	require.True(t, ok)
	require.Equal(t, at(1), now)
	b.out = nil
	b.next["a"] = 1
	b.add("a", "k", "v", 2)
	b.drain()
	require.Equal(t, []string{"\x00\x00\x00\x00\x00\x00\x00\x02"}, b.values(), "the second, not the third")
	b.commit()
	require.Zero(t, b.count(task.Dropped))
}

func TestCommitWanted_WhenUserCodeAsksOrTheRowsAreMany(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	s := b.Stream(lines("a"))
	s.Process(func(n *lineNode) (lineFunc, error) {
		return func(_ context.Context, r lineRecord) error {
			if r.Value == "now" {
				n.Commit()
			}
			return nil
		}, nil
	})
	s.ToTable(state.KeyValue("last", serde.String(), serde.String()))
	be := newBench(t, b, func(c *task.Config) { c.DirtyBytes = 10_000 })
	be.add("a", "k", "v", 1)
	be.drain()
	require.False(t, be.task.CommitWanted())
	be.add("a", "k", "now", 2)
	be.drain()
	require.True(t, be.task.CommitWanted())
	be.commit()
	require.False(t, be.task.CommitWanted())
	be.add("a", "k", string(make([]byte, 10_001)), 3)
	be.drain()
	require.True(t, be.task.CommitWanted(), "the values count")
}

func TestRestore_NamesTheRecordItCannotApply(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	w := state.Window("windows", serde.String(), serde.Int64())
	b.Stream(lines("a")).GroupByKey().Window(stream.Tumbling{Size: time.Second}).Count(w)
	be := newBench(t, b)
	r := be.task.Restore()
	raw := be.raw("test-windows-changelog", "short", "v", 1)
	require.ErrorContains(t, r.Add(be.task.StoreNamed("windows"), &raw), `task 0_0: restore store "windows" at offset 0 of "test-windows-changelog"`)
	require.Zero(t, r.Size())
}

func TestTimers_AreKnownByTheirNextTarget(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	var fired []string
	b.Stream(lines("a")).Process(func(n *lineNode) (lineFunc, error) {
		set := func(name string, every time.Duration) {
			n.EveryWallTime(every, func(time.Time) error { fired = append(fired, name); return nil })
		}
		set("slow", 3*time.Second)
		set("fast", time.Second)
		set("other", 3*time.Second)
		return func(context.Context, lineRecord) error { return nil }, nil
	})
	be := newBench(t, b)
	next, ok := be.task.NextTimer()
	require.True(t, ok)
	require.Equal(t, at(1000), next)
	require.NoError(t, be.task.Tick(at(999)))
	require.Empty(t, fired)
	require.NoError(t, be.task.Tick(at(3000)))
	require.Equal(t, "fast", fired[0], "its target was the earliest")
	require.ElementsMatch(t, []string{"fast", "slow", "other"}, fired)
	next, _ = be.task.NextTimer()
	require.Equal(t, at(4000), next)
	_, ok = newBench(t, counted()).task.NextTimer()
	require.False(t, ok)
}
