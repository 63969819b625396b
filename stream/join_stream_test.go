package stream_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

type lineJoin = state.JoinSpec[string, string, string]

func lineJoinOf(name string) lineJoin {
	return state.Join(name, serde.String(), serde.String(), serde.String())
}

func window(before, after, grace int64) stream.Between {
	return stream.Between{Before: in(before), After: in(after), Grace: in(grace)}
}

func orNone(v stream.Opt[string]) string {
	if !v.OK {
		return "none" + v.Value
	}
	return v.Value
}

// A joinKind is Join, LeftJoin or OuterJoin.
type joinKind string

const (
	inner joinKind = "inner"
	left  joinKind = "left"
	outer joinKind = "outer"
)

func (k joinKind) of(l, r lineStream, w stream.Between, st lineJoin, opts ...stream.Option) lineStream {
	switch k {
	case inner:
		return l.Join(r, w, plus, st, opts...)
	case left:
		return l.LeftJoin(r, w, func(v string, o stream.Opt[string]) string { return v + "+" + orNone(o) }, st, opts...)
	default:
		return l.OuterJoin(r, w, func(v, o stream.Opt[string]) string { return orNone(v) + "+" + orNone(o) }, st, opts...)
	}
}

// joinLines runs a join of the topics "l" and "r" into "out".
func joinLines(t *testing.T, k joinKind, w stream.Between, opts ...streamtest.Option) *streamtest.Driver {
	t.Helper()
	b := stream.NewBuilder()
	k.of(b.Stream(lines("l")), b.Stream(lines("r")), w, lineJoinOf("pairs")).To(lines("out"))
	return start(t, b, opts...)
}

// send feeds records, each with its topic before it.
func send(t *testing.T, d *streamtest.Driver, records ...string) {
	t.Helper()
	for _, r := range records {
		topic, record, _ := strings.Cut(r, " ")
		feed(t, d, topic, record)
	}
}

