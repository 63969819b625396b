package stream_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func TestSliding_OnUpdate(t *testing.T) {
	t.Parallel()
	ten := stream.Sliding{Difference: in(10), Grace: in(100)}
	runWindows(t, []windowCase{
		{"windows end and begin with records", ten, nil,
			[]string{"k=a@10", "k=b@15", "k=c@12"},
			[]string{
				"k[0-10]=1@10", "k[11-21]=1@15", "k[5-15]=2@15",
				"k[11-21]=2@15", "k[5-15]=3@15", "k[2-12]=2@12", "k[13-23]=1@15",
			}, 0},
		{"records of one time share their windows", ten, nil,
			[]string{"k=a@20", "k=b@20"}, []string{"k[10-20]=1@20", "k[10-20]=2@20"}, 0},
		{"records of the first Difference share a window", ten, nil,
			[]string{"k=a@5", "k=b@2", "k=c@3"},
			[]string{
				"k[0-10]=1@5", "k[3-13]=1@5", "k[0-10]=2@5",
				"k[3-13]=2@5", "k[4-14]=1@5", "k[0-10]=3@5",
			}, 0},
		{"a record far from others is alone", ten, nil,
			[]string{"k=a@20", "k=b@31", "l=c@40"}, []string{"k[10-20]=1@20", "k[21-31]=1@31", "l[30-40]=1@40"}, 0},
		{"a window takes records up to its end and grace, that included", stream.Sliding{Difference: in(10), Grace: in(5)}, nil,
			[]string{"k=a@30", "l=b@50", "k=c@45", "k=d@44", "k=late@30"},
			[]string{"k[20-30]=1@30", "l[40-50]=1@50", "k[35-45]=1@45", "k[35-45]=2@45", "k[45-55]=1@45"}, 1 + 1},
	})
}

func TestSliding_OnClose(t *testing.T) {
	t.Parallel()
	ten, onClose := stream.Sliding{Difference: in(10)}, []stream.Emit{stream.OnClose}
	runWindows(t, []windowCase{
		{"a window is sent once, behind its end", ten, onClose,
			[]string{"k=a@20", "k=b@21", "l=c@31"}, []string{"k[10-20]=1@20", "k[11-21]=2@21"}, 0},
		{"windows that close together by start and then key", ten, onClose,
			[]string{"l=a@20", "k=b@20", "z=x@100"}, []string{"k[10-20]=1@20", "l[10-20]=1@20"}, 0},
		{"no result is lost however far stream time jumps", ten, onClose,
			[]string{"k=a@1", "k=b@25", "k=c@1000", "k=d@100000000", "k=e@200000000"},
			[]string{"k[0-10]=1@1", "k[15-25]=1@25", "k[990-1000]=1@1000", "k[99999990-100000000]=1@100000000"}, 0},
	})
}

func TestSliding_DropsNullsOfTypesThatHaveThemToo(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(optional("in")).GroupByKey().Window(stream.Sliding{Difference: in(10)}).Count(windowStore("counts")).
		ToStream(windowLabel).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@20", "k=null@21", "null=b@22")
	require.Equal(t, []string{"k[10-20]=1@20"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
	require.EqualValues(t, 1, d.Dropped("null-key"))
}

func TestUnlimited_IsAWindowThatNeverCloses(t *testing.T) {
	t.Parallel()
	store := windowStore("counts")
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Unlimited{From: at(10)}).Count(store).
		ToStream(func(w stream.Windowed[string]) string {
			require.Equal(t, at(10), w.Start)
			require.Equal(t, at(1<<63-1), w.End)
			return w.Key
		}).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@9", "k=b@10", "k=c@100000000000", "k=d@11")
	require.Equal(t, []string{"k=1@10", "k=2@100000000000", "k=3@100000000000"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("early"))
	require.Equal(t, []int64{10}, startsOf(t, d, store, "k"))
	d.Crash()
	d.LoseDisk()
	d.Restart()
	feed(t, d, "in", "k=e@12")
	require.Equal(t, []string{"k=4@100000000000"}, read(d, "out"))
}

func TestUnlimited_BeginsIn1970UnlessItSays(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Unlimited{}).Count(windowStore("counts")).ToStream(
		func(w stream.Windowed[string]) string { return w.Start.Format(time.DateOnly) }).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@0")
	require.Equal(t, []string{"1970-01-01=1@0"}, read(d, "out"))
}

func TestBuild_RefusesSlidingAndUnlimitedWindowsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		windows stream.TimeWindows
		emit    stream.Emit
		want    string
	}{
		{stream.Sliding{}, stream.OnUpdate, "Difference is 0s"},
		{stream.Sliding{Difference: 1}, stream.OnUpdate, "Difference is 1ns"},
		{stream.Sliding{Difference: time.Second, Grace: -time.Second}, stream.OnUpdate, "Grace is -1s"},
		{stream.Sliding{Difference: 1 << 62}, stream.OnUpdate, "Difference is "},
		{stream.Unlimited{From: at(-1)}, stream.OnUpdate, "not before 1970"},
		{stream.Unlimited{From: at(1).Add(1)}, stream.OnUpdate, "use whole milliseconds"},
		{stream.Unlimited{}, stream.OnClose, "an unlimited window never closes: use OnUpdate"},
	} {
		b := stream.NewBuilder()
		g := b.Stream(lines("in")).GroupByKey()
		w, pos := g.Window(test.windows, test.emit), here()
		w.Count(windowStore("windows"))
		fault := faults(t, b)
		require.Contains(t, fault, pos+": window: ")
		require.Contains(t, fault, test.want)
	}
	b := stream.NewBuilder()
	w := b.Stream(lines("in")).GroupByKey().Window(stream.Sliding{Difference: time.Minute, Grace: time.Second})
	_, pos := w.Count(windowStore("windows").Retention(2*time.Minute)), here()
	requireFault(t, b, pos, `window-count "windows": store "windows" keeps windows for 2m0s: their size and grace take 2m1s`)
}

