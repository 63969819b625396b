package stream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
	"github.com/weirstream/weir/topology"
)

type lineFunc = func(context.Context, lineRecord) error

func TestProcess_ForwardsAnyNumberOfRecords(t *testing.T) {
	t.Parallel()
	runLines(t, []lineCase{
		{"Process", func(s lineStream) lineStream {
			return s.Process(func(n *lineNode) (lineFunc, error) {
				return func(_ context.Context, r lineRecord) error {
					for i := range len(r.Value) {
						if err := n.Forward(lineRecord{Key: r.Key, Value: r.Value[:i+1], Timestamp: at(int64(i))}); err != nil {
							return err
						}
					}
					return nil
				}, nil
			})
		}, []string{"k=abc@7", "k=@8", "k=null@9"}, []string{"k=a@0", "k=ab@1", "k=abc@2"}, nil},
		{"all flags are visible, and kept where the record is", func(s lineStream) lineStream {
			return s.Process(func(n *lineNode) (lineFunc, error) {
				return func(_ context.Context, r lineRecord) error { return n.Forward(r) }, nil
			})
		}, []string{"null=a@1", "k=null@2", "null=null@3", "=@4"}, []string{"null=a@1", "k=null@2", "null=null@3", "=@4"}, nil},
		{"a record without a time has that of the one in process", func(s lineStream) lineStream {
			return s.Process(func(n *lineNode) (lineFunc, error) {
				return func(_ context.Context, r lineRecord) error { return n.Forward(lineRecord{Key: r.Key}) }, nil
			})
		}, []string{"k=a@7"}, []string{"k=@7"}, nil},
		{"ErrSkip drops the record and keeps what was forwarded", func(s lineStream) lineStream {
			return s.Process(func(n *lineNode) (lineFunc, error) {
				return func(_ context.Context, r lineRecord) error {
					return errors.Join(n.Forward(r), fmt.Errorf("enough: %w", stream.ErrSkip))
				}, nil
			})
		}, []string{"k=a@1"}, []string{"k=a@1"}, map[string]int64{"skipped": 1}},
	})
}

func TestProcess_RemembersInItsStores(t *testing.T) {
	t.Parallel()
	last, seen := lineStore("last"), windowStore("seen").Retention(in(100))
	b := stream.NewBuilder()
	b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
		l, s := last.Open(n), seen.Open(n)
		return func(_ context.Context, r lineRecord) error {
			before, ok, err := l.Get(r.Key)
			if err != nil {
				return err
			}
			if err := errors.Join(l.Put(r.Key, r.Value), s.Put(r.Key, r.Timestamp, 1)); err != nil {
				return err
			}
			return n.Forward(lineRecord{Key: r.Key, Value: fmt.Sprintf("%s %t", before, ok)})
		}, nil
	}, stream.Stores(last), stream.Stores(seen)).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2", "l=c@3")
	require.Equal(t, []string{"k= false@1", "k=a true@2", "l= false@3"}, read(d, "out"))
	require.Equal(t, []string{"k=b@2", "l=c@3"}, rows(t, d, last), "rows have the time of their record")
	require.Equal(t, []int64{1, 2}, startsOf(t, d, seen, "k"))
	require.Equal(t, []string{"test-last-changelog", "test-seen-changelog"}, changelogs(d))
}

func TestProcess_SharesAStoreWithAnotherProcessor(t *testing.T) {
	t.Parallel()
	shared := lineStore("shared")
	b := stream.NewBuilder()
	b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
		st := shared.Open(n)
		return func(_ context.Context, r lineRecord) error { return st.Put(r.Key, r.Value) }, nil
	}, stream.Stores(shared), stream.Named("writer"))
	b.Stream(lines("ask")).Process(func(n *lineNode) (lineFunc, error) {
		st := shared.Open(n)
		return func(_ context.Context, r lineRecord) error {
			v, _, err := st.Get(r.Key)
			return errors.Join(err, n.Forward(lineRecord{Key: r.Key, Value: v}))
		}, nil
	}, stream.Stores(shared), stream.Named("reader")).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1")
	feed(t, d, "ask", "k=?@2")
	require.Equal(t, []string{"k=a@2"}, read(d, "out"))
}

func TestProcess_ForwardsToOneChild(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	s := b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
		odd, even := n.Child("odd"), n.Child("even")
		return func(_ context.Context, r lineRecord) error {
			switch {
			case r.Value == "all":
				return n.Forward(r)
			case len(r.Value)%2 == 0:
				return even.Forward(r)
			}
			return odd.Forward(r)
		}, nil
	})
	s.To(lines("odd-out"), stream.Named("odd"))
	s.Peek(func(string, string) {}, stream.Named("even")).To(lines("even-out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=ab@2", "k=all@3")
	require.Equal(t, []string{"k=a@1", "k=all@3"}, read(d, "odd-out"))
	require.Equal(t, []string{"k=ab@2", "k=all@3"}, read(d, "even-out"))
}

