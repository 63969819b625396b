package stream_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// A pharmacy's orders: sources of both kinds, a repartition, joins, aggregations, windows and a processor.
func pharmacy() *stream.Builder {
	type order struct {
		Drug     string
		Pharmacy string
		Grams    int64
	}
	orders := stream.NewTopic("orders", serde.String(), serde.JSON[order]())
	stock := stream.NewTopic("stock", serde.String(), serde.Nullable(serde.Int64()))
	byPharmacy := stream.NewRepartition("orders-by-pharmacy", serde.String(), serde.JSON[order]()).Partitions(6)
	levels := state.KeyValue("stock-levels", serde.String(), serde.Nullable(serde.Int64()))
	low := state.KeyValue("low-stock", serde.String(), serde.Nullable(serde.Int64())).InMemory()
	last := state.KeyValue("last-order", serde.String(), serde.JSON[order]())

	b := stream.NewBuilder().OnError(dlq.Send())
	table := b.Table(stock, levels)
	scarce := table.Filter(func(_ string, n *int64) bool { return *n < 100 }, stream.Named("scarce")).Materialize(low)
	scarce.ToStream(stream.Named("warnings")).To(stream.NewTopic("warnings", serde.String(), serde.Nullable(serde.Int64())))

	valid, odd := b.Stream(orders, stream.StartFrom(stream.Latest)).
		Split(func(_ string, o order) bool { return o.Grams > 0 }, stream.Named("valid"))
	odd.To(stream.NewTopic("odd-orders", serde.String(), serde.JSON[order]()))
	by := valid.
		SelectKey(func(_ string, o order) string { return o.Pharmacy }, stream.Named("pharmacy")).
		Repartition(byPharmacy)
	by.LeftJoinTable(scarce, func(o order, left stream.Opt[*int64]) order { return o }, stream.Named("with-stock")).
		TryPeek(func(context.Context, string, order) error { return nil }, stream.Named("check"), stream.OnError(dlq.Fail())).
		To(stream.NewTopic("checked-orders", serde.String(), serde.JSON[order]()))
	g := by.GroupByKey()
	g.Count(state.KeyValue("orders-per-pharmacy", serde.String(), serde.Int64())).
		ToStream(stream.Named("counts")).To(stream.NewTopic("order-counts", serde.String(), serde.Int64()))
	g.Window(stream.Tumbling{Size: time.Hour, Grace: time.Minute}, stream.OnClose).
		Aggregate(func() int64 { return 0 }, func(_ string, o order, n int64) int64 { return n + o.Grams },
			state.Window("grams-per-hour", serde.String(), serde.Int64())).
		To(stream.NewTopic("grams", serde.TimeWindowed(serde.String(), time.Hour), serde.Int64()))
	by.ProcessValues(func(n *stream.ValueNode[string, order]) (func(context.Context, stream.Record[string, order]) error, error) {
		st := last.Open(n)
		return func(_ context.Context, r stream.Record[string, order]) error { return st.Put(r.Key, r.Value) }, nil
	}, stream.Stores(last), stream.Named("remember"))
	return b
}

// The description names everything durable: a line that changes here may lose state or records of running applications.
func TestDescribe_OfALargeProgram(t *testing.T) {
	t.Parallel()
	top, err := pharmacy().Build()
	require.NoError(t, err)
	golden.Equal(t, "testdata/pharmacy.topo", top.Describe().String())
}