// The windows of a quiet input close as wall time goes on, behind a repartition too.
func TestIdleAfter_ClosesWindows(t *testing.T) {
	t.Parallel()
	for name, program := range map[string]func(g stream.Grouped[string, string]) stream.WindowedTable[string, int64]{
		"tumbling": func(g stream.Grouped[string, string]) stream.WindowedTable[string, int64] {
			return g.Window(stream.Tumbling{Size: in(5000)}, stream.OnClose).Count(windowStore("w"))
		},
		"sliding": func(g stream.Grouped[string, string]) stream.WindowedTable[string, int64] {
			return g.Window(stream.Sliding{Difference: in(5000)}, stream.OnClose).Count(windowStore("w"))
		},
		"session": func(g stream.Grouped[string, string]) stream.WindowedTable[string, int64] {
			return g.SessionWindow(stream.Session{Gap: in(4000)}, stream.OnClose).Count(sessionStore("w"))
		},
	} {
		want := map[string]string{"tumbling": "a[0-5000]=2@2000", "sliding": "a[0-5000]=2@2000", "session": "a[1-2000]=2@2000"}[name]
		for _, grouped := range []bool{false, true} {
			b := stream.NewBuilder()
			s := b.Stream(lines("in"), stream.IdleAfter(time.Second))
			g := s.GroupByKey()
			if grouped {
				g = s.GroupBy(func(_, v string) string { return v }, through("by-value"))
			}
			program(g).ToStream(windowLabel).To(numbers("out"))
			d := start(t, b)
			feed(t, d, "in", "a=a@1", "a=a@2000")
			d.Advance(2 * time.Second)
			require.Empty(t, read(d, "out"), name)
			for range 10 {
				d.Advance(time.Second)
			}
			require.Contains(t, read(d, "out"), want, name)
			feed(t, d, "in", "a=a@2001")
			require.Positive(t, d.Dropped("late"), name)
		}
	}
}

func TestWindowedAsTable_IsReadableAndKeepsItsPartitions(t *testing.T) {
	t.Parallel()
	windows := stream.NewTopic("windows", serde.TimeWindowed(serde.String(), in(10)), serde.String())
	sessions := stream.NewTopic("sessions", serde.SessionWindowed(serde.String()), serde.String())
	b := stream.NewBuilder()
	g := b.Stream(lines("in")).GroupByKey()
	byWindow := stream.WindowedAsTable(g.Window(stream.Tumbling{Size: in(10)}).Count(windowStore("w")).
		MapValues(func(n int64) int64 { return n * 10 }))
	bySession := stream.WindowedAsTable(g.SessionWindow(stream.Session{Gap: in(10)}).Count(sessionStore("s")))
	paste := func(v string, n int64) string { return v + "=" + string(rune('0'+n%10)) + string(rune('0'+n/10)) }
	b.Stream(windows).JoinTable(byWindow, paste).To(stream.NewTopic("joined-windows", serde.TimeWindowed(serde.String(), in(10)), serde.String()))
	b.Stream(sessions).JoinTable(bySession, paste).To(stream.NewTopic("joined-sessions", serde.SessionWindowed(serde.String()), serde.String()))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2", "k=c@11")
	key := func(s serde.Serde[stream.Windowed[string]], from, to int64) []byte {
		bytes, err := s.Append(nil, stream.Windowed[string]{Key: "k", Start: at(from), End: at(to)})
		require.NoError(t, err)
		return bytes
	}
	require.NoError(t, d.TrySendRaw("windows", key(windows.Key(), 10, 20), []byte("x"), at(3)))
	require.NoError(t, d.TrySendRaw("windows", key(windows.Key(), 20, 30), []byte("none"), at(3)))
	require.NoError(t, d.TrySendRaw("sessions", key(sessions.Key(), 1, 11), []byte("y"), at(3)))
	require.NoError(t, d.TrySendRaw("sessions", key(sessions.Key(), 1, 2), []byte("none"), at(3)))
	require.Equal(t, "x=01", string(d.ReadRaw("joined-windows")[0].Value))
	out := d.ReadRaw("joined-sessions")
	require.Len(t, out, 1)
	require.Equal(t, "y=30", string(out[0].Value))
}

func TestWindowedAsTable_GroupsByTheWindow(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	t1 := stream.WindowedAsTable(b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(windowStore("w")))
	updates := state.KeyValue("updates", serde.TimeWindowed(serde.String(), in(10)), decimal())
	t1.ToStream().GroupByKey().Count(updates).ToStream().Map(func(w stream.Windowed[string], n int64) (string, int64) {
		return windowLabel(w), n
	}).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2", "k=c@11")
	require.Equal(t, []string{"k[0-10]=1@1", "k[0-10]=2@2", "k[10-20]=1@11"}, read(d, "out"))
}
