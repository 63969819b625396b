package stream_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// busy is a program in which a record changes two stores, a clock and a counter, and is written to three topics, before it may fail.
func busy(policy dlq.Policy, fail func(v string) error) (*stream.Builder, state.KeyValueSpec[string, int64], state.KeyValueSpec[string, string]) {
	counts, last := numberStore("counts"), lineStore("last")
	b := stream.NewBuilder().OnError(policy)
	s := b.Stream(lines("in"))
	s.To(lines("out-1"))
	s.FilterNot(hasA).TryPeek(func(context.Context, string, string) error { return stream.ErrSkip })
	s.GroupByKey().Count(counts).ToStream().To(numbers("out-2"))
	s.GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(windowStore("windows")).ToStream(windowLabel).To(numbers("out-3"))
	s.Process(func(n *lineNode) (lineFunc, error) {
		st := last.Open(n)
		return func(_ context.Context, r lineRecord) error {
			if err := st.Put(r.Key, r.Value); err != nil {
				return err
			}
			return fail(r.Value)
		}, nil
	}, stream.Stores(last), stream.Named("fussy"))
	return b, counts, last
}

func TestFailure_UndoesEverythingThatTheRecordCaused(t *testing.T) {
	t.Parallel()
	fail := func(v string) error {
		switch v {
		case "bad":
			return errBad
		case "panic":
			panic("worse")
		}
		return nil
	}
	for _, value := range []string{"bad", "panic"} {
		for _, test := range []struct {
			name    string
			policy  dlq.Policy
			letters int
			dropped int64
			wait    int
		}{
			{"Skip", dlq.Skip(), 0, 1, 0},
			{"Send", dlq.Send(), 1, 0, 0},
			{"Retry", dlq.Retry(2, dlq.Constant(time.Second)).Then(dlq.Send()), 1, 0, 2},
		} {
			t.Run(test.name+" after "+value, func(t *testing.T) {
				t.Parallel()
				b, counts, last := busy(test.policy, fail)
				d := start(t, b)
				feed(t, d, "in", "k=a@5", "k="+value+"@25", "l="+value+"@35")
				for range 2 * test.wait {
					d.Advance(time.Second)
				}
				feed(t, d, "in", "k=b@6")
				require.Equal(t, []string{"k=a@5", "k=b@6"}, read(d, "out-1"))
				require.Equal(t, []string{"k=1@5", "k=2@6"}, read(d, "out-2"))
				require.Equal(t, []string{"k[0-10]=1@5", "k[0-10]=2@6"}, read(d, "out-3"), "the window's clock went back too")
				require.Equal(t, []string{"k=2@6"}, rows(t, d, counts))
				require.Equal(t, []string{"k=b@6"}, rows(t, d, last))
				require.Len(t, d.DeadLetters("in"), 2*test.letters)
				require.Equal(t, 2*test.dropped, d.Dropped("failed"))
				require.EqualValues(t, 1, d.Dropped("skipped"), "of record b alone: counters are undone")
				require.Zero(t, d.Dropped("late"))
			})
		}
	}
}

func TestFailure_LeavesNothingBehindWhenItFails(t *testing.T) {
	t.Parallel()
	b, counts, last := busy(dlq.Fail(), func(v string) error {
		if v == "bad" {
			return errBad
		}
		return nil
	})
	d := start(t, b)
	feed(t, d, "in", "k=a@5")
	require.ErrorIs(t, tryFeed(t, d, "in", "k=bad@6"), errBad)
	require.Equal(t, []string{"k=a@5"}, read(d, "out-1"))
	require.Equal(t, []string{"k=1@5"}, rows(t, d, counts))
	require.Equal(t, []string{"k=a@5"}, rows(t, d, last))
}

func TestFailure_UndoesTheChangesOfTheSameRecordOnly(t *testing.T) {
	t.Parallel()
	b, counts, last := busy(dlq.Skip(), failIfBad)
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "k=a@5", "k=bad@6", "k=b@7", "l=bad@8")
	require.Equal(t, []string{"k=2@7"}, rows(t, d, counts), "not committed, and not undone")
	require.Equal(t, []string{"k=b@7"}, rows(t, d, last))
	require.Empty(t, read(d, "out-1"))
	d.Commit()
	require.Equal(t, []string{"k=a@5", "k=b@7"}, read(d, "out-1"))
	require.Equal(t, []string{"k=2@7"}, rows(t, d, counts))
	require.Equal(t, []string{"k=2@7"}, read(d, "test-counts-changelog"), "one record per row and commit")
}

