package stream_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// letterCounts counts values. Its aggregation changes it in place, which must not show before the record is through.
type letterCounts map[string]int

func (c letterCounts) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprint(k, c[k]))
	}
	return strings.Join(parts, ",")
}

// A marathon is a program with everything that a task remembers: rows of two kinds, clocks of windows, timers, a repartition.
type marathon struct {
	accs   state.KeyValueSpec[string, letterCounts]
	opened state.WindowSpec[string, int64]
	closed state.WindowSpec[string, int64]
	buffer state.KeyValueSpec[string, string]
	values state.KeyValueSpec[string, int64]
	outage bool // of something that records need: they fail
}

func newMarathon(clone, inMemory bool) *marathon {
	m := &marathon{
		accs:   state.KeyValue("accs", serde.String(), serde.JSON[letterCounts]()),
		opened: windowStore("opened").Retention(in(60)),
		closed: windowStore("closed"),
		buffer: lineStore("buffer"),
		values: numberStore("values"),
	}
	if clone {
		m.accs = m.accs.Clone(maps.Clone)
	}
	if inMemory {
		m.accs, m.opened, m.buffer = m.accs.InMemory(), m.opened.InMemory(), m.buffer.InMemory()
	}
	return m
}

var errOutage = errors.New("the service is down")

func (m *marathon) build() *stream.Builder {
	b := stream.NewBuilder().OnError(dlq.Skip())
	s := b.Stream(lines("in"))
	count := func(_, v string, c letterCounts) letterCounts { c[v]++; return c }
	s.GroupByKey().Aggregate(func() letterCounts { return letterCounts{} }, count, m.accs).
		ToStream().MapValues(letterCounts.String).To(lines("accs"))
	windows := stream.Hopping{Size: in(20), Advance: in(10), Grace: in(10)}
	s.GroupByKey().Window(windows).Count(m.opened).ToStream(windowLabel).To(numbers("opened"))
	s.GroupByKey().Window(windows, stream.OnClose).Count(m.closed).ToStream(windowLabel).To(numbers("closed"))
	s.Process(m.flush, stream.Stores(m.buffer), stream.Named("flush")).To(lines("flushed"))
	// What fails here fails behind all that the record has changed above.
	s.TryPeek(failOnBad)
	s.TryPeek(func(context.Context, string, string) error {
		if m.outage {
			return errOutage
		}
		return nil
	}, stream.OnError(dlq.Fail()))
	s.GroupBy(byValue, through("by-value")).Count(m.values).ToStream().To(numbers("values"))
	return b
}

// flush collects records and forwards them every 25 ms of stream time, with a number that only its fields know.
func (m *marathon) flush(n *lineNode) (lineFunc, error) {
	st := m.buffer.Open(n)
	n.EveryStreamTime(in(25), func(now time.Time) error {
		for e, err := range st.All() {
			if err != nil {
				return err
			}
			text := fmt.Sprintf("%s by %d", e.Value, now.UnixMilli())
			if err := errors.Join(n.Forward(lineRecord{Key: e.Key, Value: text, Timestamp: e.Timestamp}), st.Delete(e.Key)); err != nil {
				return err
			}
		}
		return nil
	})
	return func(_ context.Context, r lineRecord) error {
		before, _, err := st.Get(r.Key)
		return errors.Join(err, st.Put(r.Key, before+r.Value))
	}, nil
}

// A stretchStep is one thing that happens on the way.
type stretchStep struct {
	record string // sent, if not empty
	then   string // commit, crash, lose, outage or nothing
}

func drawSteps(t *rapid.T) []stretchStep {
	now := int64(0)
	step := rapid.Custom(func(t *rapid.T) stretchStep {
		ts := max(0, now+rapid.Int64Range(-30, 20).Draw(t, "time"))
		now = max(now, ts)
		key := rapid.SampledFrom([]string{"k", "l", "m", "", "null"}).Draw(t, "key")
		value := rapid.SampledFrom([]string{"a", "b", "c", "bad", "null"}).Draw(t, "value")
		return stretchStep{
			record: fmt.Sprintf("%s=%s@%d", key, value, ts),
			then:   rapid.SampledFrom([]string{"", "", "", "commit", "commit", "crash", "lose", "outage"}).Draw(t, "then"),
		}
	})
	return rapid.SliceOfN(step, 1, 60).Draw(t, "steps")
}

