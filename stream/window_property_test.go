package stream_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// An arrival is a record of these properties: its value is its place in the input, so that a result tells which records are in it.
type arrival struct {
	key, value string
	ms         int64
}

func (a arrival) String() string { return fmt.Sprintf("%s=%s@%d", a.key, a.value, a.ms) }

// drawArrivals draws records that are late by no more than grace, with jumps forward now and then.
func drawArrivals(t *rapid.T, grace int64) []arrival {
	now := int64(0)
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) arrival {
		back := -rapid.Int64Range(0, grace).Draw(t, "back")
		on := rapid.SampledFrom([]int64{0, 0, 0, 1, 1, 2, 3, 5, 8, 13, 100}).Draw(t, "on")
		return arrival{key: rapid.SampledFrom([]string{"k", "k", "l"}).Draw(t, "key"), ms: back + on}
	}), 1, 30).Draw(t, "arrivals")
	for i := range steps {
		ms := max(0, now+steps[i].ms)
		steps[i].ms, steps[i].value = ms, fmt.Sprint(i)
		now = max(now, ms)
	}
	return steps
}

// A stretchOfTime is a window of a key.
type stretchOfTime struct {
	key        string
	start, end int64
}

func (w stretchOfTime) compare(o stretchOfTime) int {
	return cmp.Or(cmp.Compare(w.start, o.start), cmp.Compare(w.end, o.end), cmp.Compare(w.key, o.key))
}

// content is what a window holds: the records in the order of their arrival, and the largest time.
func content(in []arrival, w stretchOfTime, holdsEnd bool) (text string, ms int64, ok bool) {
	var values []string
	for _, a := range in {
		if a.key == w.key && a.ms >= w.start && (a.ms < w.end || holdsEnd && a.ms == w.end) {
			values, ms = append(values, a.value), max(ms, a.ms)
		}
	}
	return strings.Join(values, ","), ms, len(values) > 0
}

// resultsOf are the results of windows, as text, in the order of their windows.
func resultsOf(in []arrival, windows map[stretchOfTime]bool, holdsEnd bool) []string {
	out := []string{}
	for _, w := range slices.SortedFunc(maps.Keys(windows), stretchOfTime.compare) {
		if text, ms, ok := content(in, w, holdsEnd); ok {
			out = append(out, fmt.Sprintf("%s[%d-%d]=%s@%d", w.key, w.start, w.end, text, ms))
		}
	}
	return out
}

// alignedWindows are, by definition, the windows of the records.
func alignedWindows(in []arrival, size, advance int64) map[stretchOfTime]bool {
	out := map[stretchOfTime]bool{}
	for _, a := range in {
		for start := int64(0); start <= a.ms; start += advance {
			if a.ms < start+size {
				out[stretchOfTime{a.key, start, start + size}] = true
			}
		}
	}
	return out
}

// slidingWindows are, by definition, the windows that records end and begin.
func slidingWindows(in []arrival, d int64) map[stretchOfTime]bool {
	out := map[stretchOfTime]bool{}
	for _, a := range in {
		start := max(0, a.ms-d)
		out[stretchOfTime{a.key, start, start + d}] = true
		right := stretchOfTime{a.key, a.ms + 1, a.ms + 1 + d}
		if _, _, ok := content(in, right, true); ok {
			out[right] = true
		}
	}
	return out
}

// joinValues is a Reduce that lists the records of a window.
func joinValues(a, v string) string { return a + "," + v }

// runArrivals runs a windowed aggregation and returns all that it sent.
func runArrivals(t *testing.T, in []arrival, program func(g stream.Grouped[string, string]) stream.WindowedTable[string, string]) []string {
	b := stream.NewBuilder()
	program(b.Stream(lines("in")).GroupByKey()).ToStream(windowLabel).To(lines("out"))
	d := start(t, b)
	for _, a := range in {
		feed(t, d, "in", a.String())
	}
	require.Zero(t, d.Dropped("late"))
	return read(d, "out")
}

// latest are the last results of each window that was sent, in no order.
func latest(sent []string) []string {
	last := map[string]string{}
	for _, s := range sent {
		window, _, _ := strings.Cut(s, "=")
		if last[window] = s; strings.Contains(s, "=null@") {
			delete(last, window)
		}
	}
	return slices.Collect(maps.Values(last))
}

func lineWindows() state.WindowSpec[string, string] {
	return state.Window("windows", serde.String(), serde.String())
}

func TestWindows_HoldTheRecordsThatTheirDefinitionSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		grace := rapid.Int64Range(0, 30).Draw(rt, "grace")
		records := drawArrivals(rt, grace)
		size := rapid.Int64Range(1, 20).Draw(rt, "size")
		advance := rapid.Int64Range(1, size).Draw(rt, "advance")
		windows := stream.Hopping{Size: in(size), Advance: in(advance), Grace: in(grace + size)}
		sent := runArrivals(t, records, func(g stream.Grouped[string, string]) stream.WindowedTable[string, string] {
			return g.Window(windows).Reduce(joinValues, lineWindows())
		})
		require.ElementsMatch(rt, resultsOf(records, alignedWindows(records, size, advance), false), latest(sent))
	})
}

