package stream_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// A joinRecord is a record of one side of a join.
type joinRecord struct {
	left       bool
	key, value string
	ms         int64
}

func (r joinRecord) String() string { return fmt.Sprintf("%s=%s@%d", r.key, r.value, r.ms) }

func (r joinRecord) topic() string {
	if r.left {
		return "l"
	}
	return "r"
}

// drawJoinRecords draws records whose times go on by up to 20 ms each, or back by up to late.
func drawJoinRecords(t *rapid.T, late int64) []joinRecord {
	now, n := int64(100), 0
	record := rapid.Custom(func(t *rapid.T) joinRecord {
		ms := now + rapid.Int64Range(-late, 20).Draw(t, "time")
		now, n = max(now, ms), n+1
		return joinRecord{
			rapid.Bool().Draw(t, "left"), rapid.SampledFrom([]string{"k", "l", "kk", ""}).Draw(t, "key"), fmt.Sprint(n), max(0, ms),
		}
	})
	return rapid.SliceOfN(record, 1, 50).Draw(t, "records")
}

func drawBetween(t *rapid.T) stream.Between {
	before := rapid.Int64Range(-20, 20).Draw(t, "before")
	return window(before, rapid.Int64Range(-min(before, 20), 20).Draw(t, "after"), rapid.Int64Range(0, 30).Draw(t, "grace"))
}

// partners are the records that came before r on the other side and belong to it, by time and then by arrival.
func partners(r joinRecord, before []joinRecord, w stream.Between) []joinRecord {
	back, ahead := w.Before.Milliseconds(), w.After.Milliseconds()
	if !r.left {
		back, ahead = ahead, back
	}
	var out []joinRecord
	for _, p := range before {
		if p.left != r.left && p.key == r.key && p.ms >= r.ms-back && p.ms <= r.ms+ahead {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b joinRecord) int { return cmp.Compare(a.ms, b.ms) })
	return out
}

func pair(a, b joinRecord) string {
	l, r := a, b
	if !a.left {
		l, r = b, a
	}
	return fmt.Sprintf("%s=%s+%s@%d", a.key, l.value, r.value, max(a.ms, b.ms))
}

func alone(r joinRecord) string {
	if r.left {
		return fmt.Sprintf("%s=%s+none@%d", r.key, r.value, r.ms)
	}
	return fmt.Sprintf("%s=none+%s@%d", r.key, r.value, r.ms)
}

func TestJoin_PairsWhatANestedLoopPairs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		records, w := drawJoinRecords(rt, 100), drawBetween(rt)
		const kept = 90
		b := stream.NewBuilder()
		inner.of(b.Stream(lines("l")), b.Stream(lines("r")), w, lineJoinOf("pairs").Retention(in(kept))).To(lines("out"))
		d := start(t, b, streamtest.CacheBytes(rapid.SampledFrom([]int64{0, 1 << 20}).Draw(rt, "cache")))

		want := []string{}
		newest := map[bool]int64{true: -1, false: -1}
		for i, r := range records {
			for _, p := range partners(r, records[:i], w) {
				if p.ms > newest[p.left]-kept {
					want = append(want, pair(r, p))
				}
			}
			newest[r.left] = max(newest[r.left], r.ms)
			feed(t, d, r.topic(), r.String())
		}
		require.Equal(rt, want, read(d, "out"))
	})
}

func TestJoin_SendsEachUnmatchedRecordOnceWhenNothingIsLate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		records, w := drawJoinRecords(rt, 0), drawBetween(rt)
		kind := rapid.SampledFrom([]joinKind{left, outer}).Draw(rt, "kind")
		b := stream.NewBuilder()
		kind.of(b.Stream(lines("l")), b.Stream(lines("r")), w, lineJoinOf("pairs").Retention(in(100))).To(lines("out"))
		d := start(t, b)
		want, matched := []string{}, map[string]bool{}
		for i, r := range records {
			for _, p := range partners(r, records[:i], w) {
				want = append(want, pair(r, p))
				matched[r.value], matched[p.value] = true, true
			}
			feed(t, d, r.topic(), r.String())
		}
		feed(t, d, "l", "null=end@100000") // which is sent at once: it has no key
		for _, r := range records {
			if !matched[r.value] && (r.left || kind == outer) {
				want = append(want, alone(r))
			}
		}
		feed(t, d, "r", "end=end@200000", "end=end@300000")
		got := slices.DeleteFunc(read(d, "out"), func(s string) bool { return s[:3] == "end" || s[:4] == "null" })
		slices.Sort(want)
		slices.Sort(got)
		require.Equal(rt, want, got)
		for e, err := range streamtest.JoinBuffer(d, lineJoinOf("pairs").Unmatched(), 0).All() {
			require.NoError(rt, err)
			require.Equal(rt, "end", e.Key.Key, "nothing else waits")
		}
	})
}

// joinRows lists what the stores of a join hold.
func joinRows(t require.TestingT, d *streamtest.Driver, st lineJoin, k joinKind, self bool) []string {
	rows := []string{}
	add := func(store string, e any, err error) {
		require.NoError(t, err)
		rows = append(rows, fmt.Sprint(store, e))
	}
	for e, err := range streamtest.Window(d, st.Left(), 0).All() {
		add("left ", e, err)
	}
	if !self {
		for e, err := range streamtest.Window(d, st.Right(), 0).All() {
			add("right ", e, err)
		}
	}
	if k != inner {
		for e, err := range streamtest.JoinBuffer(d, st.Unmatched(), 0).All() {
			add("unmatched ", e, err)
		}
	}
	return rows
}

func TestJoin_IsNotChangedByCrashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		records, w := drawJoinRecords(rt, 60), drawBetween(rt)
		kind := rapid.SampledFrom([]joinKind{inner, left, outer, outer}).Draw(rt, "kind")
		self := rapid.IntRange(0, 4).Draw(rt, "self") == 0
		st := lineJoinOf("pairs")
		if rapid.Bool().Draw(rt, "in memory") {
			st = st.InMemory()
		}
		program := func() *stream.Builder {
			b := stream.NewBuilder()
			l := b.Stream(lines("in")) // of one topic: what is repeated after a crash comes in the same order
			r := l
			if !self {
				l, r = l.Split(func(_, v string) bool { return v[0] == 'l' })
			}
			kind.of(l, r, w, st).To(lines("out"))
			return b
		}
		cache := streamtest.CacheBytes(rapid.SampledFrom([]int64{0, 400, 1 << 20}).Draw(rt, "cache"))
		calm, rough := start(t, program(), cache), start(t, program(), cache, streamtest.ManualCommit())
		for _, r := range records {
			r.value = r.topic() + r.value
			feed(t, calm, "in", r.String())
			feed(t, rough, "in", r.String())
			switch rapid.SampledFrom([]string{"", "", "commit", "commit", "crash", "lose"}).Draw(rt, "then") {
			case "commit":
				rough.Commit()
			case "crash":
				rough.Crash()
				rough.Restart()
			case "lose":
				rough.Crash()
				rough.LoseDisk()
				rough.Restart()
			}
		}
		rough.Commit()
		require.Equal(rt, read(calm, "out"), read(rough, "out"))
		want := joinRows(rt, calm, st, kind, self)
		require.Equal(rt, want, joinRows(rt, rough, st, kind, self))
		rough.Crash()
		rough.LoseDisk()
		rough.Restart()
		require.Equal(rt, want, joinRows(rt, rough, st, kind, self), "restored from the changelogs alone")
	})
}