func TestJoin_FollowsItsRules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		kind    joinKind
		window  stream.Between
		records []string
		want    []string
	}{
		{"pairs have the same key and times in the window, both ends included", inner, window(5, 10, 20),
			[]string{"l k=a@100", "r k=w@94", "r k=x@95", "r k=y@110", "r k=z@111", "r j=v@100"}, []string{"k=a+x@100", "k=a+y@110"}},
		{"the second to come may be of either side", inner, window(5, 10, 20),
			[]string{"r k=x@95", "r k=y@110", "r k=z@111", "l k=a@100"}, []string{"k=a+x@100", "k=a+y@110"}},
		{"partners come by time and then by arrival", inner, window(10, 10, 20),
			[]string{"r k=1@103", "r k=2@101", "r k=3@103", "r k=4@101", "l k=a@102"},
			[]string{"k=a+2@102", "k=a+4@102", "k=a+1@103", "k=a+3@103"}},
		{"duplicates are joined each", inner, window(10, 10, 0),
			[]string{"l k=a@1", "l k=a@1", "r k=x@1", "r k=x@1"}, []string{"k=a+x@1", "k=a+x@1", "k=a+x@1", "k=a+x@1"}},
		{"a window of one instant", inner, window(0, 0, 0),
			[]string{"l k=a@5", "r k=x@5", "r k=y@6", "l k=b@6"}, []string{"k=a+x@5", "k=b+y@6"}},
		{"a window that begins later", inner, window(-10, 20, 0),
			[]string{"l k=a@100", "l j=far@120", "r k=x@109", "r k=y@110", "r k=z@120", "r k=v@121"}, []string{"k=a+y@110", "k=a+z@120"}},
		{"a window that ends earlier", inner, window(20, -10, 0),
			[]string{"r k=a@100", "r j=far@120", "l k=x@109", "l k=y@110", "l k=z@120", "l k=v@121"}, []string{"k=y+a@110", "k=z+a@120"}},
		{"windows at the beginning of time", inner, window(10, -5, 0), []string{"r k=a@0", "l k=b@2", "l k=c@5"}, []string{"k=c+a@5"}},
		{"late records find what is kept", inner, window(10, 10, 30),
			[]string{"l k=a@100", "l k=b@149", "r k=x@100", "l k=c@150", "r k=y@100"}, []string{"k=a+x@100"}},

		{"a left record is sent alone when its window and the grace have passed", left, window(10, 10, 5),
			[]string{"l k=a@100", "r k=x@111", "r j=y@115", "r j=z@116"}, []string{"k=a+none@100"}},
		{"a right one never is", left, window(10, 10, 5), []string{"r k=a@100", "l j=z@200"}, []string{}},
		{"a record that found a partner is not sent alone", left, window(10, 10, 5),
			[]string{"l k=a@100", "l k=b@101", "r k=x@111", "l j=z@200"}, []string{"k=b+x@111", "k=a+none@100"}},
		{"a record of the same time as stream time looks too", left, window(10, 10, 0),
			[]string{"l k=a@100", "l k=b@200", "l k=c@200"}, []string{"k=a+none@100"}},
		{"a late record does not look", left, window(10, 10, 0),
			[]string{"l k=a@100", "l null=v@200", "r k=x@150", "r k=x@200"}, []string{"null=v+none@200", "k=a+none@100"}},
		{"a left record behind its window is sent alone at once, and may be joined still", left, window(100, 100, 50),
			[]string{"r x=x@300", "l k=a@150", "r k=b@240"}, []string{"k=a+none@150", "k=a+b@240"}},

		{"an outer join sends both sides alone, the right before the left, by key", outer, window(10, 10, 0),
			[]string{"l b=1@100", "l a=2@100", "r d=3@100", "r c=4@100", "l e=5@99", "r z=6@200"},
			[]string{"e=5+none@99", "c=none+4@100", "d=none+3@100", "a=2+none@100", "b=1+none@100"}},
		{"each side waits for its own end", outer, window(10, 50, 0),
			[]string{"l k=a@100", "r j=x@100", "r j=y@111", "r j=z@151"},
			[]string{"j=none+x@100", "k=a+none@100", "j=none+y@111"}},
		{"records of one key and time leave in the order of their arrival", outer, window(5, 5, 0),
			[]string{"l k=1@100", "l k=2@100", "r j=z@200"}, []string{"k=1+none@100", "k=2+none@100"}},
		{"a partner takes all of a key and time", outer, window(5, 5, 0),
			[]string{"l k=1@100", "l k=2@100", "r k=x@102", "r j=z@200"}, []string{"k=1+x@102", "k=2+x@102"}},

		{"an inner join drops what has no key or no value", inner, window(9, 9, 0), []string{"l null=a@1", "r null=b@1", "l k=null@1", "r k=null@1"}, []string{}},
		{"a left join sends a left record without a key at once", left, window(9, 9, 0),
			[]string{"l null=a@1", "r null=b@1", "l null=null@2", "r null=null@2"}, []string{"null=a+none@1"}},
		{"an outer join sends both at once", outer, window(9, 9, 0),
			[]string{"l null=a@1", "r null=b@1", "l null=null@2"}, []string{"null=a+none@1", "null=none+b@1"}},
		{"records without a key or a value move the clock", left, window(5, 5, 0),
			[]string{"l k=a@100", "r null=b@200", "r k=null@300", "l k=b@290", "l k=c@300"}, []string{"k=b+none@290", "k=a+none@100"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := joinLines(t, test.kind, test.window)
			send(t, d, test.records...)
			require.Equal(t, test.want, read(d, "out"))
		})
	}
}

