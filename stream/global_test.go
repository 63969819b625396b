package stream_test

import (
	"context"
	"errors"
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
)

type (
	lineGlobal     = stream.GlobalTable[string, string]
	lineGlobalNode = stream.GlobalNode
)

// globalRows returns the rows of a global store in the form that parse reads.
func globalRows[V any](tb testing.TB, d *streamtest.Driver, spec state.KeyValueSpec[string, V]) []string {
	tb.Helper()
	out := []string{}
	for e, err := range streamtest.Global(d, spec).All() {
		require.NoError(tb, err)
		out = append(out, fmt.Sprintf("%s=%v@%d", e.Key, e.Value, e.Timestamp.UnixMilli()))
	}
	return out
}

func TestGlobalTable_HoldsTheLastRowOfEachKeyOfAllPartitions(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.GlobalTable(lines("rates"), lineStore("rates"))
	b.Stream(lines("in")).To(lines("out"))
	d := start(t, b, streamtest.Partitions("rates", 4))
	want := []string{}
	for i := range 20 {
		feed(t, d, "rates", fmt.Sprintf("k%02d=%d@%d", i, i, i))
		if i != 7 {
			want = append(want, fmt.Sprintf("k%02d=%d@%d", i, i, i))
		}
	}
	feed(t, d, "rates", "k03=new@1", "k07=null@99", "null=1@3")
	want[3] = "k03=new@1"
	require.Equal(t, want, globalRows(t, d, lineStore("rates")), "a later record wins whatever its time")
	require.EqualValues(t, 1, d.Dropped("null-key"))
	require.EqualValues(t, 1, d.Dropped(""))
	require.Empty(t, changelogs(d), "the topic is the log")
	row, ok, err := streamtest.Global(d, lineStore("rates")).GetRow("k03")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, at(1), row.Timestamp)
}

func TestGlobalTable_TakesANullableValueForADelete(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	st := state.KeyValue("rates", serde.String(), serde.Nullable(serde.String()))
	b.GlobalTable(optional("rates"), st)
	b.Stream(lines("in")).To(lines("out"))
	d := start(t, b)
	feed(t, d, "rates", "k=1@1", "k=null@2")
	require.Empty(t, globalRows(t, d, st))
}

// A topic may be read as a stream too, and the stream is processed first.
func TestGlobalTable_GetsARecordWhenTheStreamsOfItsTopicAreDone(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.GlobalTable(lines("in"), lineStore("rates"))
	b.Stream(lines("in")).LeftJoinGlobal(table, keyOf, leftPlus).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=1@1", "k=2@2")
	require.Equal(t, []string{"k=1+none@1", "k=2+1@2"}, read(d, "out"))
}

func TestGlobalTable_SeesWhatTheTopologyWritesWhenItIsCommitted(t *testing.T) {
	t.Parallel()
	program := func() *stream.Builder {
		b := stream.NewBuilder()
		table := b.GlobalTable(lines("rates"), lineStore("rates"))
		b.Stream(lines("set")).To(lines("rates"))
		b.Stream(lines("in")).LeftJoinGlobal(table, keyOf, leftPlus).To(lines("out"))
		return b
	}
	d := start(t, program())
	feed(t, d, "set", "k=a@1")
	feed(t, d, "in", "k=1@2")
	require.Equal(t, []string{"k=1+a@2"}, read(d, "out"))

	d = start(t, program(), streamtest.ManualCommit())
	feed(t, d, "set", "k=a@1")
	require.Empty(t, globalRows(t, d, lineStore("rates")))
	d.Commit()
	require.Equal(t, []string{"k=a@1"}, globalRows(t, d, lineStore("rates")))
	feed(t, d, "set", "k=b@1")
	d.Crash()
	d.Restart()
	d.Commit()
	require.Equal(t, []string{"k=b@1"}, globalRows(t, d, lineStore("rates")), "once, and only what was committed")
}

