package stream_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func sessionStore(name string) state.SessionSpec[string, int64] {
	return state.Session(name, serde.String(), decimal())
}

type sessionCase struct {
	name     string
	sessions stream.Session
	emit     stream.Emit
	in       []string
	want     []string
	late     int64
}

func runSessions(t *testing.T, tests []sessionCase) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			b.Stream(lines("in")).GroupByKey().SessionWindow(test.sessions, test.emit).
				Count(sessionStore("sessions")).ToStream(windowLabel).To(numbers("out"))
			d := start(t, b)
			feed(t, d, "in", test.in...)
			require.Equal(t, test.want, read(d, "out"))
			require.Equal(t, test.late, d.Dropped("late"))
			require.Equal(t, test.late, d.Dropped(""))
		})
	}
}

func TestSession_OnUpdate(t *testing.T) {
	t.Parallel()
	five, grace := stream.Session{Gap: in(5)}, stream.Session{Gap: in(5), Grace: in(10)}
	runSessions(t, []sessionCase{
		{"a session that grows replaces the one before", five, stream.OnUpdate,
			[]string{"k=a@1", "k=b@3"}, []string{"k[1-1]=1@1", "k[1-1]=null@1", "k[1-3]=2@3"}, 0},
		{"a record of the same time changes it in place", five, stream.OnUpdate,
			[]string{"k=a@1", "k=b@1"}, []string{"k[1-1]=1@1", "k[1-1]=2@1"}, 0},
		{"a session within is removed and put again", grace, stream.OnUpdate,
			[]string{"k=a@1", "k=b@3", "k=c@2"},
			[]string{"k[1-1]=1@1", "k[1-1]=null@1", "k[1-3]=2@3", "k[1-3]=null@3", "k[1-3]=3@3"}, 0},
		{"records exactly the gap apart are together", five, stream.OnUpdate,
			[]string{"k=a@1", "k=b@6", "k=c@12"},
			[]string{"k[1-1]=1@1", "k[1-1]=null@1", "k[1-6]=2@6", "k[12-12]=1@12"}, 0},
		{"a record between two sessions merges them", grace, stream.OnUpdate,
			[]string{"k=a@0", "k=b@10", "k=c@5"},
			[]string{"k[0-0]=1@0", "k[10-10]=1@10", "k[0-0]=null@0", "k[10-10]=null@10", "k[0-10]=3@10"}, 0},
		{"keys have their own", five, stream.OnUpdate,
			[]string{"k=a@1", "l=b@2"}, []string{"k[1-1]=1@1", "l[2-2]=1@2"}, 0},
		{"a session takes records until its end is more than the gap ago", five, stream.OnUpdate,
			[]string{"k=a@1", "l=b@6", "k=c@1", "l=d@7", "k=late@1"},
			[]string{"k[1-1]=1@1", "l[6-6]=1@6", "k[1-1]=2@1", "l[6-6]=null@6", "l[6-7]=2@7"}, 1},
		{"a late record is in time where it joins an open session", five, stream.OnUpdate,
			[]string{"k=a@20", "k=b@14", "k=c@15"},
			[]string{"k[20-20]=1@20", "k[20-20]=null@20", "k[15-20]=2@20"}, 1},
	})
}

