package task_test

import (
	"context"
	"errors"
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

// merged reads "a", "b" and "c" into "out".
func merged(policy dlq.Policy) *stream.Builder {
	b := stream.NewBuilder().OnError(policy)
	b.Stream(lines("a")).Merge(b.Stream(lines("b")), b.Stream(lines("c"))).TryPeek(failOnBad).To(lines("out"))
	return b
}

func TestStep_TakesTheSmallestTimestampAmongTheHeads(t *testing.T) {
	t.Parallel()
	b := newBench(t, merged(nil))
	b.add("a", "k", "a1", 1)
	b.add("a", "k", "a9", 9)
	b.add("a", "k", "a3", 3) // behind a9
	b.add("b", "k", "b4", 4)
	b.add("c", "k", "c2", 2)
	b.drain()
	require.Equal(t, []string{"a1", "c2", "b4", "a9", "a3"}, b.values())
}

func TestStep_WaitsForRecordsThatAreKnownToCome(t *testing.T) {
	t.Parallel()
	b := newBench(t, merged(nil))
	b.task.SetEnd("b", 1)
	b.add("a", "k", "a5", 5)
	b.idle()
	b.task.SetEnd("b", 0) // never back
	b.idle()
	b.add("b", "k", "b1", 1)
	b.drain()
	require.Equal(t, []string{"b1", "a5"}, b.values())
}

func TestStep_WaitsAtTheEndOfAnInputForTheIdleTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, merged(nil), func(c *task.Config) { c.Idle = time.Second })
	b.add("a", "k", "a5", 5)
	b.idle()
	b.now = b.now.Add(time.Second - 1)
	b.idle()
	b.now = b.now.Add(1)
	b.step()
	b.commit()
	require.EqualValues(t, 1, b.count(task.Forced))
	b.add("a", "k", "a6", 6)
	b.add("b", "k", "b7", 7)
	b.add("c", "k", "c8", 8)
	b.step()
	b.commit()
	require.EqualValues(t, 1, b.count(task.Forced), "all heads are here")
}

func TestStep_MovesOverControlRecords(t *testing.T) {
	t.Parallel()
	b := newBench(t, merged(nil))
	control := func() topology.Raw { r := b.raw("a", "", "", 0); r.Control = true; return r }
	b.task.Add("a", []topology.Raw{control(), b.raw("a", "k", "a1", 1), control(), control()})
	b.drain()
	require.Equal(t, []string{"a1"}, b.values())
	require.Equal(t, map[string]int64{"a": 4, "b": 0, "c": 0}, b.task.Positions())
	b.task.Add("a", []topology.Raw{control()})
	b.drain()
	require.EqualValues(t, 5, b.task.Positions()["a"], "alone, too")
}

func TestAdd_DropsRecordsThatItHasSeen(t *testing.T) {
	t.Parallel()
	b := newBench(t, merged(nil))
	one, two := b.raw("a", "k", "a1", 1), b.raw("a", "k", "a2", 2)
	b.task.Add("a", []topology.Raw{one})
	b.task.Add("a", []topology.Raw{one, two})
	require.Equal(t, 2, b.task.Buffered("a"))
	b.drain()
	b.task.Add("a", []topology.Raw{one, two})
	b.drain()
	require.Equal(t, []string{"a1", "a2"}, b.values())
	b.task.Add("other", []topology.Raw{one})
	require.Zero(t, b.task.Buffered("other"))
}

func TestAdd_KeepsItsOrderOverManyRecords(t *testing.T) {
	t.Parallel()
	b := newBench(t, merged(nil))
	var want []string
	for i := range 5000 {
		v := string(rune('a' + i%26))
		b.add("a", "k", v, int64(i))
		want = append(want, v)
		if i%3 > 0 {
			b.step()
		}
	}
	b.drain()
	require.Equal(t, want, b.values())
}

func TestStep_LeavesOutputsInOrderAndOnlyWhenTheRecordIsDone(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Skip())
	s := b.Stream(lines("a"))
	s.To(lines("one"))
	s.To(lines("two"))
	s.TryPeek(failOnBad).To(lines("three"))
	be := newBench(t, b)
	be.add("a", "k", "bad", 1)
	be.add("a", "k", "v", 2)
	be.step()
	require.Empty(t, be.out)
	be.step()
	var topics []string
	for _, o := range be.out {
		topics = append(topics, o.Topic)
		require.Equal(t, at(2), o.Timestamp)
	}
	require.Equal(t, []string{"one", "two", "three"}, topics)
}

func TestStep_FailsWhereAnOutputIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, merged(dlq.Skip()))
	b.add("a", "k", "v", 1)
	b.refuse = errors.New("no broker")
	_, err := b.task.Step(b.now)
	require.ErrorIs(t, err, b.refuse)
	require.ErrorContains(t, err, `task 0_0: produce to topic "out"`)
}