// A result is what a marathon leaves: the committed records of each topic and key, and the rows of its stores.
type result map[string][]string

func (m *marathon) result(t require.TestingT, d *streamtest.Driver, partitions int32) result {
	r := result{}
	for _, topic := range []string{"accs", "opened", "closed", "flushed"} {
		for _, rec := range d.ReadRaw(topic) {
			name := fmt.Sprint(topic, "/", orNull(rec.Key)) // the records of a key are one task's, and in order
			r[name] = append(r[name], fmt.Sprintf("%s=%s@%d", orNull(rec.Key), orNull(rec.Value), rec.TimestampMs))
		}
	}
	note := func(store string, p int32, row string) {
		name := fmt.Sprint("store ", store, "/", p)
		r[name] = append(r[name], row)
	}
	for p := range partitions {
		for e, err := range streamtest.KeyValue(d, m.accs, p).All() {
			require.NoError(t, err)
			note("accs", p, fmt.Sprintf("%s: %v @%d", e.Key, e.Value, e.Timestamp.UnixMilli()))
		}
		for e, err := range streamtest.KeyValue(d, m.buffer, p).All() {
			require.NoError(t, err)
			note("buffer", p, fmt.Sprint(e.Key, e.Value, e.Timestamp.UnixMilli()))
		}
		for e, err := range streamtest.KeyValue(d, m.values, p).All() {
			require.NoError(t, err)
			note("values", 0, fmt.Sprint(e.Key, e.Value)) // records of several tasks: only their number is certain
		}
		for _, w := range []state.WindowSpec[string, int64]{m.opened, m.closed} {
			for e, err := range streamtest.Window(d, w, p).All() {
				require.NoError(t, err)
				note(w.Info().Name, p, fmt.Sprintf("%s from %d: %d @%d", e.Key.Key, e.Key.Start.UnixMilli(), e.Value, e.Timestamp.UnixMilli()))
			}
		}
	}
	slices.Sort(r["store values/0"])
	return r
}

func TestCrash_AtAnyPointLeavesTheResultsOfARunWithoutOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		steps := drawSteps(rt)
		partitions := rapid.SampledFrom([]int32{1, 3}).Draw(rt, "partitions")
		clone, inMemory := rapid.Bool().Draw(rt, "clone"), rapid.Bool().Draw(rt, "in memory")
		cache := rapid.SampledFrom([]int64{0, 500, 1 << 20}).Draw(rt, "cache")
		opts := []streamtest.Option{
			streamtest.CacheBytes(cache), streamtest.Partitions("in", partitions), streamtest.Partitions("accs", partitions),
			streamtest.Partitions("flushed", partitions),
		}

		calm := newMarathon(clone, inMemory)
		d := start(t, calm.build(), opts...)
		for _, s := range steps {
			feed(t, d, "in", s.record)
		}
		want := calm.result(rt, d, partitions)

		rough := newMarathon(clone, inMemory)
		d = start(t, rough.build(), append(opts, streamtest.ManualCommit())...)
		for _, s := range steps {
			rough.run(t, d, s)
		}
		for range 3 { // once for each subtopology, and one for luck
			d.Commit()
			d.Advance(0)
		}
		require.Equal(rt, want, rough.result(rt, d, partitions))
		requireModel(rt, steps, want)
	})
}

