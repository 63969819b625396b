package task_test

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
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

var rates = state.KeyValue("rates", serde.String(), serde.String())

// A globalBench drives the global stores of a topology.
type globalBench struct {
	t      *testing.T
	top    *topology.Topology
	disk   state.Engine
	db     *state.DB
	global *task.Global
	cancel context.CancelFunc
	now    time.Time
}

func newGlobalBench(t *testing.T, b *stream.Builder) *globalBench {
	t.Helper()
	b.Stream(lines("in")).ForEach(func(string, string) {})
	top, err := b.Build()
	require.NoError(t, err)
	g := &globalBench{t: t, top: top, disk: state.NewMemory(), now: at(0)}
	g.open()
	return g
}

func (g *globalBench) open() {
	g.t.Helper()
	var err error
	g.db, err = state.NewDB(g.disk, state.NewMemory())
	require.NoError(g.t, err)
	ctx, cancel := context.WithCancel(g.t.Context())
	g.cancel = cancel
	g.t.Cleanup(cancel)
	g.global, err = task.OpenGlobal(task.GlobalConfig{Application: "test", Topology: g.top, DB: g.db, Context: ctx, DirtyBytes: 2000})
	require.NoError(g.t, err)
	for i, gl := range g.top.Globals() {
		for p := range int32(2) {
			cp, _, err := g.db.PartitionCheckpoint(gl.Store().Info(), p)
			require.NoError(g.t, err)
			g.global.Begin(i, p, cp.Offset)
		}
	}
}

// add queues records key=value, from an offset on; a "-" is a transaction marker.
func (g *globalBench) add(partition int32, from int64, records ...[2]string) {
	var raws []topology.Raw
	for i, r := range records {
		raw := topology.Raw{Topic: "rates", Partition: partition, Offset: from + int64(i), Key: []byte(r[0]), Value: []byte(r[1]), TimestampMs: -7}
		if r[0] == "-" {
			raw.Control = true
		}
		if r[1] == "" {
			raw.Value = nil
		}
		raws = append(raws, raw)
	}
	g.global.Add("rates", partition, raws)
}

func (g *globalBench) steps() (n int, err error) {
	for {
		did, err := g.global.Step(g.now)
		if err != nil || !did {
			return n, err
		}
		n++
	}
}

func (g *globalBench) commit() {
	g.t.Helper()
	require.NoError(g.t, g.global.Commit(false, func(topic string, _ int32, offset int64, _ int32) state.Checkpoint {
		require.Equal(g.t, "rates", topic)
		return state.Checkpoint{Offset: offset, AppliedAt: g.now}
	}))
}

func (g *globalBench) rows() []string {
	g.t.Helper()
	c, err := g.global.Committed("rates")
	require.NoError(g.t, err)
	view, err := rates.ViewOf(c)
	require.NoError(g.t, err)
	out := []string{}
	for e, err := range view.All() {
		require.NoError(g.t, err)
		out = append(out, fmt.Sprintf("%s=%s@%d", e.Key, e.Value, e.Timestamp.UnixMilli()))
	}
	return out
}

func TestGlobal_ShowsRowsWhenTheyAreCommitted(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.GlobalTable(lines("rates"), rates)
	g := newGlobalBench(t, b)
	g.add(0, 5, [2]string{"a", "1"}, [2]string{"-", ""}, [2]string{"b", "2"})
	g.add(1, 0, [2]string{"c", "3"})
	g.add(7, 0, [2]string{"d", "4"})
	n, err := g.steps()
	require.NoError(t, err)
	require.Equal(t, 3, n, "a partition that has not begun is not applied")
	require.Empty(t, g.rows())
	g.commit()
	require.Equal(t, []string{"a=1@-7", "b=2@-7", "c=3@-7"}, g.rows(), "timestamps are kept as they are")
	at, ok := g.global.Position("rates", 0)
	require.True(t, ok)
	require.EqualValues(t, 8, at)
	_, ok = g.global.Position("rates", 7)
	require.False(t, ok)
	g.add(0, 8, [2]string{"a", "lost"})
	_, err = g.steps()
	require.NoError(t, err)
	g.open()
	g.add(0, 7, [2]string{"b", "again"}, [2]string{"a", ""}, [2]string{"b", "9"})
	n, err = g.steps()
	require.NoError(t, err)
	require.Equal(t, 2, n, "what the checkpoint covers is passed over")
	g.commit()
	require.Equal(t, []string{"b=9@-7", "c=3@-7"}, g.rows())
}

