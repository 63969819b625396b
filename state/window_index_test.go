package state_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

func TestWindowStore_WithATimeIndexIsTheSameMap(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		rapid.Check(t, func(rt *rapid.T) {
			spec := windowSpec().TimeIndex()
			r := newRoom(rt, wiped(t, open)(), spec, rapid.SampledFrom([]int64{0, 1 << 20}).Draw(rt, "cache"))
			plain := newRoom(rt, state.NewMemory(), windowSpec(), 0)
			first := newRoom(rt, state.NewMemory(), windowSpec().TimeFirst(), 0)
			rooms := []*room{r, plain, first}
			newest := int64(0)
			draw := func(rt *rapid.T) (string, time.Time) {
				ms := max(0, newest+rapid.Int64Range(-20, 5).Draw(rt, "start")*10_000)
				return rapid.SampledFrom([]string{"", "a", "aa"}).Draw(rt, "key"), at(ms)
			}
			each := func(f func(r *room)) {
				for _, r := range rooms {
					f(r)
				}
			}
			n := int64(0)
			rt.Repeat(map[string]func(*rapid.T){
				"put": func(rt *rapid.T) {
					k, start := draw(rt)
					n++
					newest = max(newest, start.UnixMilli())
					each(func(r *room) {
						require.NoError(rt, windowsOf(r).PutRow(k, start, state.Row[int64]{Value: n, Timestamp: at(n)}))
					})
				},
				"delete": func(rt *rapid.T) {
					k, start := draw(rt)
					newest = max(newest, start.UnixMilli())
					each(func(r *room) { require.NoError(rt, windowsOf(r).Delete(k, start)) })
				},
				"undo":     func(*rapid.T) { each(func(r *room) { r.journal.Undo() }) },
				"release":  func(*rapid.T) { each(func(r *room) { r.journal.Release() }) },
				"commit":   func(*rapid.T) { each((*room).commit) },
				"rollback": func(*rapid.T) { each((*room).rollback) },
				"restart":  func(*rapid.T) { each((*room).open) },
				"": func(rt *rapid.T) {
					from, to := at(max(0, newest-100_000)), at(newest+1)
					require.Equal(rt, rowsOf(rt, windowsOf(plain).All()), rowsOf(rt, windowsOf(r).All()))
					require.Equal(rt, rowsOf(rt, windowsOf(first).ScanStarts(from, to)), rowsOf(rt, windowsOf(r).ScanStarts(from, to)))
					for _, k := range []string{"", "a", "aa"} {
						rows := rowsOf(rt, windowsOf(plain).Fetch(k, from, to))
						require.Equal(rt, rows, rowsOf(rt, windowsOf(r).Fetch(k, from, to)))
						slices.Reverse(rows)
						require.Equal(rt, rows, rowsOf(rt, windowsOf(r).FetchBackward(k, from, to)))
					}
				},
			})
			restored := r.restored(state.NewMemory(), 0)
			each((*room).rollback)
			require.Equal(rt, rowsOf(rt, windowsOf(r).ScanStarts(at(max(0, newest-100_000)), at(1<<50))),
				rowsOf(rt, windowsOf(restored).ScanStarts(at(max(0, newest-100_000)), at(1<<50))))
		})
	})
}

func windowsOf(r *room) *state.WindowStore[string, int64] { return windowSpec().Open(r) }

func TestWindowStore_ExpiresItsTimeIndexToo(t *testing.T) {
	t.Parallel()
	spec := windowSpec().TimeIndex()
	r := newRoom(t, state.NewMemory(), spec, 1<<20)
	for minute := range int64(60) {
		require.NoError(t, windowsOf(r).Put("k", at(minute*60_000), minute))
		r.commit()
	}
	require.LessOrEqual(t, len(engineKeys(t, r.engine)), 2*5, "three minutes and a segment, in two orders")
}

func TestWindowStore_KnowsTheEndsOfItsWindows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		size time.Duration
		want time.Time
	}{
		{0, time.Time{}},
		{time.Second, at(1001)},
		{state.Forever, at(1<<63 - 1)},
	} {
		for _, spec := range []state.WindowSpec[string, int64]{windowSpec(), windowSpec().TimeIndex(), windowSpec().TimeFirst()} {
			spec = spec.Size(test.size)
			r := newRoom(t, state.NewMemory(), spec, 0)
			w := spec.Open(r)
			require.NoError(t, w.Put("k", at(1), 1))
			seqs := []func(func(state.Entry[serde.Windowed[string], int64], error) bool){w.All()}
			if spec.Info().Layout == "start, key" {
				seqs = append(seqs, w.ScanStarts(at(0), at(9)))
			} else {
				seqs = append(seqs, w.Fetch("k", at(0), at(9)))
			}
			for _, seq := range seqs {
				for e, err := range seq {
					require.NoError(t, err)
					require.Equal(t, test.want, e.Key.End)
				}
			}
		}
	}
}