func TestStep_RefusesATopicThatDoesNotExist(t *testing.T) {
	t.Parallel()
	b := newBench(t, merged(dlq.Send()), func(c *task.Config) {
		c.Partitions = func(topic string) (int32, error) { return 0, errors.New("unknown topic") }
	})
	b.add("a", "k", "v", 1)
	_, err := b.task.Step(b.now)
	require.ErrorContains(t, err, `send the record to dead-letter topic "a.dlq": unknown topic; its failure was: process at node "out-sink": write to topic "out"`)
}

func TestNextAttempt_IsThatOfTheEarliestRetry(t *testing.T) {
	t.Parallel()
	b := newBench(t, merged(dlq.Retry(9, dlq.Constant(time.Second))))
	_, ok := b.task.NextAttempt()
	require.False(t, ok)
	b.add("a", "k", "bad", 1)
	b.step()
	b.now = b.now.Add(time.Millisecond)
	b.add("b", "k", "bad", 1)
	b.step()
	next, ok := b.task.NextAttempt()
	require.True(t, ok)
	require.Equal(t, at(1000), next)
}

// broken is an engine that can be made to fail.
type broken struct {
	state.Engine
	err *error
}

func (b broken) Get(dst, key []byte) ([]byte, bool, error) {
	if *b.err != nil {
		return dst, false, *b.err
	}
	return b.Engine.Get(dst, key)
}

func (b broken) Iterate(lo, hi []byte, reverse bool) (state.Iterator, error) {
	if *b.err != nil {
		return nil, *b.err
	}
	return b.Engine.Iterate(lo, hi, reverse)
}

func (b broken) Apply(batch state.Batch) error {
	if *b.err != nil {
		return *b.err
	}
	return b.Engine.Apply(batch)
}

// A disk that fails is no fault of the record: no policy absorbs it, and no user code hides it.
func TestStep_FailsWithTheEngineWhateverUserCodeMakesOfIt(t *testing.T) {
	t.Parallel()
	store := state.KeyValue("store", serde.String(), serde.String())
	for name, use := range map[string]func(st *state.KeyValueStore[string, string], n *lineNode, r lineRecord) error{
		"returned": func(st *state.KeyValueStore[string, string], _ *lineNode, r lineRecord) error {
			_, _, err := st.Get(r.Key)
			return err
		},
		"swallowed": func(st *state.KeyValueStore[string, string], _ *lineNode, r lineRecord) error {
			_, _, _ = st.Get(r.Key)
			return nil
		},
		"hidden": func(st *state.KeyValueStore[string, string], _ *lineNode, r lineRecord) error {
			_, _, err := st.Get(r.Key)
			return errors.New(err.Error())
		},
		"panicked with": func(st *state.KeyValueStore[string, string], _ *lineNode, r lineRecord) error {
			_, _, err := st.Get(r.Key)
			panic(err.Error())
		},
		"skipped": func(st *state.KeyValueStore[string, string], _ *lineNode, r lineRecord) error {
			for range st.All() {
			}
			return stream.ErrSkip
		},
		"of a node below, swallowed": func(_ *state.KeyValueStore[string, string], n *lineNode, r lineRecord) error {
			_ = n.Forward(r)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var diskErr error
			b := stream.NewBuilder().OnError(dlq.Skip())
			b.Stream(lines("a")).ProcessValues(func(n *stream.ValueNode[string, string]) (lineFunc, error) {
				st := store.Open(n)
				return func(_ context.Context, r lineRecord) error { return use(st, n.Node(), r) }, nil
			}, stream.Stores(store)).GroupByKey().Count(counts("counts"))
			be := newBench(t, b, func(c *task.Config) {
				db, err := state.NewDB(broken{state.NewMemory(), &diskErr}, state.NewMemory())
				require.NoError(t, err)
				c.DB = db
			})
			be.add("a", "k", "v", 1)
			diskErr = errors.New("no space left")
			_, err := be.task.Step(be.now)
			require.ErrorIs(t, err, diskErr)
			engine, ok := errors.AsType[*state.EngineError](err)
			require.True(t, ok)
			require.NotEmpty(t, engine.Store)
			require.ErrorContains(t, err, `topic "a" partition 0 offset 0`)
			require.Zero(t, be.task.Positions()["a"])
			diskErr = nil
			require.NoError(t, be.task.Rollback(be.start(), nil))
			be.next["a"] = 0
			be.add("a", "k", "v", 1)
			if name != "panicked with" && name != "hidden" {
				be.drain()
				require.EqualValues(t, 1, be.task.Positions()["a"], "on a disk that works")
			}
		})
	}
}