func TestGlobal_AppliesARecordWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	fails := true
	b.GlobalStore(lines("rates"), rates, func(n *stream.GlobalNode) (lineFunc, error) {
		st := rates.Open(n)
		return func(_ context.Context, r lineRecord) error {
			if err := errors.Join(st.Put(r.Key+"1", r.Value), st.Put(r.Key+"2", r.Value)); err != nil {
				return err
			}
			switch {
			case r.Key == "panic":
				panic("no")
			case r.Key == "wait" && fails:
				return errBad
			case r.Key == "down" && fails:
				return serde.Unavailable(errBad)
			case r.Key == "skip":
				return stream.ErrSkip
			case r.Key == "reject":
				return dlq.Reject("no-good", nil)
			}
			return nil
		}, nil
	}, stream.OnError(dlq.Retry(2, dlq.Constant(time.Second)).Then(dlq.Skip())))
	g := newGlobalBench(t, b)
	g.add(0, 0, [2]string{"reject", "r"}, [2]string{"a", "1"}, [2]string{"wait", "2"}, [2]string{"b", "3"})
	g.add(1, 0, [2]string{"c", "4"}, [2]string{"down", "5"}, [2]string{"skip", "6"})
	_, err := g.steps()
	require.NoError(t, err)
	g.commit()
	require.Equal(t, []string{"a1=1@-7", "a2=1@-7", "c1=4@-7", "c2=4@-7"}, g.rows(), "a retry holds its partition up")
	next, ok := g.global.NextAttempt()
	require.True(t, ok)
	require.Equal(t, at(1000), next)
	g.now = next
	fails = false
	_, err = g.steps()
	require.NoError(t, err)
	g.commit()
	require.Len(t, g.rows(), 12)
	_, ok = g.global.NextAttempt()
	require.False(t, ok)
	g.add(0, 4, [2]string{"panic", "7"}, [2]string{"d", "8"})
	for range 3 {
		_, err = g.steps()
		require.NoError(t, err)
		g.now = g.now.Add(time.Second)
	}
	g.commit()
	require.Len(t, g.rows(), 14)
	got := map[string]int64{}
	for _, c := range g.global.Counts() {
		got[string(c.Kind)+" "+c.Reason] = c.N
	}
	require.Equal(t, map[string]int64{
		"dropped failed": 2, "dropped skipped": 1, "retried process": 3, "retried unavailable": 1,
	}, got)
}

func TestGlobal_FailsWithTheRecordNamed(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.GlobalTable(stream.NewTopic("rates", serde.String(), serde.Int64()), state.KeyValue("rates", serde.String(), serde.Int64()))
	g := newGlobalBench(t, b)
	g.add(1, 3, [2]string{"a", "no number"})
	_, err := g.steps()
	require.ErrorContains(t, err, `global store "rates": topic "rates" partition 1 offset 3: `)
	require.ErrorContains(t, err, "decode value as int64")
	var f *dlq.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, dlq.Decode, f.Stage)
	g.cancel()
	_, err = g.steps()
	require.Error(t, err, "a stop asks no policy")
}

func TestGlobal_AsksForACommitWhereItsRowsGrow(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.GlobalTable(lines("rates"), rates)
	g := newGlobalBench(t, b)
	for i := range 40 {
		g.add(0, int64(i), [2]string{fmt.Sprint("k", i), "v"})
	}
	require.False(t, g.global.CommitDue())
	_, err := g.steps()
	require.NoError(t, err)
	require.True(t, g.global.CommitDue())
	g.commit()
	require.False(t, g.global.CommitDue())
}
