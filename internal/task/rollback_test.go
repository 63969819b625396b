package task_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

type tally map[string]int

// relay is a program whose aggregation changes a map in place, with windows, a timer and records that fail behind all of it.
func relay(clone bool) *stream.Builder {
	tallies := state.KeyValue("tallies", serde.String(), serde.JSON[tally]())
	if clone {
		tallies = tallies.Clone(maps.Clone)
	}
	b := stream.NewBuilder().OnError(dlq.Skip())
	s := b.Stream(lines("a"))
	s.GroupByKey().
		Aggregate(func() tally { return tally{} }, func(_, v string, t tally) tally { t[v]++; return t }, tallies).
		ToStream().MapValues(func(t tally) string { return fmt.Sprint(t) }).To(lines("tallies"))
	s.GroupByKey().Window(stream.Tumbling{Size: 10 * time.Millisecond}, stream.OnClose).Count(state.Window("windows", serde.String(), serde.Int64())).
		ToStream(func(w stream.Windowed[string]) string { return w.String() }).MapValues(func(n int64) string { return fmt.Sprint(n) }).
		To(lines("windows"))
	s.Process(func(n *lineNode) (lineFunc, error) {
		total := counts("total").Open(n)
		n.EveryStreamTime(15*time.Millisecond, func(now time.Time) error {
			v, _, err := total.Get("all")
			return errors.Join(err, n.Forward(lineRecord{Value: fmt.Sprint(v), Timestamp: now}))
		})
		return func(context.Context, lineRecord) error {
			v, _, err := total.Get("all")
			return errors.Join(err, total.Put("all", v+1))
		}, nil
	}, stream.Stores(counts("total")), stream.Named("clockwork")).To(lines("ticks"))
	s.TryPeek(failOnBad)
	return b
}

// outputs are what was written, without what a rollback took back.
func (b *bench) outputs() []string {
	var out []string
	for _, o := range b.out {
		out = append(out, fmt.Sprintf("%s: %s=%s@%d", o.Topic, o.Key, o.Value, o.Timestamp.UnixMilli()))
	}
	return out
}

func TestRollback_AtAnyPointLeavesTheResultsOfARunWithoutOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		type step struct{ key, value, then string }
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				rapid.SampledFrom([]string{"k", "l", "m"}).Draw(t, "key"), rapid.SampledFrom([]string{"a", "b", "bad"}).Draw(t, "value"),
				rapid.SampledFrom([]string{"", "", "commit", "roll back", "prepare and roll back"}).Draw(t, "then"),
			}
		}), 1, 80).Draw(rt, "steps")
		times := rapid.SliceOfN(rapid.Int64Range(0, 200), len(steps), len(steps)).Draw(rt, "times")
		program := func(c *task.Config) { c.CacheBytes = rapid.SampledFrom([]int64{0, 400, 1 << 20}).Draw(rt, "cache") }
		clone := rapid.Bool().Draw(rt, "clone")

		calm, rough := newBench(t, relay(clone), program), newBench(t, relay(clone), program)
		for i, s := range steps {
			calm.add("a", s.key, s.value, times[i])
		}
		calm.drain()
		calm.commit()

		position, clocks, kept := int64(0), []byte(nil), 0
		commit := func() {
			c := rough.commit()
			position, clocks, kept = c.Offsets[0].Offset, task.DecodeMetadata(c.Offsets[0].Metadata), len(rough.out)
		}
		for i := 0; i < len(steps); i++ {
			s := steps[i]
			rough.next["a"] = int64(i)
			rough.add("a", s.key, s.value, times[i])
			rough.step()
			switch s.then {
			case "commit":
				commit()
			case "prepare and roll back", "roll back":
				steps[i].then = "" // once
				if s.then != "roll back" {
					_, err := rough.task.Prepare()
					require.NoError(rt, err)
				}
				require.NoError(rt, rough.task.Rollback(map[string]int64{"a": position}, clocks))
				require.Equal(rt, position, rough.task.Positions()["a"])
				rough.out = rough.out[:kept]
				i = int(position) - 1
			}
		}
		commit()
		require.Equal(rt, calm.outputs(), rough.outputs())
		require.Equal(rt, calm.rows(), rough.rows())
		calm.open()
		require.Equal(rt, calm.rows(), rough.rows(), "and on the disk")
		require.Equal(rt, calm.task.Counts(), []task.Count{}, "counts begin anew")
	})
}

func (b *bench) rows() []string {
	b.t.Helper()
	var rows []string
	for e, err := range state.KeyValue("tallies", serde.String(), serde.JSON[tally]()).Open(opener{b.task}).All() {
		require.NoError(b.t, err)
		rows = append(rows, fmt.Sprint(e.Key, e.Value, e.Timestamp))
	}
	for e, err := range state.Window("windows", serde.String(), serde.Int64()).Open(opener{b.task}).All() {
		require.NoError(b.t, err)
		rows = append(rows, fmt.Sprint(e.Key.Key, e.Key.Start, e.Value, e.Timestamp))
	}
	return rows
}
