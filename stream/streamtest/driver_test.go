package streamtest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
	"github.com/weirstream/weir/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	orders = stream.NewTopic("orders", serde.String(), serde.Int64())
	totals = stream.NewTopic("totals", serde.String(), serde.Int64())
	sums   = state.KeyValue("sums", serde.String(), serde.Int64())
	recent = state.Window("recent", serde.String(), serde.Int64())
)

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// shop adds orders up by customer.
func shop(t *testing.T) *topology.Topology {
	t.Helper()
	b := stream.NewBuilder()
	g := b.Stream(orders).GroupByKey()
	add := func(a, v int64) int64 { return a + v }
	g.Reduce(add, sums).ToStream().To(totals)
	g.Window(stream.Tumbling{Size: time.Minute}).Reduce(add, recent)
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

func record(key string, value int64, ms int64) topology.Record[string, int64] {
	return topology.Record[string, int64]{Key: key, Value: value, Timestamp: at(ms)}
}

func TestDriver_RunsUntilNothingIsLeftToDoAndCommits(t *testing.T) {
	t.Parallel()
	d := streamtest.New(t, shop(t))
	in, out := streamtest.Input(d, orders), streamtest.Output(d, totals)
	in.Send("ann", 3, at(1))
	in.Send("bob", 4, at(2), stream.Header{Key: "h", Value: []byte("1")})
	in.Send("ann", 5, at(3))
	records := out.Read()
	require.Len(t, records, 3)
	require.Equal(t, "ann=3@1", records[0].String())
	require.Equal(t, []topology.Header{{Key: "h", Value: []byte("1")}}, records[1].Headers)
	require.Equal(t, record("ann", 8, 3).Value, records[2].Value)
	require.Empty(t, out.Read(), "what was read is not read again")
	in.Delete("ann", at(4))
	in.SendRecord(topology.Record[string, int64]{NullKey: true, Value: 1, Timestamp: at(5)})
	require.EqualValues(t, 2, d.Dropped("null-value"), "of both operators")
	require.EqualValues(t, 2, d.Dropped("null-key"))
	in.Send("bob", 1, at(6))
	require.Equal(t, []streamtest.Pair[string, int64]{{Key: "bob", Value: 5}}, out.Pairs())
}

func TestDriver_ShowsTheStoresOfEachPartition(t *testing.T) {
	t.Parallel()
	d := streamtest.New(t, shop(t), streamtest.Partitions("orders", 4))
	in := streamtest.Input(d, orders)
	names := []string{"ann", "bob", "cid", "dan", "eve"}
	for i, name := range names {
		in.Send(name, int64(i), at(1))
	}
	for i, name := range names {
		p := topology.PartitionFor([]byte(name), 4)
		v, ok, err := streamtest.KeyValue(d, sums, p).Get(name)
		require.NoError(t, err)
		require.True(t, ok)
		require.EqualValues(t, i, v)
		_, ok, err = streamtest.KeyValue(d, sums, (p+1)%4).Get(name)
		require.NoError(t, err)
		require.False(t, ok)
		row, ok, err := streamtest.Window(d, recent, p).Get(name, at(0))
		require.NoError(t, err)
		require.True(t, ok)
		require.EqualValues(t, i, row.Value)
	}
}

func TestOutput_GroupsByPartitionAndReducesToATable(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Table(orders, sums).ToStream().To(totals)
	top, err := b.Build()
	require.NoError(t, err)
	d := streamtest.New(t, top, streamtest.Partitions("totals", 3))
	in, out := streamtest.Input(d, orders), streamtest.Output(d, totals)
	for i, name := range []string{"ann", "bob", "cid", "ann", "dan"} {
		in.Send(name, int64(i), at(int64(i)))
	}
	in.Delete("bob", at(9))
	require.Equal(t, map[string]int64{"ann": 3, "cid": 2, "dan": 4}, streamtest.Table(out))
	in.Delete("cid", at(10))
	records := out.Read()
	require.Len(t, records, 1)
	require.Equal(t, "cid=null@10", records[0].String())
	require.True(t, records[0].Tombstone)
	require.Equal(t, topology.PartitionFor([]byte("cid"), 3), records[0].Partition)
}

func TestDriver_NamesItsTopics(t *testing.T) {
	t.Parallel()
	d := streamtest.New(t, shop(t), streamtest.Application("shop"))
	streamtest.Input(d, orders).Send("ann", 3, at(1))
	require.Equal(t, []string{"orders", "shop-recent-changelog", "shop-sums-changelog", "totals"}, d.Topics())
	raws := d.ReadRaw("shop-sums-changelog")
	require.Len(t, raws, 1)
	require.Equal(t, "ann", string(raws[0].Key))
	require.Empty(t, d.ReadRaw("nothing"))
}

func TestDriver_MovesTimeOnlyWhenTheTestDoes(t *testing.T) {
	t.Parallel()
	d := streamtest.New(t, shop(t))
	require.Equal(t, at(0), d.Now())
	d.Advance(time.Hour)
	require.Equal(t, at(0).Add(time.Hour), d.Now())
	require.Equal(t, at(5), streamtest.New(t, shop(t), streamtest.StartAt(at(5))).Now())
}

func TestManualCommit_ShowsNothingBeforeTheCommit(t *testing.T) {
	t.Parallel()
	d := streamtest.New(t, shop(t), streamtest.ManualCommit())
	in, out := streamtest.Input(d, orders), streamtest.Output(d, totals)
	in.Send("ann", 3, at(1))
	in.Send("ann", 4, at(2))
	require.Empty(t, out.Read())
	v, _, err := streamtest.KeyValue(d, sums, 0).Get("ann")
	require.NoError(t, err)
	require.EqualValues(t, 7, v, "what the topology itself would read")
	d.Commit()
	require.Len(t, out.Read(), 2)
	require.Len(t, d.ReadRaw("test-sums-changelog"), 1)
}

// A consumer of committed records does not see past one that is not decided, whoever commits first.
func TestManualCommit_KeepsTheOrderOfATopicThatSeveralTasksWrite(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(orders).
		SelectKey(func(string, int64) string { return "all" }).
		Repartition(stream.NewRepartition("all", serde.String(), serde.Int64()).Partitions(1)).
		GroupByKey().Reduce(func(a, v int64) int64 { return a*10 + v }, sums).ToStream().To(totals)
	top, err := b.Build()
	require.NoError(t, err)
	for _, manual := range []bool{false, true} {
		opts := []streamtest.Option{streamtest.Partitions("orders", 5)}
		if manual {
			opts = append(opts, streamtest.ManualCommit())
		}
		d := streamtest.New(t, top, opts...)
		in := streamtest.Input(d, orders)
		names := []string{"ann", "bob", "cid", "dan", "eve"}
		partition := func(name string) int32 { return topology.PartitionFor([]byte(name), 5) }
		// The tasks commit in the order of their partitions: against that of the records.
		slices.SortFunc(names, func(a, b string) int { return cmp.Compare(partition(b), partition(a)) })
		for i, name := range names {
			in.Send(name, int64(i+1), at(int64(i)))
		}
		for range 2 {
			d.Commit()
			d.Advance(0)
		}
		d.Commit()
		require.Equal(t, map[string]int64{"all": 12345}, streamtest.Table(streamtest.Output(d, totals)), "manual: %t", manual)
	}
}

func TestOneTask_HasOneStreamTime(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(orders).SelectKey(func(k string, _ int64) string { return k }).
		GroupBy(func(k string, _ int64) string { return k }, stream.NewRepartition("again", serde.String(), serde.Int64())).
		Count(sums).ToStream().To(totals)
	top, err := b.Build()
	require.NoError(t, err)
	d := streamtest.New(t, top, streamtest.OneTask())
	in := streamtest.Input(d, orders)
	in.Send("ann", 1, at(1))
	in.Send("ann", 1, at(2))
	require.Equal(t, map[string]int64{"ann": 2}, streamtest.Table(streamtest.Output(d, totals)))
	d.Crash()
	d.LoseDisk()
	d.Restart()
	in.Send("ann", 1, at(3))
	require.Equal(t, map[string]int64{"ann": 3}, streamtest.Table(streamtest.Output(d, totals)))
}

// A stand is a test of its own, that may fail.
type stand struct {
	testing.TB
	said string
}

type stopped struct{}

func (s *stand) Fatalf(format string, args ...any) {
	s.said = fmt.Sprintf(format, args...)
	panic(stopped{})
}

// fails returns what f fails its test with.
func fails(t *testing.T, f func(tb testing.TB)) (said string) {
	t.Helper()
	s := &stand{TB: t}
	defer func() {
		if v := recover(); v != nil && v != (stopped{}) {
			panic(v)
		}
		said = s.said
		require.NotEmpty(t, said, "it passes")
	}()
	f(s)
	return ""
}

func TestDriver_FailsTheTestWhereNothingElseIsAsked(t *testing.T) {
	t.Parallel()
	failing := func(tb testing.TB) (*streamtest.Driver, *streamtest.TestInput[string, int64]) {
		b := stream.NewBuilder()
		b.Stream(orders).Peek(func(_ string, v int64) {
			if v < 0 {
				panic("negative")
			}
		}).To(totals)
		top, err := b.Build()
		require.NoError(tb, err)
		d := streamtest.New(tb, top)
		return d, streamtest.Input(d, orders)
	}
	for want, f := range map[string]func(tb testing.TB){
		`process a record of topic "orders": task 0_0`: func(tb testing.TB) { _, in := failing(tb); in.Send("ann", -1, at(1)) },
		`process a record of topic "orders": `:         func(tb testing.TB) { d, _ := failing(tb); d.SendRaw("orders", nil, []byte("x"), at(1)) },
		`send to topic "other": the topology does not read it`: func(tb testing.TB) {
			d, _ := failing(tb)
			d.SendRaw("other", nil, nil, at(1))
		},
		`open store "sums": the topology has none of that name in partition 0`: func(tb testing.TB) {
			d, _ := failing(tb)
			streamtest.KeyValue(d, sums, 0)
		},
		`open store "recent": the topology has none`: func(tb testing.TB) { d, _ := failing(tb); streamtest.Window(d, recent, 0) },
		"advance wall time: the topology has failed": func(tb testing.TB) {
			d, in := failing(tb)
			require.Error(tb, in.TrySend(record("ann", -1, 1)))
			d.Advance(1)
		},
		"commit: ": func(tb testing.TB) {
			d, in := failing(tb)
			require.Error(tb, in.TrySend(record("ann", -1, 1)))
			d.Commit()
		},
		`decode the value of a record of topic "totals"`: func(tb testing.TB) {
			d, in := failing(tb)
			in.Send("ann", 1, at(1))
			streamtest.Output(d, stream.NewTopic("totals", serde.String(), serde.Bool())).Read()
		},
		`decode the key of a record of topic "totals"`: func(tb testing.TB) {
			d, in := failing(tb)
			in.Send("ann", 1, at(1))
			streamtest.Output(d, stream.NewTopic("totals", serde.Int64(), serde.Int64())).Read()
		},
		"restart: ": func(tb testing.TB) {
			d, in := failing(tb)
			require.Error(tb, in.TrySend(record("ann", -1, 1)))
			d.Crash()
			d.Restart()
		},
	} {
		require.Contains(t, fails(t, f), want)
	}
}

func TestDriver_KeepsTheErrorOfTheTopology(t *testing.T) {
	t.Parallel()
	errBad := errors.New("bad")
	b := stream.NewBuilder()
	b.Stream(orders).ForEach(func(string, int64) { panic(errBad) })
	top, err := b.Build()
	require.NoError(t, err)
	d := streamtest.New(t, top)
	require.NoError(t, d.Err())
	err = streamtest.Input(d, orders).TrySend(record("ann", 1, 1))
	require.ErrorIs(t, err, errBad)
	require.Equal(t, err, d.Err())
	_, ok := errors.AsType[*dlq.PanicError](err)
	require.True(t, ok)
	d.Crash()
	require.NoError(t, d.Err())
}

func TestRestart_FailsTheTestWhereASetUpDoes(t *testing.T) {
	t.Parallel()
	armed := false
	b := stream.NewBuilder()
	b.Stream(orders).Process(func(*stream.Node[string, int64]) (func(context.Context, stream.Record[string, int64]) error, error) {
		if armed {
			panic("kaboom")
		}
		return func(context.Context, stream.Record[string, int64]) error { return nil }, nil
	})
	top, err := b.Build()
	require.NoError(t, err)
	require.Contains(t, fails(t, func(tb testing.TB) {
		d := streamtest.New(tb, top)
		d.Crash()
		armed = true
		d.Restart()
	}), "restart: task 0_0: set-up panics: kaboom")
	require.Contains(t, fails(t, func(tb testing.TB) { streamtest.New(tb, top) }), "start the topology: task 0_0: set-up panics: kaboom")
}