func TestJoin_CountsWhatItDrops(t *testing.T) {
	t.Parallel()
	d := joinLines(t, left, window(10, 10, 5))
	send(t, d, "l k=a@1000", "l null=b@1001", "l k=null@1002", "r null=c@1003", "r k=null@1003", "l k=d@900", "r j=e@1001", "r j=f@976")
	require.EqualValues(t, 1, d.Dropped("null-key"))
	require.EqualValues(t, 2, d.Dropped("null-value"))
	require.EqualValues(t, 2, d.Dropped("late"), "too old to be kept for partners")
	require.EqualValues(t, 5, d.Dropped(""))
}

func TestJoin_KeepsHeadersOfTheSecondRecord(t *testing.T) {
	t.Parallel()
	d := joinLines(t, left, window(10, 10, 0))
	header := func(v string) []stream.Header { return []stream.Header{{Key: "h", Value: []byte(v)}} }
	s := streamtest.Input(d, lines("l"))
	s.Send("k", "a", at(100), header("a")...)
	s.Send("j", "b", at(100), header("b")...)
	streamtest.Input(d, lines("r")).Send("k", "x", at(105), header("x")...)
	s.Send("i", "c", at(200), header("c")...)
	got := []string{}
	for _, r := range d.ReadRaw("out") {
		got = append(got, fmt.Sprintf("%s %s", r.Value, r.Headers[0].Value))
	}
	require.Equal(t, []string{"a+x x", "b+none c"}, got)
}

func TestJoin_OfAStreamWithItselfPairsEachRecordWithAllAndItself(t *testing.T) {
	t.Parallel()
	records := []string{"k=1@10", "k=2@12", "k=3@11", "j=4@12", "k=5@12", "k=6@40", "k=7@13"}
	for _, kind := range []joinKind{inner, left, outer} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			var outs [2][]string
			for i := range outs {
				b := stream.NewBuilder()
				s := b.Stream(lines("in"))
				l, r := s, s
				if i == 1 { // the same records as two streams
					l, r = s.Peek(func(string, string) {}), s.Peek(func(string, string) {})
				}
				kind.of(l, r, window(1, 2, 50), lineJoinOf("pairs")).To(lines("out"))
				d := start(t, b)
				feed(t, d, "in", records...)
				feed(t, d, "in", "j=end@500", "null=n@501", "k=null@502")
				outs[i] = read(d, "out")
				stores := strings.Join(d.Topics(), " ")
				require.Equal(t, i == 1, strings.Contains(stores, "pairs-right"), "%s", stores)
				want := int64(1)
				if i == 1 {
					want = 2
				}
				require.Equal(t, want, d.Dropped("null-value"))
			}
			require.Equal(t, outs[1], outs[0])
			require.Contains(t, outs[0], "k=1+1@10")
			require.Contains(t, outs[0], "k=1+2@12")
			require.Contains(t, outs[0], "k=2+3@12")
		})
	}
}