func failIfBad(v string) error { return failOnBad(context.Background(), "", v) }

func TestFailure_PutsADeletedRowBack(t *testing.T) {
	t.Parallel()
	last := lineStore("last")
	for _, opts := range [][]streamtest.Option{nil, {streamtest.ManualCommit()}, {streamtest.CacheBytes(0)}} {
		b := stream.NewBuilder().OnError(dlq.Skip())
		b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
			st := last.Open(n)
			return func(_ context.Context, r lineRecord) error {
				if r.Value != "clear" {
					return st.Put(r.Key, r.Value)
				}
				for e, err := range st.All() {
					err = errors.Join(err, st.Delete(e.Key), st.Put("new-"+e.Key, "x"), st.Put(e.Key, "y"), st.Delete(e.Key))
					if err != nil {
						return err
					}
				}
				return errBad
			}, nil
		}, stream.Stores(last))
		d := start(t, b, opts...)
		feed(t, d, "in", "k=a@1", "l=b@2", "x=clear@3")
		require.Equal(t, []string{"k=a@1", "l=b@2"}, rows(t, d, last))
	}
}

// A processor that swallows the error of a Forward does not make half a record pass.
func TestFailure_CannotBeSwallowed(t *testing.T) {
	t.Parallel()
	swallow := func(after func(n *lineNode, r lineRecord) error) func(n *lineNode) (lineFunc, error) {
		return func(n *lineNode) (lineFunc, error) {
			return func(_ context.Context, r lineRecord) error {
				_ = n.Forward(r)
				return after(n, r)
			}, nil
		}
	}
	for name, after := range map[string]func(n *lineNode, r lineRecord) error{
		"by returning nil":         func(*lineNode, lineRecord) error { return nil },
		"by another record":        func(n *lineNode, r lineRecord) error { return n.Forward(lineRecord{Key: r.Key, Value: "fine"}) },
		"by ErrSkip":               func(*lineNode, lineRecord) error { return stream.ErrSkip },
		"by an error of its own":   func(*lineNode, lineRecord) error { return errors.New("mine") },
		"by recovering from panic": func(*lineNode, lineRecord) (err error) { defer func() { _ = recover() }(); panic("mine") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder().OnError(dlq.Send())
			s := b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
				return swallow(func(n *lineNode, r lineRecord) error {
					if r.Value != "bad" {
						return nil
					}
					return after(n, r)
				})(n)
			}, stream.Named("swallower"))
			s.To(lines("out"))
			s.TryPeek(failOnBad, stream.Named("fussy"))
			d := start(t, b)
			feed(t, d, "in", "k=a@1", "k=bad@2", "k=b@3")
			require.Equal(t, []string{"k=a@1", "k=b@3"}, read(d, "out"))
			letters := d.DeadLetters("in")
			require.Len(t, letters, 1)
			require.Zero(t, d.Dropped("skipped"))
		})
	}
}

// boom panics for the value "panic".
func boom(v string) {
	if v == "panic" {
		panic("kaboom")
	}
}

type panicSerde struct{ serde.Serde[string] }

func (s panicSerde) Decode(b []byte) (string, error) { boom(string(b)); return s.Serde.Decode(b) }

func (s panicSerde) Append(dst []byte, v string) ([]byte, error) {
	boom(v)
	return s.Serde.Append(dst, v)
}

