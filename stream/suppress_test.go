package stream_test

import (
	"fmt"
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
	"github.com/weirstream/weir/topology"
)

func lineBuffer(name string) state.BufferSpec[string, string] {
	return state.Buffer(name, serde.String(), serde.String())
}

func numberBuffer(name string) state.BufferSpec[string, int64] {
	return state.Buffer(name, serde.String(), decimal())
}

type suppressCase struct {
	name   string
	buffer state.BufferSpec[string, string]
	until  stream.UntilTimeLimit
	in     []string
	want   []string
}

func TestSuppress_UntilTimeLimit(t *testing.T) {
	t.Parallel()
	buffer, ten := lineBuffer("held"), stream.UntilTimeLimit{Limit: in(10)}
	for _, test := range []suppressCase{
		{"the latest value leaves when the first has waited", buffer, ten,
			[]string{"k=a@1", "k=b@5", "l=x@10", "l=y@11"}, []string{"k=b@5"}},
		{"an update does not begin the wait anew", buffer, ten,
			[]string{"k=a@1", "k=b@9", "k=c@11"}, []string{"k=c@11"}},
		{"by the times they began to wait, then by key", buffer, ten,
			[]string{"z=a@2", "b=b@3", "a=c@3", "z=d@4", "y=e@20"}, []string{"z=d@4", "a=c@3", "b=b@3"}},
		{"a late update waits from its own time", buffer, ten,
			[]string{"k=a@20", "l=b@10"}, []string{"l=b@10"}},
		{"no limit sends each at once", buffer, stream.UntilTimeLimit{},
			[]string{"k=a@5", "k=b@3", "k=null@7"}, []string{"k=a@5", "k=b@3", "k=null@7"}},
		{"a delete is sent like any update", buffer, ten,
			[]string{"k=a@1", "k=null@2", "l=x@20"}, []string{"k=null@2"}},
		{"a full buffer sends the oldest early", buffer.MaxRecords(2), ten,
			[]string{"k=a@1", "l=b@2", "k=c@3", "m=d@4", "n=e@5"}, []string{"k=c@3", "l=b@2"}},
		{"a buffer may hold nothing", buffer.MaxRecords(0), ten,
			[]string{"k=a@1", "l=b@2"}, []string{"k=a@1", "l=b@2"}},
		// 8 of time, 1 of the key, 4 of the value, 20 and 2 of where it came from
		{"a row counts as in Kafka Streams", buffer.MaxBytes(35), ten,
			[]string{"k=aaaa@1", "l=@2", "l=bbbb@3"}, []string{"k=aaaa@1"}},
		{"and two are two", buffer.MaxBytes(70), ten,
			[]string{"k=aaaa@1", "l=bbbb@2", "l=bbbbb@3"}, []string{"k=aaaa@1"}},
		// the update adds the value before it
		{"values before count where they differ", buffer.MaxBytes(38), ten,
			[]string{"k=aaaa@1", "k=bbb@2", "k=bbbb@3", "k=bbbbb@4"}, []string{"k=bbbbb@4"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			b.Table(lines("in"), lineStore("rows")).Suppress(test.buffer, test.until).ToStream().To(lines("out"))
			d := start(t, b)
			feed(t, d, "in", test.in...)
			require.Equal(t, test.want, read(d, "out"))
			require.Zero(t, d.Dropped(""))
		})
	}
}

// finals is a program of final counts per window.
func finals(b *stream.Builder, w stream.TimeWindows, buffer state.BufferSpec[string, int64], opts ...stream.SourceOption) {
	b.Stream(lines("in"), opts...).GroupByKey().Window(w).Count(windowStore("windows")).
		Suppress(buffer, stream.UntilWindowCloses{WhenFull: stream.FailWhenFull}).ToStream(windowLabel).To(numbers("out"))
}

