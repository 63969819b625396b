package state_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

func joinBufferSpec() state.JoinBufferSpec[string, int64] {
	return state.JoinBuffer("waiting", serde.String(), serde.Int64())
}

// waiting lists what a read yields.
func waiting(t fataler, seq func(func(state.BufferEntry[string, int64], error) bool)) []string {
	t.Helper()
	out := []string{}
	for e, err := range seq {
		require.NoError(t, err)
		out = append(out, fmt.Sprintf("%05d %s %d", e.At.UnixMilli(), e.Key, e.Value))
	}
	return out
}

func TestJoinBuffer_IsAListByTimeKeyAndArrivalThatCommitsAndRollsBack(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		rapid.Check(t, func(rt *rapid.T) {
			r := newRoom(rt, open(), joinBufferSpec(), rapid.SampledFrom([]int64{0, 300, 1 << 20}).Draw(rt, "cache"))
			s := joinBufferSpec().Open(r)
			var now, released, committed []string // in order: keys are of one length, numbers grow
			n := int64(0)
			time := rapid.Int64Range(0, 20)
			check := func(rt *rapid.T) {
				rt.Helper()
				require.Equal(rt, append([]string{}, now...), waiting(rt, s.All()))
				until := time.Draw(rt, "until")
				want := []string{}
				for _, x := range now {
					if x[:5] <= fmt.Sprintf("%05d", until) {
						want = append(want, x)
					}
				}
				require.Equal(rt, want, waiting(rt, s.Until(at(until))))
			}
			rt.Repeat(map[string]func(*rapid.T){
				"": check,
				"add": func(rt *rapid.T) {
					n++
					ms, k := time.Draw(rt, "at"), rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "key")
					require.NoError(rt, s.Add(at(ms), k, n))
					x := fmt.Sprintf("%05d %s %d", ms, k, n)
					i := 0
					for i < len(now) && now[i][:7] <= x[:7] {
						i++
					}
					now = append(append(append([]string{}, now[:i]...), x), now[i:]...)
				},
				"take": func(rt *rapid.T) {
					until, most := time.Draw(rt, "take until"), rapid.IntRange(1, 3).Draw(rt, "most")
					want, rest := []string{}, []string{}
					for _, x := range now {
						if x[:5] <= fmt.Sprintf("%05d", until) && len(want) < most {
							want = append(want, x)
						} else {
							rest = append(rest, x)
						}
					}
					now = rest
					got := []string{}
					for e, err := range s.Until(at(until)) {
						require.NoError(rt, err)
						got = append(got, fmt.Sprintf("%05d %s %d", e.At.UnixMilli(), e.Key, e.Value))
						if s.Remove(e); len(got) == most {
							break
						}
					}
					require.Equal(rt, want, got)
				},
				"release":  func(*rapid.T) { r.journal.Release(); released = now },
				"undo":     func(*rapid.T) { r.journal.Undo(); now = released },
				"commit":   func(*rapid.T) { r.commit(); released, committed = now, now },
				"rollback": func(*rapid.T) { r.rollback(); now, released = committed, committed },
				"restore": func(rt *rapid.T) {
					r.commit()
					released, committed = now, now
					r = r.restored(state.NewMemory(), 300)
					s = joinBufferSpec().Open(r)
				},
			})
		})
	})
}

func TestJoinBuffer_SeesNoWritesInsideTheLoop(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), joinBufferSpec(), 1<<20)
	s := joinBufferSpec().Open(r)
	var want []string
	for i := range int64(500) {
		require.NoError(t, s.Add(at(i), "k", i))
		want = append(want, fmt.Sprintf("%05d k %d", i, i))
	}
	var got []string
	for e, err := range s.All() {
		require.NoError(t, err)
		got = append(got, fmt.Sprintf("%05d %s %d", e.At.UnixMilli(), e.Key, e.Value))
		s.Remove(e)
		require.NoError(t, s.Add(at(e.Value+1), "new", e.Value))
		if e.Value == 250 {
			r.commit()
		}
	}
	require.Equal(t, want, got)
	require.Len(t, waiting(t, s.All()), 500)
	require.True(t, strings.HasPrefix(waiting(t, s.All())[0], "00001 new"))
}

// What a step costs must not depend on how many rows wait, nor on how many have left since the last commit.
func TestJoinBuffer_StepsCostTheSameWithManyRows(t *testing.T) { //nolint:paralleltest // it measures
	spec := joinBufferSpec()
	cost := func(engine state.Engine, committed, waiting, left int64) uint64 {
		r := newRoom(t, engine, spec, 1<<30)
		defer func() { require.NoError(t, r.engine.Close()) }()
		s := spec.Open(r)
		next := int64(0)
		step := func(take bool) {
			require.NoError(t, s.Add(at(next), "k", next))
			next++
			for e, err := range s.All() {
				require.NoError(t, err)
				if take {
					defer s.Remove(e)
				}
				break
			}
			r.journal.Release()
		}
		for range committed {
			step(false)
		}
		r.commit()
		for range waiting {
			step(false)
		}
		for range left {
			step(true)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 200 {
			step(true)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	for _, open := range []func() state.Engine{state.NewMemory, func() state.Engine { return openPebble(t, t.TempDir()) }} {
		few := cost(open(), 300, 10, 10)
		require.Less(t, cost(open(), 3000, 10, 10), 4*few)
		require.Less(t, cost(open(), 300, 3000, 10), 4*few)
		require.Less(t, cost(open(), 300, 10, 3000), 4*few)
	}
}