func TestProcess_TellsWhereTheRecordCameFrom(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	var got []topology.Metadata
	note := func(ctx context.Context, _, _ string) error { got = append(got, stream.Metadata(ctx)); return nil }
	b.Stream(lines("in")).
		TryPeek(note).
		SelectKey(func(_, v string) string { return v }).
		Repartition(through("by-value")).
		TryPeek(note).
		ForEach(func(string, string) {})
	d := start(t, b)
	header := stream.Header{Key: "h", Value: []byte("1")}
	feed(t, d, "in", "k=a@1")
	d.SendRaw("in", []byte("k"), []byte("b"), at(5), header)
	origin := func(offset int64) dlq.Origin { return dlq.Origin{Topic: "in", Offset: offset} }
	require.Equal(t, []topology.Metadata{
		{Topic: "in", Offset: 0, Origin: origin(0), Timestamp: at(1)},
		{Topic: "test-by-value-repartition", Offset: 0, Origin: origin(0), Timestamp: at(1), Headers: []stream.Header{}},
		{Topic: "in", Offset: 1, Origin: origin(1), Timestamp: at(5), Headers: []stream.Header{header}},
		{Topic: "test-by-value-repartition", Offset: 1, Origin: origin(1), Timestamp: at(5), Headers: []stream.Header{header}},
	}, got)
	none := stream.Metadata(t.Context())
	require.Equal(t, topology.Metadata{Partition: -1, Offset: -1}, none, "any other context knows nothing")
}

func TestProcess_RefusesATimeBefore1970(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
		return func(_ context.Context, r lineRecord) error {
			r.Timestamp = at(-1)
			return n.Forward(r)
		}, nil
	}).To(lines("out"))
	require.ErrorContains(t, tryFeed(t, start(t, b), "in", "k=a@1"), "before 1970")
}

func TestProcessValues_KeepsKeyTimeAndHeaders(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).ProcessValues(func(n *stream.ValueNode[string, *string]) (lineFunc, error) {
		return func(_ context.Context, r lineRecord) error {
			return errors.Join(n.Forward(&r.Value), n.Forward(nil))
		}, nil
	}).
		// The stream is still partitioned by its key.
		ToTable(state.KeyValue[string, *string]("last", serde.String(), serde.Nullable(serde.String()))).
		ToStream().To(optional("out"))
	d := start(t, b)
	d.SendRaw("in", []byte("k"), []byte("a"), at(7), stream.Header{Key: "h", Value: []byte("1")})
	raws := d.ReadRaw("out")
	require.Len(t, raws, 2)
	for i, want := range []string{"a", "null"} {
		require.Equal(t, "k", string(raws[i].Key))
		require.Equal(t, want, orNull(raws[i].Value))
		require.EqualValues(t, 7, raws[i].TimestampMs)
		require.Equal(t, []stream.Header{{Key: "h", Value: []byte("1")}}, raws[i].Headers)
	}
}

func TestProcessValues_HasNoKeyForWhatATimerForwards(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).ProcessValues(func(n *stream.ValueNode[string, string]) (lineFunc, error) {
		n.Node().EveryWallTime(time.Second, func(time.Time) error { return n.Forward("tick") })
		return func(_ context.Context, r lineRecord) error { return n.Forward(r.Value) }, nil
	})
	d := start(t, b)
	feed(t, d, "in", "k=a@1")
	require.ErrorContains(t, d.TryAdvance(time.Second), "there is no record in process")
}

// ticker forwards the times at which its timers are called.
func ticker(every time.Duration, set func(n *lineNode, every time.Duration, f func(time.Time) error)) func(n *lineNode) (lineFunc, error) {
	return func(n *lineNode) (lineFunc, error) {
		set(n, every, func(now time.Time) error {
			m := n.Metadata()
			return n.Forward(lineRecord{Key: "tick", Value: fmt.Sprintf("%q %d %d", m.Topic, m.Offset, now.UnixMilli()), Timestamp: now})
		})
		return func(context.Context, lineRecord) error { return nil }, nil
	}
}