func TestGlobalTable_SurvivesACrash(t *testing.T) {
	t.Parallel()
	for _, inMemory := range []bool{false, true} {
		for _, lose := range []bool{false, true} {
			t.Run(fmt.Sprintf("in memory %v, disk lost %v", inMemory, lose), func(t *testing.T) {
				t.Parallel()
				st := lineStore("rates")
				if inMemory {
					st = st.InMemory()
				}
				b := stream.NewBuilder()
				table := b.GlobalTable(lines("rates"), st)
				b.Stream(lines("in")).JoinGlobal(table, keyOf, plus).To(lines("out"))
				d := start(t, b, streamtest.ManualCommit())
				feed(t, d, "rates", "k=a@1", "l=b@2", "l=null@3")
				feed(t, d, "in", "k=1@1")
				d.Crash()
				if lose {
					d.LoseDisk()
				}
				d.Restart()
				require.Equal(t, []string{"k=a@1"}, globalRows(t, d, st))
				feed(t, d, "rates", "m=c@4")
				feed(t, d, "in", "m=2@2")
				d.Commit()
				require.Equal(t, []string{"k=1+a@1", "m=2+c@2"}, read(d, "out"))
			})
		}
	}
}

// indexed fills an index of keys by value.
func indexed(st state.KeyValueSpec[string, string]) func(n *lineGlobalNode) (lineFunc, error) {
	return func(n *lineGlobalNode) (lineFunc, error) {
		rows := st.Open(n)
		return func(_ context.Context, r lineRecord) error {
			switch {
			case r.Value == "fail":
				return errors.Join(rows.Put("half", "done"), errors.New("bad value"))
			case r.Tombstone:
				return rows.Put("deleted", r.Key)
			}
			before, _, err := rows.Get(r.Value)
			if err != nil {
				return err
			}
			return rows.Put(r.Value, before+r.Key)
		}, nil
	}
}

func TestGlobalStore_IsFilledByAProcessor(t *testing.T) {
	t.Parallel()
	index := lineStore("index")
	b := stream.NewBuilder()
	b.GlobalTable(lines("rates"), lineStore("rates"))
	table := b.GlobalStore(lines("rates"), index, indexed(index), stream.OnError(dlq.Skip()))
	b.Stream(lines("in")).JoinGlobal(table, valueOf, plus).To(lines("out"))
	d := start(t, b)
	feed(t, d, "rates", "k=a@1", "l=b@2", "m=a@3", "n=fail@4", "o=null@5")
	want := []string{"a=km@3", "b=l@2", "deleted=o@5"}
	require.Equal(t, want, globalRows(t, d, index), "a record that fails leaves nothing")
	require.EqualValues(t, 1, d.Dropped("failed"))
	feed(t, d, "in", "x=a@7")
	require.Equal(t, []string{"x=a+km@7"}, read(d, "out"))
	d.Crash()
	d.Restart()
	require.Equal(t, want, globalRows(t, d, index), "no record goes through it twice")
	d.Crash()
	d.LoseDisk()
	d.Restart()
	require.Equal(t, want, globalRows(t, d, index), "from nothing, all do")
	require.Equal(t, []string{"k=a@1", "l=b@2", "m=a@3", "n=fail@4"}, globalRows(t, d, lineStore("rates")), "two stores may share a topic")
}

func TestGlobalTable_MeetsThePolicyWithWhatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	program := func(p dlq.Policy) *streamtest.Driver {
		b := stream.NewBuilder()
		b.GlobalTable(numbers("rates"), numberStore("rates"), stream.OnError(p), stream.Named("rate-table"))
		b.Stream(lines("in")).To(lines("out"))
		return start(t, b)
	}
	d := program(dlq.Fail())
	err := tryFeed(t, d, "rates", "k=x@1")
	require.ErrorContains(t, err, `topic "rates" partition 0 offset 0`)
	require.ErrorIs(t, d.Err(), err)
	for _, p := range []dlq.Policy{dlq.Skip(), dlq.Send()} {
		d = program(p)
		feed(t, d, "rates", "k=1@1", "k=x@2", "l=2@3")
		require.Equal(t, []string{"k=1@1", "l=2@3"}, globalRows(t, d, numberStore("rates")))
		require.EqualValues(t, 1, d.Dropped("failed"))
		require.Empty(t, d.DeadLetters("rates"), "a letter would come from every instance")
	}
	d = program(dlq.Retry(2, dlq.Constant(time.Second)).Then(dlq.Skip()))
	feed(t, d, "rates", "k=x@2", "l=2@3")
	require.Empty(t, globalRows(t, d, numberStore("rates")), "those behind it wait")
	d.Advance(time.Second)
	d.Advance(time.Second)
	require.Equal(t, []string{"l=2@3"}, globalRows(t, d, numberStore("rates")))
	require.EqualValues(t, 2, d.Count("retried", ""))
}

