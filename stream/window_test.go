package stream_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func windowStore(name string) state.WindowSpec[string, int64] {
	return state.Window(name, serde.String(), decimal())
}

// windowLabel writes a windowed key as key[start-end].
func windowLabel(w stream.Windowed[string]) string {
	return fmt.Sprintf("%s[%d-%d]", w.Key, w.Start.UnixMilli(), w.End.UnixMilli())
}

type windowCase struct {
	name    string
	windows stream.TimeWindows
	emit    []stream.Emit
	in      []string
	want    []string
	late    int64
}

func runWindows(t *testing.T, tests []windowCase) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			b.Stream(lines("in")).GroupByKey().Window(test.windows, test.emit...).
				Count(windowStore("windows")).ToStream(windowLabel).To(numbers("out"))
			d := start(t, b)
			feed(t, d, "in", test.in...)
			require.Equal(t, test.want, read(d, "out"))
			require.Equal(t, test.late, d.Dropped("late"))
			require.Equal(t, test.late, d.Dropped(""))
		})
	}
}

func TestWindows_OnUpdate(t *testing.T) {
	t.Parallel()
	ten, grace := stream.Tumbling{Size: in(10)}, stream.Tumbling{Size: in(10), Grace: in(5)}
	hops := stream.Hopping{Size: in(10), Advance: in(5)}
	runWindows(t, []windowCase{
		{"a tumbling window does not hold its end", ten, nil,
			[]string{"k=a@0", "k=b@9", "k=c@10"}, []string{"k[0-10]=1@0", "k[0-10]=2@9", "k[10-20]=1@10"}, 0},
		{"each key has its own", ten, []stream.Emit{stream.OnUpdate},
			[]string{"k=a@1", "l=b@2", "k=c@3"}, []string{"k[0-10]=1@1", "l[0-10]=1@2", "k[0-10]=2@3"}, 0},
		{"the time is the largest so far", ten, nil,
			[]string{"k=a@9", "k=b@1"}, []string{"k[0-10]=1@9", "k[0-10]=2@9"}, 0},
		{"a window closes at its end", ten, nil,
			[]string{"k=a@9", "l=b@10", "k=late@9"}, []string{"k[0-10]=1@9", "l[10-20]=1@10"}, 1},
		{"a window closes at its end plus grace", grace, nil,
			[]string{"k=a@9", "l=b@14", "k=in time@9", "l=c@15", "k=late@9"},
			[]string{"k[0-10]=1@9", "l[10-20]=1@14", "k[0-10]=2@9", "l[10-20]=2@15"}, 1},
		{"a record is in all windows that overlap", hops, nil,
			[]string{"k=a@7", "k=b@12"},
			[]string{"k[0-10]=1@7", "k[5-15]=1@7", "k[5-15]=2@12", "k[10-20]=1@12"}, 0},
		{"no window begins before 1970", hops, nil,
			[]string{"k=a@0", "k=b@4"}, []string{"k[0-10]=1@0", "k[0-10]=2@4"}, 0},
		{"a record is late in each window that has closed", stream.Hopping{Size: in(10), Advance: in(2)}, nil,
			[]string{"k=a@20", "k=b@12", "k=c@9"},
			[]string{
				"k[12-22]=1@20", "k[14-24]=1@20", "k[16-26]=1@20", "k[18-28]=1@20", "k[20-30]=1@20", "k[12-22]=2@20",
			}, 4 + 5},
		{"hops may be as long as the window", stream.Hopping{Size: in(10), Advance: in(10)}, nil,
			[]string{"k=a@10"}, []string{"k[10-20]=1@10"}, 0},
		{"hops may not divide the size", stream.Hopping{Size: in(5), Advance: in(3)}, nil,
			[]string{"k=a@7"}, []string{"k[3-8]=1@7", "k[6-11]=1@7"}, 0},
	})
}