func TestSliding_HasTheWindowsThatRecordsBeginAndEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		grace := rapid.Int64Range(0, 40).Draw(rt, "grace")
		records := drawArrivals(rt, grace)
		d := rapid.Int64Range(1, 20).Draw(rt, "difference")
		sent := runArrivals(t, records, func(g stream.Grouped[string, string]) stream.WindowedTable[string, string] {
			return g.Window(stream.Sliding{Difference: in(d), Grace: in(grace)}).Reduce(joinValues, lineWindows())
		})
		require.ElementsMatch(rt, resultsOf(records, slidingWindows(records, d), true), latest(sent))
	})
}

func TestSliding_OnCloseSendsEachWindowOnceAsItIsAtItsEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		grace := rapid.Int64Range(0, 40).Draw(rt, "grace")
		records := drawArrivals(rt, grace)
		d := rapid.Int64Range(1, 20).Draw(rt, "difference")
		sent := runArrivals(t, records, func(g stream.Grouped[string, string]) stream.WindowedTable[string, string] {
			return g.Window(stream.Sliding{Difference: in(d), Grace: in(grace)}, stream.OnClose).Reduce(joinValues, lineWindows())
		})
		closed := int64(0)
		for _, a := range records {
			closed = max(closed, a.ms-grace)
		}
		windows := slidingWindows(records, d)
		maps.DeleteFunc(windows, func(w stretchOfTime, _ bool) bool { return w.end >= closed })
		require.Equal(rt, resultsOf(records, windows, true), sent)
	})
}

// A sessionModel is a list of the open sessions of a key, each a list of records, and the results of an emission on close.
type sessionModel struct {
	gap, grace, now int64
	sessions        map[stretchOfTime]string
	closed          []string
	late            int64
}

func (m *sessionModel) add(a arrival) {
	m.now = max(m.now, a.ms)
	union, text := stretchOfTime{a.key, a.ms, a.ms}, ""
	var joined []stretchOfTime
	for w := range m.sessions {
		if w.key == a.key && w.start-m.gap <= a.ms && a.ms <= w.end+m.gap {
			joined = append(joined, w)
			union.start, union.end = min(union.start, w.start), max(union.end, w.end)
		}
	}
	if union.end < m.now-m.gap-m.grace {
		m.late++
		return
	}
	slices.SortFunc(joined, stretchOfTime.compare)
	for _, w := range joined {
		text += m.sessions[w] + ","
		delete(m.sessions, w)
	}
	m.sessions[union] = text + a.value
}

// close takes the sessions out that have ended.
func (m *sessionModel) close() {
	ended := []stretchOfTime{}
	for w := range m.sessions {
		if w.end < m.now-m.gap-m.grace {
			ended = append(ended, w)
		}
	}
	slices.SortFunc(ended, func(a, b stretchOfTime) int {
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.start, b.start), cmp.Compare(a.key, b.key))
	})
	for _, w := range ended {
		m.closed = append(m.closed, fmt.Sprintf("%s[%d-%d]=%s@%d", w.key, w.start, w.end, m.sessions[w], w.end))
		delete(m.sessions, w)
	}
}

func TestSession_MergesWhatTheModelMerges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := sessionModel{sessions: map[stretchOfTime]string{}}
		m.gap, m.grace = rapid.Int64Range(1, 20).Draw(rt, "gap"), rapid.Int64Range(0, 40).Draw(rt, "grace")
		records := drawArrivals(rt, m.grace+2*m.gap)
		run := func(emit stream.Emit) ([]string, int64) {
			b := stream.NewBuilder()
			b.Stream(lines("in")).GroupByKey().SessionWindow(stream.Session{Gap: in(m.gap), Grace: in(m.grace)}, emit).
				Reduce(joinValues, state.Session("sessions", serde.String(), serde.String())).
				ToStream(windowLabel).To(lines("out"))
			d := start(t, b)
			for _, a := range records {
				feed(t, d, "in", a.String())
			}
			return read(d, "out"), d.Dropped("late")
		}
		for _, a := range records {
			m.add(a)
			m.close()
		}
		sent, late := run(stream.OnClose)
		require.Equal(rt, m.closed, append([]string(nil), sent...))
		require.Equal(rt, m.late, late)
		updates, late := run(stream.OnUpdate)
		require.Equal(rt, m.late, late)
		want := slices.Clone(m.closed)
		for w, text := range m.sessions {
			want = append(want, fmt.Sprintf("%s[%d-%d]=%s@%d", w.key, w.start, w.end, text, w.end))
		}
		require.ElementsMatch(rt, want, latest(updates))
	})
}