func TestSuppress_UntilWindowCloses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		windows stream.TimeWindows
		in      []string
		want    []string
	}{
		{"a window is sent once, at its end", stream.Tumbling{Size: in(10)},
			[]string{"k=a@1", "k=b@9", "l=c@9", "k=d@10"}, []string{"k[0-10]=2@9", "l[0-10]=1@9"}},
		{"behind its grace", stream.Tumbling{Size: in(10), Grace: in(5)},
			[]string{"k=a@1", "k=b@14", "k=c@9", "k=d@15", "k=late@9"}, []string{"k[0-10]=2@9"}},
		{"by the ends of the windows, then by key", stream.Hopping{Size: in(10), Advance: in(5)},
			[]string{"l=a@7", "k=b@8", "k=c@40"},
			[]string{"k[0-10]=1@8", "l[0-10]=1@7", "k[5-15]=1@8", "l[5-15]=1@7"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			finals(b, test.windows, numberBuffer("final"))
			d := start(t, b)
			feed(t, d, "in", test.in...)
			require.Equal(t, test.want, read(d, "out"))
		})
	}
}

func TestSuppress_DropsWindowsThatEndUpWithoutAResult(t *testing.T) {
	t.Parallel()
	add := func(a, v *string) *string {
		if *v == "x" {
			return nil
		}
		return new(*a + *v)
	}
	for _, test := range []struct {
		until stream.Until
		want  []string
	}{
		{stream.UntilWindowCloses{}, []string{"l[0-10]=a@3"}},
		{stream.UntilTimeLimit{Limit: in(10)}, []string{"k[0-10]=null@2", "l[0-10]=a@3"}},
	} {
		b := stream.NewBuilder()
		texts := serde.Nullable(serde.String())
		b.Stream(optional("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).
			Reduce(add, state.Window("windows", serde.String(), texts)).
			Suppress(state.Buffer("final", serde.String(), texts), test.until).
			ToStream(windowLabel).To(optional("out"))
		d := start(t, b)
		feed(t, d, "in", "k=a@1", "k=x@2", "l=a@3", "k=a@13")
		require.Equal(t, test.want, read(d, "out"), "%v", test.until)
	}
}

func TestSuppress_FindsTheWindowsAboveOtherOperators(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10), Grace: in(2)}).Count(windowStore("windows")).
		Suppress(numberBuffer("first"), stream.UntilTimeLimit{Limit: in(1)}).
		Filter(func(k stream.Windowed[string], _ int64) bool { return k.Key != "no" }).
		MapValues(func(n int64) int64 { return -n }).
		Suppress(numberBuffer("final"), stream.UntilWindowCloses{}).ToStream(windowLabel).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "no=b@2", "k=c@5", "k=d@11", "k=e@12", "k=f@13")
	require.Equal(t, []string{"k[0-10]=-2@5"}, read(d, "out"))
}

func TestSuppress_SendsHeadersAndTimeOfTheLatestUpdate(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("rows")).Suppress(lineBuffer("held"), stream.UntilTimeLimit{Limit: in(10)}).ToStream().To(lines("out"))
	d := start(t, b)
	input := streamtest.Input(d, lines("in"))
	input.Send("k", "a", at(5), stream.Header{Key: "first", Value: []byte("1")})
	input.Send("k", "b", at(3), stream.Header{Key: "second"}, stream.Header{Key: "", Value: []byte{}})
	input.Send("l", "c", at(15))
	got := streamtest.Output(d, lines("out")).Read()
	require.Len(t, got, 1)
	require.Equal(t, at(3), got[0].Timestamp)
	require.Equal(t, []stream.Header{{Key: "second"}, {Key: "", Value: []byte{}}}, got[0].Headers)
}