func TestJoin_ShowsItsStoresToTestsAndProcessors(t *testing.T) {
	t.Parallel()
	st := lineJoinOf("pairs").Retention(time.Minute)
	b := stream.NewBuilder()
	l, r := b.Stream(lines("l")), b.Stream(lines("r"))
	outer.of(l, r, window(10, 10, 0), st).To(lines("out"))
	l.Process(func(n *lineNode) (lineFunc, error) {
		seen := st.Right().Open(n)
		return func(_ context.Context, r lineRecord) error {
			for e, err := range seen.Fetch(r.Key, at(0), at(1000)) {
				if err != nil {
					return err
				}
				if err := n.Forward(lineRecord{Key: r.Key, Value: e.Value}); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}, stream.Stores(st.Right())).To(lines("seen"))
	d := start(t, b)
	send(t, d, "r k=x@100", "r k=y@101", "l k=a@105", "l j=b@105")
	require.Equal(t, []string{"k=x@105", "k=y@105"}, read(d, "seen"))

	var kept []string
	for e, err := range streamtest.Window(d, st.Right(), 0).Fetch("k", at(0), at(1000)) {
		require.NoError(t, err)
		kept = append(kept, fmt.Sprintf("%s@%d", e.Value, e.Timestamp.UnixMilli()))
	}
	require.Equal(t, []string{"x@100", "y@101"}, kept)
	var waiting []string
	for e, err := range streamtest.JoinBuffer(d, st.Unmatched(), 0).All() {
		require.NoError(t, err)
		waiting = append(waiting, fmt.Sprintf("%v %s=%s@%d", e.Key.Left, e.Key.Key, e.Value.Left, e.At.UnixMilli()))
	}
	require.Equal(t, []string{"true j=b@105"}, waiting)
}

func TestJoin_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	type program func(b *stream.Builder, l, r lineStream)
	for _, test := range []struct {
		name string
		use  program
		want string
	}{
		{"nothing in between", func(_ *stream.Builder, l, r lineStream) { l.Join(r, window(-5, 4, 0), plus, lineJoinOf("j")) }, "Before and After must not be below 0 together"},
		{"a negative grace", func(_ *stream.Builder, l, r lineStream) { l.Join(r, window(5, 4, -1), plus, lineJoinOf("j")) }, "Grace is -1ms"},
		{"parts of milliseconds", func(_ *stream.Builder, l, r lineStream) {
			l.Join(r, stream.Between{Before: time.Microsecond}, plus, lineJoinOf("j"))
		}, "use whole milliseconds"},
		{"ages", func(_ *stream.Builder, l, r lineStream) {
			l.Join(r, stream.Between{Before: 1<<63 - 1, After: 1<<63 - 1}, plus, lineJoinOf("j"))
		}, "up to 30 years"},
		{"a retention that is too short", func(_ *stream.Builder, l, r lineStream) {
			l.Join(r, window(5, 4, 1), plus, lineJoinOf("j").Retention(in(9)))
		}, `the stores of join "j" keep records for 9ms: the window and its grace take 10ms`},
		{"a changed key on the left", func(_ *stream.Builder, l, r lineStream) {
			l.SelectKey(byValue).Join(r, window(1, 1, 1), plus, lineJoinOf("j"))
		}, "needs the stream partitioned by its key"},
		{"a changed key on the right", func(_ *stream.Builder, l, r lineStream) {
			l.Join(r.SelectKey(byValue), window(1, 1, 1), plus, lineJoinOf("j"))
		}, "needs the stream partitioned by its key"},
		{"another builder", func(_ *stream.Builder, l, _ lineStream) {
			l.Join(stream.NewBuilder().Stream(lines("x")), window(1, 1, 1), plus, lineJoinOf("j"))
		}, "belongs to another builder"},
		{"no right side", func(_ *stream.Builder, l, _ lineStream) { l.Join(lineStream{}, window(1, 1, 1), plus, lineJoinOf("j")) }, "belongs to another builder"},
		{"no left side", func(_ *stream.Builder, _, r lineStream) { lineStream{}.Join(r, window(1, 1, 1), plus, lineJoinOf("j")) }, "belongs to another builder"},
		{"no descriptor", func(_ *stream.Builder, l, r lineStream) { l.Join(r, window(1, 1, 1), plus, lineJoin{}) }, `store name "-left"`},
		{"no serdes", func(_ *stream.Builder, l, r lineStream) {
			outer.of(l, r, window(1, 1, 1), state.Join[string, string, string]("j", nil, nil, nil))
		}, "has no serde"},
		{"one descriptor for two joins", func(_ *stream.Builder, l, r lineStream) {
			l.Join(r, window(1, 1, 1), plus, lineJoinOf("j"))
			r.Join(l, window(1, 1, 1), plus, lineJoinOf("j"))
		}, "the name is taken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			test.use(b, b.Stream(lines("l")), b.Stream(lines("r")))
			require.Contains(t, faults(t, b), test.want)
		})
	}
	require.NotPanics(t, func() { lineStream{}.Join(lineStream{}, window(1, 1, 1), plus, lineJoinOf("j")) })
}