func (m *marathon) run(t *testing.T, d *streamtest.Driver, s stretchStep) {
	if s.then == "outage" {
		m.outage = true
		err := tryFeed(t, d, "in", s.record)
		m.outage = false
		if err != nil {
			require.ErrorIs(t, err, errOutage)
			d.Crash()
			d.Restart() // the record is in its topic
		}
		return
	}
	feed(t, d, "in", s.record)
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

// requireModel compares the accumulators with a plain map.
func requireModel(t require.TestingT, steps []stretchStep, got result) {
	model := map[string]letterCounts{}
	for _, s := range steps {
		key, rest, _ := strings.Cut(s.record, "=")
		value, _, _ := strings.Cut(rest, "@")
		if key == "null" || value == "null" || value == "bad" {
			continue
		}
		if model[key] == nil {
			model[key] = letterCounts{}
		}
		model[key][value]++
	}
	var want, have []string
	for k, c := range model {
		want = append(want, fmt.Sprintf("%s: %v @", k, c))
	}
	for name, rows := range got {
		if strings.HasPrefix(name, "store accs/") {
			have = append(have, rows...)
		}
	}
	require.Len(t, have, len(want))
	for _, w := range want {
		require.True(t, slices.ContainsFunc(have, func(row string) bool { return strings.HasPrefix(row, w) }), "%q of %q", w, have)
	}
}

func TestCrash_TakesAwayWhatIsNotCommittedAndNoMore(t *testing.T) {
	t.Parallel()
	m := newMarathon(false, false)
	d := start(t, m.build(), streamtest.ManualCommit())
	feed(t, d, "in", "k=a@1")
	d.Commit()
	feed(t, d, "in", "k=b@2", "l=c@3")
	d.Crash()
	require.Equal(t, []string{"k=a1@1"}, read(d, "accs"))
	require.ErrorContains(t, tryFeed(t, d, "in", "k=d@4"), "the application has crashed")
	require.ErrorContains(t, d.TryAdvance(1), "the application has crashed")
	d.Restart()
	require.Empty(t, read(d, "accs"), "done again, and not committed")
	d.Commit()
	require.Equal(t, []string{"k=a1,b1@2", "l=c1@3"}, read(d, "accs"), "once")
}

func TestCrash_TakesDeadLettersAndCountsAway(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Send())
	b.Stream(lines("in")).TryPeek(failOnBad)
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "k=bad@1")
	require.Empty(t, d.DeadLetters("in"))
	require.Zero(t, d.Count("dead-letter", ""))
	d.Crash()
	d.Restart()
	d.Commit()
	require.Len(t, d.DeadLetters("in"), 1)
	require.EqualValues(t, 1, d.Count("dead-letter", ""))
}

func TestCrash_TakesWhatProcessorsKeepInFieldsAway(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	setups := 0
	b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
		setups++
		seen := 0
		return func(_ context.Context, r lineRecord) error {
			seen++
			return n.Forward(lineRecord{Key: r.Key, Value: fmt.Sprint(seen)})
		}, nil
	}).To(lines("out"))
	d := start(t, b, streamtest.ManualCommit())
	require.Equal(t, 2, setups, "once by Build")
	feed(t, d, "in", "k=a@1", "k=b@2")
	d.Commit()
	d.Crash()
	d.Restart()
	feed(t, d, "in", "k=c@3")
	d.Commit()
	require.Equal(t, []string{"k=1@1", "k=2@2", "k=1@3"}, read(d, "out"))
	require.Equal(t, 3, setups)
}

func TestRestart_DecidesAboutLateRecordsAsIfItHadNotStopped(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{false, true} {
		b := stream.NewBuilder()
		g := b.Stream(lines("in")).GroupByKey()
		windows := stream.Tumbling{Size: in(10)}
		g.Window(windows).Count(windowStore("opened")).ToStream(windowLabel).To(numbers("opened"))
		g.Window(windows, stream.OnClose).Count(windowStore("closed")).ToStream(windowLabel).To(numbers("closed"))
		d := start(t, b)
		feed(t, d, "in", "k=a@15")
		d.Crash()
		if lose {
			d.LoseDisk()
		}
		d.Restart()
		feed(t, d, "in", "k=late@9", "k=b@16", "k=c@25")
		require.Equal(t, []string{"k[10-20]=1@15", "k[10-20]=2@16", "k[20-30]=1@25"}, read(d, "opened"))
		require.Equal(t, []string{"k[10-20]=2@16"}, read(d, "closed"))
		require.EqualValues(t, 2, d.Dropped("late"))
	}
}