// What was sent last is what an operator downstream compares with.
func TestSuppress_SendsTheValueSentBeforeAsTheOldOne(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("rows")).Suppress(lineBuffer("held"), stream.UntilTimeLimit{Limit: in(10)}).
		Filter(func(_, v string) bool { return strings.HasPrefix(v, "yes") }).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=yes@1", "k=no@2", "l=yes@11", "k=yes@12", "l=no@13", "l=yes 2@14", "z=@21", "k=no@22", "z=@32")
	require.Equal(t, []string{"l=yes 2@14"}, read(d, "out"), "k never passed")
	feed(t, d, "in", "l=maybe@33", "l=no@34", "z=@43")
	require.Equal(t, []string{"l=null@34"}, read(d, "out"), "the value between was never sent")
}

func TestSuppress_ShowsThoseWhoLookRowsUpWhatWasSentLast(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	held := b.Table(lines("in"), lineStore("rows")).Suppress(lineBuffer("held"), stream.UntilTimeLimit{Limit: in(10)})
	b.Stream(lines("asked")).LeftJoinTable(held, leftPlus).To(lines("out"))
	d := start(t, b)
	ask := func() string {
		feed(t, d, "asked", "k=q@0")
		return read(d, "out")[0]
	}
	none := ask()
	feed(t, d, "in", "k=a@1")
	require.Equal(t, none, ask(), "held back")
	feed(t, d, "in", "l=x@11")
	require.NotEqual(t, none, ask())
	first := ask()
	feed(t, d, "in", "k=b@12", "k=c@13")
	require.Equal(t, first, ask(), "the row has another value by now")
	feed(t, d, "in", "l=x@22")
	require.Contains(t, ask(), "c")
}

func TestSuppress_LetsResultsOutWhenAnInputIsQuiet(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	finals(b, stream.Tumbling{Size: in(10), Grace: in(5)}, numberBuffer("final"), stream.IdleAfter(time.Second))
	d := start(t, b)
	feed(t, d, "in", "k=a@1")
	require.Empty(t, read(d, "out"))
	d.Advance(3 * time.Second)
	require.Equal(t, []string{"k[0-10]=1@1"}, read(d, "out"))
	feed(t, d, "in", "k=late@2", "k=b@10000")
	require.Empty(t, read(d, "out"), "the window is closed to all")
	require.EqualValues(t, 1, d.Dropped("late"))
}

func TestSuppress_FailsWhenFullIfItIsToldTo(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	buffer := lineBuffer("held").MaxRecords(1)
	b.Table(lines("in"), lineStore("rows")).
		Suppress(buffer, stream.UntilTimeLimit{Limit: in(10), WhenFull: stream.FailWhenFull}, stream.OnError(dlq.Send()), stream.Named("hold")).
		ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "l=b@2", "k=c@3")
	require.Empty(t, read(d, "out"))
	letters := d.DeadLetters("in")
	require.Len(t, letters, 1)
	records, _ := streamtest.Waiting(d, buffer, 0)
	require.EqualValues(t, 1, records)
	feed(t, d, "in", "k=d@11")
	require.Equal(t, []string{"k=d@11"}, read(d, "out"), "the record that failed has left nothing behind, in the buffer and its counts")
	feed(t, d, "in", "m=e@12")
	require.Len(t, d.DeadLetters("in"), 0, "there is room again")
}

// A record that fails below the buffer, while an older one is sent, puts everything back.
func TestSuppress_KeepsWhatCouldNotBeSent(t *testing.T) {
	t.Parallel()
	fail := true
	b := stream.NewBuilder().OnError(dlq.Retry(5, dlq.Constant(time.Second)))
	b.Table(lines("in"), lineStore("rows")).Suppress(lineBuffer("held"), stream.UntilTimeLimit{Limit: in(10)}).ToStream().
		MapValues(func(v string) string {
			if fail && v == "b" {
				panic("not now")
			}
			return v
		}).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "l=b@2", "m=c@12")
	require.Empty(t, read(d, "out"), "a was sent by the same record")
	fail = false
	d.Advance(time.Second)
	require.Equal(t, []string{"k=a@1", "l=b@2"}, read(d, "out"))
}