func TestSession_OnClose(t *testing.T) {
	t.Parallel()
	five, grace := stream.Session{Gap: in(5)}, stream.Session{Gap: in(5), Grace: in(10)}
	runSessions(t, []sessionCase{
		{"a session is sent once, behind its end and the gap", five, stream.OnClose,
			[]string{"k=a@1", "k=b@3", "l=c@8", "l=d@9"}, []string{"k[1-3]=2@3"}, 0},
		{"and the grace", grace, stream.OnClose,
			[]string{"k=a@1", "l=b@16", "k=c@2", "l=d@17", "l=e@18"}, []string{"k[1-2]=2@2"}, 0},
		{"sessions that close together by end, start and key", five, stream.OnClose,
			[]string{"m=a@1", "l=b@2", "k=c@2", "z=x@100"}, []string{"m[1-1]=1@1", "k[2-2]=1@2", "l[2-2]=1@2"}, 0},
		{"no result is lost however far stream time jumps", five, stream.OnClose,
			[]string{"k=a@1", "k=b@20", "k=c@1000000", "k=d@200000000", "k=e@300000000"},
			[]string{"k[1-1]=1@1", "k[20-20]=1@20", "k[1000000-1000000]=1@1000000", "k[200000000-200000000]=1@200000000"}, 0},
		{"what was sent is final", five, stream.OnClose,
			[]string{"k=a@1", "l=b@7", "k=c@2", "l=d@20"}, []string{"k[1-1]=1@1", "k[2-2]=1@2", "l[7-7]=1@7"}, 0},
		{"nothing is lost with Kafka Streams' rule either", five, stream.OnCloseWithinRetention,
			[]string{"k=a@1", "k=b@20", "k=c@1000"}, []string{"k[1-1]=1@1", "k[20-20]=1@20"}, 0},
	})
}

func TestSessionReduce_MergesInTheOrderOfTheEnds(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().SessionWindow(stream.Session{Gap: in(5), Grace: in(50)}).
		Reduce(plus, state.Session("sessions", serde.String(), serde.String())).ToStream(windowLabel).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=b@10", "k=a@0", "k=c@5")
	require.Equal(t, "k[0-10]=a+b+c@10", read(d, "out")[4])
}