func TestRestart_SendsAClosedWindowOnce(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}, stream.OnClose).
		Count(windowStore("closed").Retention(time.Hour)).ToStream(windowLabel).To(numbers("closed"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@12")
	for range 3 {
		d.Crash()
		d.LoseDisk()
		d.Restart()
		feed(t, d, "in", "l=x@13")
	}
	require.Equal(t, []string{"k[0-10]=1@1"}, read(d, "closed"))
}

func TestRestart_LeavesTimersTheirTargets(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{false, true} {
		b := stream.NewBuilder()
		tick := func(n *lineNode) func(time.Time) error {
			return func(now time.Time) error {
				return n.Forward(lineRecord{Key: "tick", Value: fmt.Sprint(now.UnixMilli()), Timestamp: now})
			}
		}
		b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
			n.EveryStreamTime(in(100), tick(n))
			n.EveryWallTime(in(1000), tick(n))
			return func(context.Context, lineRecord) error { return nil }, nil
		}, stream.Named("clockwork")).To(lines("out"))
		d := start(t, b)
		feed(t, d, "in", "k=a@150")
		d.Advance(in(700))
		feed(t, d, "in", "k=a@160")
		d.Crash()
		if lose {
			d.LoseDisk()
		}
		d.Restart()
		feed(t, d, "in", "k=b@199", "k=c@200")
		d.Advance(in(299))
		require.Equal(t, []string{"tick=150@150", "tick=200@200"}, read(d, "out"), "stream time stood at 160")
		d.Advance(in(1))
		require.Equal(t, []string{"tick=1000@1000"}, read(d, "out"), "not a second after the restart")
	}
}

// The clocks of many timers do not fit into the metadata of an offset: they travel in a changelog.
func TestRestart_KeepsMoreClocksThanAnOffsetCarries(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	last := lineStore("last")
	s := b.Stream(lines("in"))
	s.ToTable(last)
	for i := range 100 {
		name := fmt.Sprintf("%s-%d", strings.Repeat("long", 10), i)
		s.Process(func(n *lineNode) (lineFunc, error) {
			n.EveryStreamTime(in(100), func(now time.Time) error {
				return n.Forward(lineRecord{Key: "tick", Value: fmt.Sprint(i), Timestamp: now})
			})
			return func(context.Context, lineRecord) error { return nil }, nil
		}, stream.Named(name)).To(lines("out"))
	}
	d := start(t, b)
	feed(t, d, "in", "k=a@150")
	require.Len(t, read(d, "out"), 100)
	d.Crash()
	d.LoseDisk()
	d.Restart()
	feed(t, d, "in", "k=b@199")
	require.Empty(t, read(d, "out"), "no timer has forgotten that it fired at 150")
	require.Equal(t, []string{"k=b@199"}, rows(t, d, last))
	feed(t, d, "in", "k=b@200")
	require.Len(t, read(d, "out"), 100)
}

func TestRestart_KeepsManyClocksOfACommitThatWroteNothing(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	s := b.Stream(lines("in"))
	s.Filter(hasA).ToTable(lineStore("last"))
	fired := 0
	for i := range 100 {
		s.Process(func(n *lineNode) (lineFunc, error) {
			n.EveryStreamTime(in(100), func(time.Time) error { fired++; return nil })
			return func(context.Context, lineRecord) error { return nil }, nil
		}, stream.Named(fmt.Sprintf("%s-%d", strings.Repeat("long", 10), i)))
	}
	d := start(t, b)
	feed(t, d, "in", "k=a@150", "k=quiet@250")
	require.Equal(t, 200, fired)
	d.Crash()
	d.LoseDisk()
	d.Restart()
	feed(t, d, "in", "k=quiet@260")
	require.Equal(t, 200, fired)
}

func TestRestart_ReadsAnUnloggedStoreOnItsDiskOnly(t *testing.T) {
	t.Parallel()
	kept, lost := numberStore("kept").WithoutChangelog(), numberStore("lost").WithoutChangelog().InMemory()
	b := stream.NewBuilder()
	g := b.Stream(lines("in")).GroupByKey()
	g.Count(kept).ToStream().To(numbers("kept"))
	g.Count(lost).ToStream().To(numbers("lost"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2")
	d.Crash()
	d.Restart()
	feed(t, d, "in", "k=c@3")
	require.Equal(t, []string{"k=1@1", "k=2@2", "k=3@3"}, read(d, "kept"))
	require.Equal(t, []string{"k=1@1", "k=2@2", "k=1@3"}, read(d, "lost"))
	require.Empty(t, changelogs(d))
}

func TestCrash_OfACrashedApplicationFailsTheTest(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).To(lines("out"))
	top, err := b.Build()
	require.NoError(t, err)
	said := fails(t, func(tb testing.TB) {
		d := streamtest.New(tb, top)
		d.Crash()
		d.Crash()
	})
	require.Contains(t, said, "has crashed already")
	said = fails(t, func(tb testing.TB) { streamtest.New(tb, top).LoseDisk() })
	require.Contains(t, said, "call Crash first")
}