func TestSuppress_RefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	closes, buffer := stream.UntilWindowCloses{}, numberBuffer("x")
	for _, test := range []struct {
		want   string
		buffer state.BufferSpec[string, int64]
		until  stream.Until
	}{
		{"no time is given", buffer, nil},
		{"would not be final", buffer.MaxBytes(9), closes},
		{"would not be final", buffer.MaxRecords(9), closes},
		{"Limit is -1ms", buffer, stream.UntilTimeLimit{Limit: -time.Millisecond}},
		{"Limit is 1ns", buffer, stream.UntilTimeLimit{Limit: 1}},
		{"WhenFull is unknown", buffer, stream.UntilTimeLimit{WhenFull: 7}},
		{"WhenFull is unknown", buffer, stream.UntilWindowCloses{WhenFull: 7}},
		{"negative bound", buffer.MaxRecords(-1), stream.UntilTimeLimit{}},
		{"negative bound", buffer.MaxBytes(-1), stream.UntilTimeLimit{}},
	} {
		b := stream.NewBuilder()
		counts := b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(windowStore("windows"))
		counts.Suppress(test.buffer, test.until)
		_, err := b.Build()
		require.Regexp(t, `^suppress_test.go:\d+: suppress "x": `, err)
		require.ErrorContains(t, err, test.want)
	}
}

func TestSuppress_OfAnEmptyBufferSpecIsAnErrorOfBuild(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("rows")).Suppress(state.BufferSpec[string, string]{}, stream.UntilTimeLimit{})
	require.Contains(t, faults(t, b), "store name")
	b = stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(windowStore("windows")).
		Suppress(state.Buffer[string, int64]("x", nil, nil), stream.UntilWindowCloses{})
	require.Contains(t, faults(t, b), "no serde")
	stream.Table[string, string]{}.Suppress(lineBuffer("x"), stream.UntilTimeLimit{})
	stream.WindowedTable[string, int64]{}.Suppress(numberBuffer("x"), nil)
}

func TestSuppress_LogsItsBufferAndReplaysIt(t *testing.T) {
	t.Parallel()
	for _, inMemory := range []bool{false, true} {
		b, buffer := stream.NewBuilder(), lineBuffer("held").MaxRecords(3)
		if inMemory {
			buffer = buffer.InMemory()
		}
		b.Table(lines("in"), lineStore("rows")).Suppress(buffer, stream.UntilTimeLimit{Limit: in(10)}).ToStream().To(lines("out"))
		d := start(t, b, streamtest.ManualCommit())
		feed(t, d, "in", "k=a@1", "l=b@2", "k=c@3")
		d.Commit()
		records, bytes := streamtest.Waiting(d, buffer, 0)
		feed(t, d, "in", "m=x@30", "n=y@31")
		d.Crash()
		d.LoseDisk()
		d.Restart()
		d.Commit()
		require.Equal(t, []string{"k=c@3", "l=b@2"}, read(d, "out"), "the records of after the commit are read again")
		require.EqualValues(t, 2, records)
		require.EqualValues(t, 2*(8+1+1+20+2), bytes, "there was no value before")
		feed(t, d, "in", "o=z@32", "p=z@33")
		d.Commit()
		require.Equal(t, []string{"m=x@30"}, read(d, "out"), "the bound counts the rows of before")
	}
}

// A finalStep is a record, and what happens behind it.
type finalStep struct {
	record string
	key    string
	ms     int64
	then   string
}