func TestPanic_IsTheFailureOfTheNodeAtWork(t *testing.T) {
	t.Parallel()
	odd := panicSerde{serde.String()}
	named := stream.Named("fussy")
	windows := stream.Tumbling{Size: in(10)}
	oddLines := func(name string) stream.Topic[string, string] {
		return stream.NewTopic[string, string](name, serde.String(), odd)
	}
	peek := func(_, v string) bool { boom(v); return true }
	upper := func(v string) string { boom(v); return v }
	for _, test := range []struct {
		name    string
		stage   dlq.Stage
		program func(b *stream.Builder)
	}{
		{"source", dlq.Decode, func(b *stream.Builder) { b.Stream(oddLines("in"), named).To(lines("out")) }},
		{"TimestampFrom", dlq.Decode, func(b *stream.Builder) {
			b.Stream(lines("in"), named, stream.TimestampFrom(func(_, v string) time.Time { boom(v); return at(1) }))
		}},
		{"Filter", dlq.Process, func(b *stream.Builder) { b.Stream(lines("in")).Filter(peek, named) }},
		{"Split", dlq.Process, func(b *stream.Builder) { b.Stream(lines("in")).Split(peek, named) }},
		{"MapValues", dlq.Process, func(b *stream.Builder) { b.Stream(lines("in")).MapValues(upper, named) }},
		{"MapValues before others", dlq.Process, func(b *stream.Builder) {
			s := b.Stream(lines("in"))
			s.Peek(func(string, string) {}).To(lines("out"))
			s.MapValues(upper, named).Peek(func(string, string) {}).To(lines("out"), stream.Named("other"))
		}},
		{"Map", dlq.Process, func(b *stream.Builder) {
			b.Stream(lines("in")).Map(func(k, v string) (string, string) { return k, upper(v) }, named)
		}},
		{"FlatMap's sequence", dlq.Process, func(b *stream.Builder) {
			b.Stream(lines("in")).FlatMap(func(k, v string) iter.Seq2[string, string] {
				return func(yield func(string, string) bool) {
					if yield(k, "fine") {
						boom(v)
					}
				}
			}, named).To(lines("out"))
		}},
		{"Process", dlq.Process, func(b *stream.Builder) {
			b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) {
				return func(_ context.Context, r lineRecord) error {
					if err := n.Forward(lineRecord{Key: r.Key, Value: "fine"}); err != nil {
						return err
					}
					boom(r.Value)
					return nil
				}, nil
			}, named).Peek(func(string, string) {}).To(lines("out"))
		}},
		{"Aggregate", dlq.Process, func(b *stream.Builder) {
			b.Stream(lines("in")).GroupByKey().Aggregate(func() string { return "" },
				func(_, v, a string) string { boom(v); return a }, lineStore("fussy")).ToStream().To(lines("out"))
		}},
		{"Aggregate's initial value", dlq.Process, func(b *stream.Builder) {
			b.Stream(lines("in")).Filter(func(_, v string) bool { return v == "panic" }).GroupByKey().
				Aggregate(func() string { panic("kaboom") }, func(_, v, a string) string { return a }, lineStore("fussy"))
		}},
		{"the aggregation of windows", dlq.Process, func(b *stream.Builder) {
			b.Stream(lines("in")).GroupByKey().Window(windows).Aggregate(func() string { return "" },
				func(_, v, a string) string { boom(v); return a }, state.Window("fussy", serde.String(), serde.String()))
		}},
		{"a windowed table's key", dlq.Process, func(b *stream.Builder) {
			b.Stream(lines("in")).GroupByKey().Window(windows).Reduce(func(_, v string) string { return v },
				state.Window("w", serde.String(), serde.String())).
				Filter(func(_ stream.Windowed[string], v string) bool { boom(v); return true }, named)
		}},
		{"Table.Filter", dlq.Process, func(b *stream.Builder) { b.Table(lines("in"), lineStore("table")).Filter(peek, named) }},
		{"Table.MapValues", dlq.Process, func(b *stream.Builder) {
			b.Table(lines("in"), lineStore("table")).MapValues(upper, named).ToStream().To(lines("out"))
		}},
		{"a store's key serde, of an aggregation", dlq.Process, func(b *stream.Builder) {
			b.Stream(lines("in")).Peek(func(string, string) {}).GroupByKey().
				Count(state.KeyValue[string, int64]("fussy", odd, decimal()))
		}},
		{"a store's key serde, of windows", dlq.Process, func(b *stream.Builder) {
			b.Stream(lines("in")).Peek(func(string, string) {}).GroupByKey().Window(windows).
				Count(state.Window[string, int64]("fussy", odd, decimal()))
		}},
		{"a store's serde, of a table", dlq.Process, func(b *stream.Builder) {
			b.Stream(lines("in")).ToTable(state.KeyValue[string, string]("table", odd, odd), named)
		}},
		{"a store's key serde, of a join", dlq.Process, func(b *stream.Builder) {
			table := b.Table(lines("table"), state.KeyValue[string, string]("table", odd, serde.String()))
			b.Stream(lines("in")).Peek(func(string, string) {}).JoinTable(table, plus, named)
		}},
		{"JoinTable", dlq.Process, func(b *stream.Builder) {
			table := b.Table(lines("table"), lineStore("table"))
			b.Stream(lines("in")).LeftJoinTable(table, func(v string, _ stream.Opt[string]) string { return upper(v) }, named)
		}},
		{"sink", dlq.Encode, func(b *stream.Builder) {
			b.Stream(lines("in")).Peek(func(string, string) {}).To(oddLines("out"), named)
		}},
		{"a repartition's sink", dlq.Encode, func(b *stream.Builder) {
			b.Stream(lines("in")).Repartition(stream.NewRepartition[string, string]("fussy", serde.String(), odd))
		}},
		{"PartitionBy", dlq.Encode, func(b *stream.Builder) {
			b.Stream(lines("in")).To(lines("out"), named, stream.PartitionBy(func(_, v string, _ int32) int32 { boom(v); return 0 }))
		}},
		{"ToDynamic", dlq.Encode, func(b *stream.Builder) {
			b.Stream(lines("in")).ToDynamic(func(_, v string) string { boom(v); return "out" }, lines("any"), named)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder().OnError(dlq.Send())
			test.program(b)
			top, err := b.Build()
			require.NoError(t, err)
			d := streamtest.New(t, top)
			feed(t, d, "in", "k=a@1", "panic=panic@2", "k=b@3")
			letters := d.DeadLetters("in")
			require.Len(t, letters, 1)
			require.Equal(t, "panic: kaboom", letters[0].Message)
			require.Equal(t, "panic", letters[0].Class)
			require.Equal(t, test.stage, letters[0].Stage)
			require.Contains(t, []string{"fussy", "fussy-sink"}, letters[0].Node)
			require.NotContains(t, fmt.Sprint(read(d, "out")), "fine@2")
		})
	}
}