func TestWindows_OnClose(t *testing.T) {
	t.Parallel()
	ten, grace := stream.Tumbling{Size: in(10)}, stream.Tumbling{Size: in(10), Grace: in(5)}
	onClose := []stream.Emit{stream.OnClose}
	runWindows(t, []windowCase{
		{"a window is sent once, when it closes", ten, onClose,
			[]string{"k=a@1", "k=b@9", "k=c@10", "k=d@11"}, []string{"k[0-10]=2@9"}, 0},
		{"right when stream time reaches its end, however it got there", ten, onClose,
			[]string{"k=a@1", "k=b@19", "k=c@20"}, []string{"k[0-10]=1@1", "k[10-20]=1@19"}, 0},
		{"after its grace", grace, onClose,
			[]string{"k=a@1", "k=b@14", "k=c@9", "k=d@15"}, []string{"k[0-10]=2@9"}, 0},
		{"windows that close together by start and then key", ten, onClose,
			[]string{"l=a@1", "k=b@1", "z=c@100"}, []string{"k[0-10]=1@1", "l[0-10]=1@1"}, 0},
		{"no result is lost however far stream time jumps", ten, onClose,
			[]string{"k=a@1", "k=b@25", "k=c@1000", "k=d@100000", "k=e@200000"},
			[]string{"k[0-10]=1@1", "k[20-30]=1@25", "k[1000-1010]=1@1000", "k[100000-100010]=1@100000"}, 0},
		{"a late record changes nothing", ten, onClose,
			[]string{"k=a@1", "k=b@10", "k=late@2", "k=c@20"}, []string{"k[0-10]=1@1", "k[10-20]=1@10"}, 1},
		{"hopping windows close one after the other", stream.Hopping{Size: in(10), Advance: in(5)}, onClose,
			[]string{"k=a@7", "k=b@10", "k=c@15", "k=d@30"},
			[]string{"k[0-10]=1@7", "k[5-15]=2@10", "k[10-20]=2@15", "k[15-25]=1@15"}, 0},
	})
}

func TestWindows_OnCloseWithinRetention(t *testing.T) {
	t.Parallel()
	runWindows(t, []windowCase{
		{"a window is lost behind a jump past the retention", stream.Tumbling{Size: in(10)},
			[]stream.Emit{stream.OnCloseWithinRetention},
			[]string{"k=a@1", "k=b@25", "k=c@31"}, []string{"k[20-30]=1@25"}, 0},
		{"and sent otherwise", stream.Tumbling{Size: in(10)}, []stream.Emit{stream.OnCloseWithinRetention},
			[]string{"k=a@1", "k=b@12", "k=c@23"}, []string{"k[0-10]=1@1", "k[10-20]=1@12"}, 0},
	})
}

func TestWindows_LeaveTimeToOneAnother(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	s := b.Stream(lines("in"))
	count := func(s lineStream, name string) {
		s.GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(windowStore(name)).ToStream(windowLabel).To(numbers(name))
	}
	count(s.Filter(func(_, v string) bool { return v != "other" }), "one")
	count(s, "all")
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=other@50", "null=x@90", "k=b@2")
	require.Equal(t, []string{"k[0-10]=1@1", "k[0-10]=2@2"}, read(d, "one"), "the operator has not seen later times")
	require.Equal(t, []string{"k[0-10]=1@1", "k[50-60]=1@50"}, read(d, "all"))
	require.EqualValues(t, 1, d.Dropped("late"))
	require.EqualValues(t, 2, d.Dropped("null-key"), "a record without a key moves no clock")
}