func TestStreamTimers_FireAtTheMultiplesOfTheirIntervalThatStreamTimeReaches(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).Process(ticker(in(10), (*lineNode).EveryStreamTime)).To(lines("out"))
	d := start(t, b)
	d.Advance(time.Hour)
	require.Empty(t, read(d, "out"))
	feed(t, d, "in", "k=a@3", "k=b@9", "k=c@10", "k=d@2", "k=e@19", "k=f@47", "k=g@50")
	require.Equal(t, []string{
		`tick="" -1 3@3`, `tick="" -1 10@10`, `tick="" -1 47@47`, `tick="" -1 50@50`,
	}, read(d, "out"), "first at once; steps jumped over are one call")
}

func TestWallTimers_FireWhenTheirIntervalHasPassed(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).Process(ticker(in(10), (*lineNode).EveryWallTime)).To(lines("out"))
	d := start(t, b, streamtest.StartAt(at(1000)))
	feed(t, d, "in", "k=a@9999")
	d.Advance(in(9))
	require.Empty(t, read(d, "out"))
	d.Advance(in(1))
	d.Advance(in(35))
	d.Advance(in(4))
	d.Advance(in(1))
	require.Equal(t, []string{
		`tick="" -1 1010@1010`, `tick="" -1 1045@1045`, `tick="" -1 1050@1050`,
	}, read(d, "out"), "missed calls are one; targets stay multiples of the interval")
}

func TestTimers_SeeAndChangeStores(t *testing.T) {
	t.Parallel()
	buffer := lineStore("buffer")
	b := stream.NewBuilder()
	b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
		st := buffer.Open(n)
		n.EveryWallTime(time.Second, func(time.Time) error {
			for e, err := range st.All() {
				if err != nil {
					return err
				}
				if err := errors.Join(n.Forward(lineRecord{Key: e.Key, Value: e.Value, Timestamp: e.Timestamp}), st.Delete(e.Key)); err != nil {
					return err
				}
			}
			return nil
		})
		return func(_ context.Context, r lineRecord) error { return st.Put(r.Key, r.Value) }, nil
	}, stream.Stores(buffer)).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "l=a@1", "k=b@2", "l=c@3")
	d.Advance(time.Second)
	require.Equal(t, []string{"k=b@2", "l=c@3"}, read(d, "out"))
	require.Empty(t, rows(t, d, buffer))
	d.Advance(time.Second)
	require.Empty(t, read(d, "out"))
}

func TestTimers_KnowBothTimes(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
		report := func() error {
			s, ok := n.StreamTime()
			return n.Forward(lineRecord{Value: fmt.Sprint(s.UnixMilli(), ok, n.WallTime().UnixMilli()), Timestamp: at(0)})
		}
		n.EveryWallTime(in(5), func(time.Time) error { return report() })
		return func(context.Context, lineRecord) error { return report() }, nil
	}).To(lines("out"))
	d := start(t, b)
	d.Advance(in(5))
	feed(t, d, "in", "k=a@7", "k=a@3")
	require.Equal(t, []string{"=-1 false 5@0", "=7 true 5@0", "=7 true 5@0"}, read(d, "out"))
}

func TestTimers_FailTheTask(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(time.Time) error{
		"with an error": func(time.Time) error { return errors.New("no time") },
		"with a reject": func(time.Time) error { return dlq.Reject("no time", nil) },
		"with a panic":  func(time.Time) error { panic("no time") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder().OnError(dlq.Skip())
			b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
				n.EveryWallTime(time.Second, f)
				return func(context.Context, lineRecord) error { return nil }, nil
			}, stream.Named("clockwork"), stream.OnError(dlq.Send()))
			d := start(t, b)
			err := d.TryAdvance(time.Second)
			require.ErrorContains(t, err, "no time")
			require.ErrorContains(t, err, `"clockwork"`)
			require.ErrorIs(t, d.Err(), err)
			require.Empty(t, d.DeadLetters("in"), "there is no record to set aside")
		})
	}
}

func TestProcess_KeepsTheHeadersThatItAppendsFromItsSiblings(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	add := func(names ...string) func(n *lineNode) (lineFunc, error) {
		return func(n *lineNode) (lineFunc, error) {
			return func(_ context.Context, r lineRecord) error {
				for _, name := range names {
					r.Headers = append(r.Headers, stream.Header{Key: name})
				}
				return n.Forward(r)
			}, nil
		}
	}
	s := b.Stream(lines("in")).Process(add("a", "b", "c")) // with room for a fourth
	s.Process(add("left")).To(lines("left"))
	s.Process(add("right")).To(lines("right"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1")
	for _, topic := range []string{"left", "right"} {
		headers := d.ReadRaw(topic)[0].Headers
		require.Equal(t, topic, headers[len(headers)-1].Key)
	}
}