func TestPanic_CarriesItsStack(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).Peek(func(_, v string) { boom(v) })
	err := tryFeed(t, start(t, b), "in", "k=panic@1")
	p, ok := errors.AsType[*dlq.PanicError](err)
	require.True(t, ok)
	require.Equal(t, "kaboom", p.Value)
	require.Contains(t, string(p.Stack), "undo_test.go")
}

// A value that cannot be encoded for its store is found while its record is in process. At the commit there would be none to blame.
func TestFailure_OfAStoresEncodingIsTheRecords(t *testing.T) {
	t.Parallel()
	type plain struct{ Ratio float64 }
	type shared struct{ Ratio map[string]float64 }
	ratio := func(v string) float64 {
		if v == "bad" {
			return math.NaN()
		}
		return 1
	}
	key := serde.String()
	for name, program := range map[string]func(s lineStream){
		"kept decoded": func(s lineStream) {
			s.GroupByKey().Aggregate(func() (p plain) { return p }, func(_, v string, _ plain) plain { return plain{ratio(v)} },
				state.KeyValue("fussy", key, serde.JSON[plain]()))
		},
		"kept as bytes": func(s lineStream) {
			s.GroupByKey().Aggregate(func() (p shared) { return p }, func(_, v string, _ shared) shared {
				return shared{map[string]float64{"r": ratio(v)}}
			}, state.KeyValue("fussy", key, serde.JSON[shared]()))
		},
		"in a window": func(s lineStream) {
			s.GroupByKey().Window(stream.Tumbling{Size: in(10)}).
				Aggregate(func() (p plain) { return p }, func(_, v string, _ plain) plain { return plain{ratio(v)} },
					state.Window("fussy", key, serde.JSON[plain]()))
		},
		"in a table": func(s lineStream) {
			s.MapValues(func(v string) plain { return plain{ratio(v)} }).
				ToTable(state.KeyValue("store", key, serde.JSON[plain]()), stream.Named("fussy"))
		},
		"in a derived table": func(s lineStream) {
			s.ToTable(lineStore("table")).MapValues(func(v string) plain { return plain{ratio(v)} }, stream.Named("fussy")).
				Materialize(state.KeyValue("store", key, serde.JSON[plain]()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder().OnError(dlq.Send())
			program(b.Stream(lines("in")))
			d := start(t, b)
			feed(t, d, "in", "k=a@1", "k=bad@2", "k=b@3")
			letters := d.DeadLetters("in")
			require.Len(t, letters, 1)
			require.Equal(t, "fussy", letters[0].Node)
			require.Equal(t, dlq.Encode, letters[0].Stage)
			require.Equal(t, "serialization-failed", letters[0].Reason)
		})
	}
}