func TestSessionReduce_KeepsNullsOfTypesThatHaveThem(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	join := func(a, v *string) *string { s := orNil(a) + "+" + orNil(v); return &s }
	sessions := stream.Session{Gap: in(5)}
	b.Stream(optional("in")).GroupByKey().SessionWindow(sessions).
		Reduce(join, state.Session("sessions", serde.String(), serde.Nullable(serde.String()))).ToStream(windowLabel).To(optional("out"))
	b.Stream(lines("plain")).GroupByKey().SessionWindow(sessions).Count(sessionStore("plain")).ToStream(windowLabel).To(numbers("plains"))
	d := start(t, b)
	feed(t, d, "in", "k=null@1", "k=a@2", "k=null@3", "null=x@9")
	feed(t, d, "plain", "k=a@1", "k=null@2")
	require.Equal(t, []string{"k[1-1]=null@1", "k[2-2]=a@2", "k[2-2]=null@2", "k[2-3]=a+nil@3"}, read(d, "out"))
	require.Equal(t, []string{"k[1-1]=1@1"}, read(d, "plains"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
	require.EqualValues(t, 1, d.Dropped("null-key"))
}

func TestSessionAggregate_MergesIntoItsInitialValue(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	g := b.Stream(lines("in")).GroupByKey().SessionWindow(stream.Session{Gap: in(5), Grace: in(50)})
	zero := func() string { return "0" }
	merge := func(_, a, b string) string { return a + "|" + b }
	store := func(name string) state.SessionSpec[string, string] {
		return state.Session(name, serde.String(), serde.String())
	}
	g.Aggregate(zero, func(_, v, a string) string { return a + "+" + v }, merge, store("all")).ToStream(windowLabel).To(lines("out"))
	g.TryAggregate(zero, func(_ context.Context, _, v, a string) (string, error) {
		switch v {
		case "skip":
			return "", stream.ErrSkip
		case "reject":
			return "", dlq.Reject("no-good", nil)
		}
		return a + "+" + v, nil
	}, merge, store("some"), stream.Named("some")).ToStream(windowLabel).To(lines("some-out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@0", "k=b@10", "k=skip@5", "k=reject@6", "k=c@12")
	require.Equal(t, []string{
		"k[0-0]=0+a@0", "k[10-10]=0+b@10", "k[10-10]=null@10", "k[10-12]=0|0+b+c@12",
	}, read(d, "some-out"), "a record that is skipped merges nothing")
	require.Equal(t, []string{
		"k[0-0]=0+a@0", "k[10-10]=0+b@10", "k[0-0]=null@0", "k[10-10]=null@10", "k[0-10]=0|0+a|0+b+skip@10",
		"k[0-10]=null@10", "k[0-12]=0|0|0+a|0+b+skip+c@12",
	}, read(d, "out"), "a record that is rejected is rejected everywhere")
	require.Len(t, d.DeadLetters("in"), 1)
}

// A filter asks for old values: it does not mention rows that never passed, and does mention one that no longer does.
func TestSession_SendsOldValuesToTheTablesThatAskForThem(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().SessionWindow(stream.Session{Gap: in(5)}).Count(sessionStore("counts")).
		Filter(func(_ stream.Windowed[string], n int64) bool { return n%2 == 0 }).
		ToStream(windowLabel).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@1", "k=c@1", "k=d@1", "k=e@2", "k=f@3")
	require.Equal(t, []string{
		"k[1-1]=2@1", "k[1-1]=null@1", "k[1-1]=4@1", "k[1-1]=null@1", "k[1-3]=6@3",
	}, read(d, "out"))
}

func TestSession_WritesKeysAsKafkaStreamsDoes(t *testing.T) {
	t.Parallel()
	topic := stream.NewTopic("out", serde.SessionWindowed(serde.String()), decimal())
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().SessionWindow(stream.Session{Gap: in(5)}).Count(sessionStore("counts")).To(topic)
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@3")
	out := streamtest.Output(d, topic).Read()
	require.Equal(t, stream.Windowed[string]{Key: "k", Start: at(1), End: at(3)}, out[2].Key)
	row, ok, err := streamtest.Session(d, sessionStore("counts"), 0).Get(out[2].Key)
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 2, row)
}

func TestBuild_RefusesSessionsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sessions stream.Session
		want     string
	}{
		{stream.Session{}, "Gap is 0s"},
		{stream.Session{Gap: -1}, "Gap is -1ns"},
		{stream.Session{Gap: time.Second, Grace: 1}, "Grace is 1ns: use whole milliseconds; Gap above 0, Grace not negative"},
		{stream.Session{Gap: 1 << 62}, "Gap is "},
	} {
		b := stream.NewBuilder()
		g := b.Stream(lines("in")).GroupByKey()
		w, pos := g.SessionWindow(test.sessions), here()
		w.Count(sessionStore("sessions"))
		fault := faults(t, b)
		require.Contains(t, fault, pos+": session-window: ")
		require.Contains(t, fault, test.want)
	}
	b := stream.NewBuilder()
	g := b.Stream(lines("in")).GroupByKey()
	w, pos := g.SessionWindow(stream.Session{Gap: time.Second}, stream.OnClose, stream.OnClose), here()
	w.Count(sessionStore("sessions"))
	require.Contains(t, faults(t, b), pos+": session-window: use one of OnUpdate")
}

func TestBuild_RefusesARetentionBelowGapAndGrace(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	w := b.Stream(lines("in")).GroupByKey().SessionWindow(stream.Session{Gap: time.Minute, Grace: time.Second})
	_, pos := w.Count(sessionStore("sessions").Retention(time.Minute)), here()
	requireFault(t, b, pos, `session-count "sessions": store "sessions" keeps sessions for 1m0s: their gap and grace take 1m1s`)
}

func TestSession_ZeroHandlesAreFaultsOfBuildAndNoPanics(t *testing.T) {
	t.Parallel()
	var g stream.Grouped[string, string]
	g.SessionWindow(stream.Session{}).Count(sessionStore("counts")).To(stream.NewTopic("out", serde.SessionWindowed(serde.String()), decimal()))
	g.Window(stream.Sliding{}).Count(windowStore("windows"))
	stream.WindowedAsTable(stream.WindowedTable[string, int64]{}).ToStream()
}