func TestJoin_NeedsAsManyPartitionsOnBothSides(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("l")).Join(b.Stream(lines("r")), window(1, 1, 1), plus, lineJoinOf("j"))
	top, err := b.Build()
	require.NoError(t, err)
	_, err = top.Plan("app", func(topic string) (int32, bool) { return int32(len(topic) + int(topic[0])), true })
	require.ErrorContains(t, err, "not co-partitioned")
}

func TestJoin_OfRepartitionedStreamsPassesNullKeysWhereTheyAreOfUse(t *testing.T) {
	t.Parallel()
	for kind, want := range map[joinKind][]string{inner: {}, left: {"null=+none@1"}, outer: {"null=+none@1", "null=none+@2"}} {
		b := stream.NewBuilder()
		nullable := stream.NewTopic("x", serde.Nullable(serde.String()), serde.String())
		st := state.Join("pairs", serde.Nullable(serde.String()), serde.String(), serde.String())
		key := func(string, string) *string { return nil }
		via := func(name string) stream.Repartition[*string, string] {
			return stream.NewRepartition(name, nullable.Key(), nullable.Value())
		}
		l := b.Stream(lines("l")).SelectKey(key).Repartition(via("by-l"))
		r := b.Stream(lines("r")).SelectKey(key).Repartition(via("by-r"))
		w := window(5, 5, 0)
		show := func(l, r stream.Opt[string]) string { return orNone(l) + "+" + orNone(r) }
		var s stream.Stream[*string, string]
		switch kind {
		case inner:
			s = l.Join(r, w, plus, st)
		case left:
			s = l.LeftJoin(r, w, func(v string, o stream.Opt[string]) string { return v + "+" + orNone(o) }, st)
		default:
			s = l.OuterJoin(r, w, show, st)
		}
		s.To(stream.NewTopic("out", nullable.Key(), nullable.Value()))
		d := start(t, b)
		send(t, d, "l k=@1", "r k=@2")
		require.Equal(t, want, read(d, "out"), "%s", kind)
	}
}

func TestJoin_SendsUnmatchedRecordsOnAQuietInput(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	outer.of(b.Stream(lines("l"), stream.IdleAfter(in(100))), b.Stream(lines("r")), window(10, 20, 5), lineJoinOf("pairs")).To(lines("out"))
	d := start(t, b)
	send(t, d, "l k=a@1000", "r j=b@1001", "r i=c@1003")
	require.Empty(t, read(d, "out"))
	d.Advance(in(10))
	require.Empty(t, read(d, "out"), "not quiet for long enough")
	d.Advance(in(6))
	require.Empty(t, read(d, "out"))
	d.Advance(in(84)) // event time is 1100
	require.Equal(t, []string{"k=a+none@1000", "j=none+b@1001", "i=none+c@1003"}, read(d, "out"))
	send(t, d, "l k=late@1000")
	require.Equal(t, []string{"k=late+none@1000"}, read(d, "out"), "the clock has gone on")
}

func TestJoin_UndoesWhatAFailedRecordDid(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Skip())
	failing := func(v, o stream.Opt[string]) string {
		if v.Value == "bad" || o.Value == "bad" {
			panic("bad")
		}
		return orNone(v) + "+" + orNone(o)
	}
	st := lineJoinOf("pairs")
	b.Stream(lines("l")).OuterJoin(b.Stream(lines("r")), window(10, 10, 10), failing, st).To(lines("out"))
	d := start(t, b)
	send(t, d, "l k=a@100", "l k=b@101", "r k=bad@105")
	require.Empty(t, read(d, "out"), "the results of a record are all or nothing")
	send(t, d, "r k=x@106", "l j=c@106", "l null=bad@900", "l j=d@107", "r i=y@128")
	require.Equal(t, []string{"k=a+x@106", "k=b+x@106", "j=c+none@106", "j=d+none@107"}, read(d, "out"),
		"neither its row, nor its clock, nor what it took out of the buffer is left")
	require.EqualValues(t, 2, d.Dropped("failed"))
}