func TestWindows_CountNullsOfTypesThatHaveThem(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	windows := stream.Tumbling{Size: in(10)}
	b.Stream(optional("in")).GroupByKey().Window(windows).Count(windowStore("counts")).ToStream(windowLabel).To(numbers("counts"))
	b.Stream(lines("plain")).GroupByKey().Window(windows).Count(windowStore("plain")).ToStream(windowLabel).To(numbers("plains"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=null@2")
	feed(t, d, "plain", "k=a@1", "k=null@2")
	require.Equal(t, []string{"k[0-10]=1@1", "k[0-10]=2@2"}, read(d, "counts"))
	require.Equal(t, []string{"k[0-10]=1@1"}, read(d, "plains"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
}

func TestWindowReduce_TakesTheFirstValueAsItIs(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).
		Reduce(plus, state.Window("reduced", serde.String(), serde.String())).
		ToStream(windowLabel).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2", "k=c@10", "k=d@11")
	require.Equal(t, []string{"k[0-10]=a@1", "k[0-10]=a+b@2", "k[10-20]=c@10", "k[10-20]=c+d@11"}, read(d, "out"))
}

func TestWindowAggregate_StartsEachWindowFromItsInitialValue(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	g := b.Stream(numbers("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)})
	hundred := func() int64 { return 100 }
	g.Aggregate(hundred, func(_ string, v, a int64) int64 { return a + v }, windowStore("sums")).
		ToStream(windowLabel).To(numbers("out"))
	g.TryAggregate(hundred, func(_ context.Context, _ string, v, a int64) (int64, error) {
		switch {
		case v == 0:
			return 0, stream.ErrSkip
		case v < 0:
			return 0, dlq.Reject("negative", nil)
		}
		return a + v, nil
	}, windowStore("try-sums"), stream.Named("try")).ToStream(windowLabel).To(numbers("try-out"))
	d := start(t, b)
	feed(t, d, "in", "k=1@1", "k=2@2", "k=0@3", "k=-1@4", "k=3@10")
	require.Equal(t, []string{"k[0-10]=101@1", "k[0-10]=103@2", "k[0-10]=103@3", "k[10-20]=103@10"}, read(d, "out"))
	require.Equal(t, []string{"k[0-10]=101@1", "k[0-10]=103@2", "k[10-20]=103@10"}, read(d, "try-out"))
	require.EqualValues(t, 1, d.Dropped("skipped"))
	letters := d.DeadLetters("in")
	require.Len(t, letters, 1)
	require.Equal(t, "try", letters[0].Node)
}

func TestWindowedTable_FiltersAndMapsItsRows(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(windowStore("counts")).
		Filter(func(w stream.Windowed[string], n int64) bool { return w.Key != "no" && n > 0 && n%2 == 0 }).
		MapValuesWithKey(func(w stream.Windowed[string], n int64) int64 { return n * 100 }).
		ToStream(windowLabel).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2", "k=c@3", "no=a@4", "no=b@5", "k=d@6")
	require.Equal(t, []string{"k[0-10]=200@2", "k[0-10]=null@3", "k[0-10]=400@6"}, read(d, "out"))
}

func TestWindowedTable_FilterHoldsOnClose(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}, stream.OnClose).Count(windowStore("counts")).
		Filter(func(_ stream.Windowed[string], n int64) bool { return n > 1 }).
		ToStream(windowLabel).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2", "l=a@3", "k=c@10", "k=d@20")
	require.Equal(t, []string{"k[0-10]=2@2"}, read(d, "out"), "a window that does not pass is not mentioned")
}

func TestWindowedTable_GoesToThePartitionOfThePlainKey(t *testing.T) {
	t.Parallel()
	topic := stream.NewTopic("out", serde.TimeWindowed(serde.String(), in(10)), decimal())
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(windowStore("counts")).To(topic)
	d := start(t, b, streamtest.Partitions("in", 4), streamtest.Partitions("out", 4))
	for ms := range int64(8) {
		feed(t, d, "in", fmt.Sprintf("k=a@%d", ms*10), fmt.Sprintf("l=a@%d", ms*10))
	}
	partitions := map[string]map[int32]bool{"k": {}, "l": {}}
	for _, r := range streamtest.Output(d, topic).Read() {
		partitions[r.Key.Key][r.Partition] = true
		require.Equal(t, in(10), r.Key.End.Sub(r.Key.Start))
	}
	require.Len(t, partitions["k"], 1)
	require.Len(t, partitions["l"], 1)
}

func TestWindows_AreReadableForTheRetention(t *testing.T) {
	t.Parallel()
	store := windowStore("counts").Retention(in(100))
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(store).ToStream(windowLabel).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@50", "k=c@99")
	require.Equal(t, []int64{0, 50, 90}, startsOf(t, d, store, "k"))
	feed(t, d, "in", "k=c@100")
	require.Equal(t, []int64{50, 90, 100}, startsOf(t, d, store, "k"))
}

func startsOf(t *testing.T, d *streamtest.Driver, store state.WindowSpec[string, int64], key string) []int64 {
	t.Helper()
	var starts []int64
	for e, err := range streamtest.Window(d, store, 0).Fetch(key, at(0), time.UnixMilli(1<<40)) {
		require.NoError(t, err)
		starts = append(starts, e.Key.Start.UnixMilli())
	}
	return starts
}

// A failure behind the emission of closed windows must neither lose nor repeat one.
func TestOnClose_SendsAWindowAgainIfTheRecordThatClosedItFailed(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Retry(5, dlq.Constant(time.Second)))
	fail := true
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}, stream.OnClose).Count(windowStore("counts")).
		ToStream(windowLabel).
		TryPeek(func(context.Context, string, int64) error {
			if fail {
				return fmt.Errorf("not now")
			}
			return nil
		}).
		To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "l=b@2", "k=c@1000", "k=d@2000")
	d.Advance(time.Second)
	require.Empty(t, read(d, "out"))
	fail = false
	d.Advance(time.Second)
	require.Equal(t, []string{"k[0-10]=1@1", "l[0-10]=1@2", "k[1000-1010]=1@1000"}, read(d, "out"))
	require.Zero(t, d.Dropped(""))
}