func TestProcess_ReadsGlobalStores(t *testing.T) {
	t.Parallel()
	rates := lineStore("rates")
	b := stream.NewBuilder()
	b.GlobalTable(lines("rates"), rates)
	b.Stream(lines("in")).ProcessValues(func(n *stream.ValueNode[string, string]) (lineFunc, error) {
		view := rates.View(n)
		return func(_ context.Context, r lineRecord) error {
			var found []string
			for e, err := range view.Range("a", r.Value) {
				if err != nil {
					return err
				}
				found = append(found, e.Key+e.Value)
			}
			return n.Forward(strings.Join(found, " "))
		}, nil
	}, stream.Globals(rates)).To(lines("out"))
	b.Stream(lines("ask")).Process(func(n *lineNode) (lineFunc, error) {
		view := rates.View(n)
		n.EveryWallTime(time.Second, func(now time.Time) error {
			v, ok, err := view.Get("b")
			return errors.Join(err, n.Forward(lineRecord{Key: "tick", Value: fmt.Sprint(v, ok), Timestamp: now}))
		})
		return func(context.Context, lineRecord) error { return nil }, nil
	}, stream.Globals(rates)).To(lines("ticks"))
	d := start(t, b, streamtest.Partitions("in", 2))
	feed(t, d, "in", "k=z@1")
	feed(t, d, "rates", "c=3@1", "a=1@1", "b=2@1")
	feed(t, d, "in", "k=c@2", "l=z@3")
	require.ElementsMatch(t, []string{"k=@1", "k=a1 b2@2", "l=a1 b2 c3@3"}, read(d, "out"))
	d.Advance(time.Second)
	require.Equal(t, []string{"tick=2true@1000"}, read(d, "ticks"))
}

func TestGlobalTable_IsNoSubtopology(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.GlobalTable(lines("rates"), lineStore("rates"))
	b.Stream(lines("in")).JoinGlobal(table, keyOf, plus).To(lines("out"))
	b.Stream(lines("in2")).JoinGlobal(table, keyOf, plus).To(lines("out2"))
	top, err := b.Build()
	require.NoError(t, err)
	require.Len(t, top.Subtopologies(), 2, "a global table joins no tasks")
	require.Len(t, top.Globals(), 1)
	require.Equal(t, "rates", top.Globals()[0].Topic())
	plan, err := top.Plan("app", func(topic string) (int32, bool) { return int32(len(topic)), topic != "rates" })
	require.NoError(t, err, "nothing is co-partitioned with it")
	require.Len(t, plan.Tasks, 5)
	require.Empty(t, plan.Internal)
	require.Contains(t, top.Describe().String(), "Global stores\n"+
		"  rates: key-value (string, string), on disk, filled by rates-global [global-table] from rates (string, string)\n")
}

// Whatever the order in which tables and streams are fed, a join answers as two maps do; so it does after a crash.
func TestJoinGlobal_AnswersAsAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		b := stream.NewBuilder()
		table := b.GlobalTable(lines("rates"), lineStore("rates"))
		b.Stream(lines("in")).LeftJoinGlobal(table, valueOf, leftPlus).To(lines("out"))
		d := start(t, b, streamtest.Partitions("rates", 3), streamtest.Partitions("in", 1))
		keys := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		model, want := map[string]string{}, []string{}
		for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			k := keys.Draw(rt, "key")
			switch rapid.IntRange(0, 6).Draw(rt, "step") {
			case 0, 1:
				model[k] = fmt.Sprint("v", i)
				feed(t, d, "rates", fmt.Sprintf("%s=v%d@%d", k, i, 100-i))
			case 2:
				delete(model, k)
				feed(t, d, "rates", k+"=null@5")
			case 3:
				d.Crash()
				if rapid.Bool().Draw(rt, "lose") {
					d.LoseDisk()
				}
				d.Restart()
			default:
				row, ok := model[k]
				if !ok {
					row = "none"
				}
				want = append(want, fmt.Sprintf("x=%s+%s@%d", k, row, i))
				feed(t, d, "in", fmt.Sprintf("x=%s@%d", k, i))
			}
		}
		require.Equal(t, want, read(d, "out"))
		require.Len(t, globalRows(t, d, lineStore("rates")), len(model))
	})
}

func keyOf(k, _ string) string   { return k }
func valueOf(_, v string) string { return v }

