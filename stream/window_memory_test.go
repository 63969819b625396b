package stream_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// A tally is an accumulator that is changed in place, or, if shared memory must not matter, never.
type tally struct {
	inPlace, clone bool
}

func (y tally) add(_ context.Context, _, v string, m map[string]int64) (map[string]int64, error) {
	if !y.inPlace {
		m = maps.Clone(m)
	}
	m[v]++
	switch {
	case v == "bad":
		return m, errBad // with the harm done
	case v == "skip":
		return m, stream.ErrSkip
	}
	return m, nil
}

func (y tally) merge(_ string, a, b map[string]int64) map[string]int64 {
	if !y.inPlace {
		a = maps.Clone(a)
	}
	for v, n := range b {
		a[v] += n
	}
	if y.inPlace {
		clear(b)
	}
	return a
}

// program runs the tally over all kinds of windows, on update and on close. The filter makes them send old values.
func (y tally) program() *stream.Builder {
	b := stream.NewBuilder().OnError(dlq.Skip())
	g := b.Stream(lines("in")).GroupByKey()
	empty := func() map[string]int64 { return map[string]int64{} }
	for _, emit := range []stream.Emit{stream.OnUpdate, stream.OnClose} {
		for name, windows := range map[string]stream.TimeWindows{
			"hopping": stream.Hopping{Size: in(10), Advance: in(5), Grace: in(10)},
			"sliding": stream.Sliding{Difference: in(10), Grace: in(10)},
		} {
			name = fmt.Sprint(name, "-", emit)
			st := state.Window(name, serde.String(), serde.JSON[map[string]int64]())
			if y.clone {
				st = st.Clone(maps.Clone)
			}
			y.show(name, g.Window(windows, emit).TryAggregate(empty, y.add, st))
		}
		name := fmt.Sprint("session-", emit)
		st := state.Session(name, serde.String(), serde.JSON[map[string]int64]())
		if y.clone {
			st = st.Clone(maps.Clone)
		}
		y.show(name, g.SessionWindow(stream.Session{Gap: in(5), Grace: in(10)}, emit).TryAggregate(empty, y.add, y.merge, st))
	}
	return b
}

func (y tally) show(name string, t stream.WindowedTable[string, map[string]int64]) {
	text := t.Filter(func(_ stream.Windowed[string], m map[string]int64) bool { return len(m) != 2 }).
		MapValues(func(m map[string]int64) string {
			var out []string
			for _, v := range slices.Sorted(maps.Keys(m)) {
				out = append(out, fmt.Sprint(v, m[v]))
			}
			return strings.Join(out, ",")
		}).
		ToStream(windowLabel)
	text.TryPeek(func(_ context.Context, _, v string) error {
		if strings.Contains(v, "z1") {
			return errors.New("it has a z")
		}
		return nil
	}, stream.Named(name+"-fussy"))
	text.To(lines(name))
}

var tallyTopics = []string{"hopping-0", "hopping-1", "sliding-0", "sliding-1", "session-0", "session-1"}

func (y tally) run(t *testing.T, steps []stretchStep, opts ...streamtest.Option) map[string][]string {
	d := start(t, y.program(), opts...)
	for _, s := range steps {
		feed(t, d, "in", s.record)
		if len(opts) == 0 {
			continue
		}
		switch s.then {
		case "commit":
			d.Commit()
		case "crash":
			d.Crash()
			d.Restart()
		case "lose":
			d.Crash()
			d.LoseDisk()
			d.Restart()
		}
	}
	d.Commit()
	out := map[string][]string{}
	for _, topic := range tallyTopics {
		out[topic] = read(d, topic)
	}
	return out
}

// An aggregate changed in place must be nobody else's: neither the store's, nor another window's, nor the old value. Failures behind the change,
// commits and crashes must not tell the two apart.
func TestWindows_AreFreeOfSharedMemory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		now := int64(0)
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) stretchStep {
			ms := max(0, now+rapid.Int64Range(-15, 8).Draw(t, "time"))
			now = max(now, ms)
			value := rapid.SampledFrom([]string{"a", "a", "b", "c", "bad", "skip", "z"}).Draw(t, "value")
			key := rapid.SampledFrom([]string{"k", "k", "l"}).Draw(t, "key")
			return stretchStep{
				record: fmt.Sprintf("%s=%s@%d", key, value, ms),
				then:   rapid.SampledFrom([]string{"", "", "commit", "crash", "lose"}).Draw(t, "then"),
			}
		}), 1, 25).Draw(rt, "steps")
		want := tally{}.run(t, steps)
		clone := rapid.Bool().Draw(rt, "clone")
		cache := rapid.SampledFrom([]int64{0, 1 << 20}).Draw(rt, "cache")
		got := tally{inPlace: true, clone: clone}.run(t, steps, streamtest.ManualCommit(), streamtest.CacheBytes(cache))
		for _, topic := range tallyTopics {
			require.Equal(rt, want[topic], got[topic], topic)
		}
	})
}