func TestSuppress_SendsEachWindowOnceWithItsFinalCount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		size, grace := rapid.Int64Range(1, 20).Draw(rt, "size"), rapid.Int64Range(0, 15).Draw(rt, "grace")
		hop := rapid.Int64Range(1, size).Draw(rt, "hop")
		steps := drawFinalSteps(rt)
		buffer := numberBuffer("final").MaxRecords(1 << 30)
		if rapid.Bool().Draw(rt, "in memory") {
			buffer = buffer.InMemory()
		}
		b := stream.NewBuilder()
		finals(b, stream.Hopping{Size: in(size), Advance: in(hop), Grace: in(grace)}, buffer)
		cache := rapid.SampledFrom([]int64{0, 500, 1 << 20}).Draw(rt, "cache")
		d := start(t, b, streamtest.ManualCommit(), streamtest.CacheBytes(cache))

		counts, clock := map[stream.Windowed[string]]int64{}, int64(-1)
		for _, s := range steps {
			clock = max(clock, s.ms)
			for start := int64(0); start <= s.ms; start += hop {
				if start+size > s.ms && start+size > clock-grace {
					counts[stream.Windowed[string]{Key: s.key, Start: at(start), End: at(start + size)}]++
				}
			}
			(&marathon{}).run(t, d, stretchStep{record: s.record, then: s.then})
		}
		d.Commit()
		want := []string{}
		for w, n := range counts {
			if w.End.UnixMilli() <= clock-grace {
				want = append(want, fmt.Sprintf("%s=%d", windowLabel(w), n))
			}
		}
		got := []string{}
		for _, r := range read(d, "out") {
			result, _, _ := strings.Cut(r, "@")
			got = append(got, result)
		}
		waiting, _ := streamtest.Waiting(d, buffer, 0)
		require.EqualValues(rt, len(counts)-len(want), waiting)
		slices.Sort(want)
		slices.Sort(got)
		require.Equal(rt, want, got)
	})
}

func drawFinalSteps(rt *rapid.T) []finalStep {
	now := int64(0)
	step := rapid.Custom(func(t *rapid.T) finalStep {
		s := finalStep{key: rapid.SampledFrom([]string{"k", "l", ""}).Draw(t, "key")}
		s.ms = max(0, now+rapid.Int64Range(-30, 20).Draw(t, "time"))
		now = max(now, s.ms)
		s.record = fmt.Sprintf("%s=v@%d", s.key, s.ms)
		s.then = rapid.SampledFrom([]string{"", "", "", "commit", "commit", "crash", "lose"}).Draw(t, "then")
		return s
	})
	return rapid.SliceOfN(step, 1, 50).Draw(rt, "steps")
}

// A table is what it was, whatever the schedule of commits and crashes: rows that wait are neither lost nor sent twice.
func TestSuppress_AnswersTheSameWithCrashesAsWithout(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		steps := drawFinalSteps(rt)
		buffer := lineBuffer("held").MaxRecords(rapid.Int64Range(0, 3).Draw(rt, "records")).MaxBytes(rapid.Int64Range(0, 200).Draw(rt, "bytes"))
		limit := in(rapid.Int64Range(0, 20).Draw(rt, "limit"))
		program := func() *topology.Topology {
			b := stream.NewBuilder()
			b.Table(lines("in"), lineStore("rows")).Suppress(buffer, stream.UntilTimeLimit{Limit: limit}).ToStream().To(lines("out"))
			top, err := b.Build()
			require.NoError(rt, err)
			return top
		}
		calm, rough := streamtest.New(t, program()), streamtest.New(t, program(), streamtest.ManualCommit())
		for i, s := range steps {
			record := strings.Replace(s.record, "=v@", fmt.Sprintf("=%s@", strings.Repeat("v", i%7)), 1)
			feed(t, calm, "in", record)
			(&marathon{}).run(t, rough, stretchStep{record: record, then: s.then})
		}
		rough.Commit()
		require.Equal(rt, read(calm, "out"), read(rough, "out"))
		records, bytes := streamtest.Waiting(calm, buffer, 0)
		again, bytesAgain := streamtest.Waiting(rough, buffer, 0)
		require.Equal(rt, []int64{records, bytes}, []int64{again, bytesAgain})
	})
}