func TestGlobal_FaultsAreReportedByBuild(t *testing.T) {
	t.Parallel()
	rates := lineStore("rates")
	nothing := func(context.Context, lineRecord) error { return nil }
	for name, c := range map[string]struct {
		program func(b *stream.Builder)
		want    []string
	}{
		"no stream": {func(b *stream.Builder) { b.GlobalTable(lines("rates"), rates, stream.Named("x")) }, []string{"a global table alone runs no task"}},
		"an empty topic": {func(b *stream.Builder) { b.GlobalTable(stream.Topic[string, string]{}, rates) },
			[]string{"the topic's descriptor is empty"}},
		"a bad store": {func(b *stream.Builder) { b.GlobalTable(lines("rates"), lineStore("no spaces")) }, []string{`store name "no spaces"`}},
		"a store filled twice": {func(b *stream.Builder) {
			b.GlobalTable(lines("rates"), rates)
			b.GlobalTable(lines("more"), rates, stream.Named("second"))
		}, []string{`global-table "second": global store "rates" is filled at global_test.go:`}},
		"a store that a task writes": {func(b *stream.Builder) {
			b.GlobalTable(lines("rates"), rates)
			b.Table(lines("in"), rates)
		}, []string{`store "rates" is global, declared at global_test.go:`, "tasks only read it"}},
		"a global store that a processor opens to write": {func(b *stream.Builder) {
			b.GlobalTable(lines("rates"), rates)
			b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) { rates.Open(n); return nothing, nil }, stream.Globals(rates))
		}, []string{`does not declare store "rates"`}},
		"a view that is not declared": {func(b *stream.Builder) {
			b.GlobalTable(lines("rates"), rates)
			b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) { rates.View(n); return nothing, nil })
		}, []string{`does not declare that it reads global store "rates": list it with Globals`}},
		"a view of nothing": {func(b *stream.Builder) {
			b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) { rates.View(n); return nothing, nil }, stream.Globals(rates))
		}, []string{`reads the global store "rates", which nothing fills: add a GlobalTable or a GlobalStore`}},
		"a view of other types": {func(b *stream.Builder) {
			b.GlobalTable(lines("rates"), rates)
			b.Stream(lines("in")).Process(func(n *lineNode) (lineFunc, error) { return nothing, nil }, stream.Globals(numberStore("rates")))
		}, []string{`reads the global store "rates" as key-value of string and int64, and it is declared as key-value of string and string at global_test.go:`}},
		"a handle of another builder": {func(b *stream.Builder) {
			b.Stream(lines("in")).JoinGlobal(stream.NewBuilder().GlobalTable(lines("rates"), rates), keyOf, plus)
		}, []string{"join-global: a handle is empty or belongs to another builder"}},
		"an empty handle": {func(b *stream.Builder) { b.Stream(lines("in")).LeftJoinGlobal(lineGlobal{}, keyOf, leftPlus) },
			[]string{"left-join-global: a handle is empty"}},
		"a set-up that fails": {func(b *stream.Builder) {
			b.GlobalStore(lines("rates"), rates, func(*lineGlobalNode) (lineFunc, error) { return nil, errors.New("no luck") })
		}, []string{`global-store "rates-global": set up node "rates-global": no luck`}},
		"a set-up that panics": {func(b *stream.Builder) {
			b.GlobalStore(lines("rates"), rates, func(*lineGlobalNode) (lineFunc, error) { panic("no luck") })
		}, []string{`global-store "rates-global": set-up panics: no luck`}},
		"a set-up without a function": {func(b *stream.Builder) {
			b.GlobalStore(lines("rates"), rates, func(*lineGlobalNode) (lineFunc, error) { return nil, nil })
		}, []string{"its set-up returned no function for records"}},
		"no set-up": {func(b *stream.Builder) {
			b.GlobalStore[string, string](lines("rates"), rates, nil)
		}, []string{"a function is nil"}},
		"a set-up that opens another store": {func(b *stream.Builder) {
			b.GlobalStore(lines("rates"), rates, func(n *lineGlobalNode) (lineFunc, error) { lineStore("other").Open(n); return nothing, nil })
		}, []string{`does not declare store "other"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			if name != "no stream" {
				b.Stream(lines("other")).To(lines("out"))
			}
			c.program(b)
			_, err := b.Build()
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			if !slices.Contains([]string{"no stream"}, name) {
				require.ErrorContains(t, err, "global_test.go:")
			}
		})
	}
}
