package topology_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

var cities = state.KeyValue("cities", serde.String(), serde.String())

// global has two global stores: one that a stream reads, and one in memory that is filled by a processor from a topic that is a stream, too.
func global(b *topology.Builder) {
	b.Global(text("cities"), cities, node("global-table", ""), fill(cities))
	zones := state.KeyValue("zones", serde.String(), serde.Int64()).InMemory()
	b.Global(text("visits"), zones, node("global-store", "zone-table"), topology.GlobalFiller(
		func(n *topology.GlobalNode) (func(context.Context, topology.Record[string, string]) error, error) {
			st := zones.Open(n)
			return func(_ context.Context, r topology.Record[string, string]) error { return st.Put(r.Key, 1) }, nil
		}))
	p := read(b, text("visits"))
	reader := node("join-global", "city")
	reader.Globals = []state.Spec{cities, zones}
	write(pass(p, reader), text("visited-cities"))
}

// fill puts the records of a topic into the store.
func fill(st state.KeyValueSpec[string, string]) func(c *topology.NodeContext) (topology.Processor[string, string], error) {
	return func(c *topology.NodeContext) (topology.Processor[string, string], error) {
		rows := st.Open(c)
		return topology.ProcessorFunc[string, string](func(r *topology.Record[string, string]) error {
			if r.Value == "bad" {
				return c.Fail(errors.New("bad value"))
			}
			return rows.PutRow(r.Key, state.Row[string]{Value: r.Value, Timestamp: r.Timestamp})
		}), nil
	}
}

func TestGlobals_AreNoPartOfAnyTask(t *testing.T) {
	t.Parallel()
	top := build(t, global)
	require.Len(t, top.Subtopologies(), 1)
	require.Empty(t, top.Subtopologies()[0].Stores())
	gs := top.Globals()
	require.Len(t, gs, 2)
	require.Equal(t, "cities", gs[0].Topic())
	require.Equal(t, "zones", gs[1].Store().Info().Name)
	plan, err := top.Plan("app", func(topic string) (int32, bool) { return 3, topic == "visits" })
	require.NoError(t, err, "the partitions of a global topic do not matter")
	require.Len(t, plan.Tasks, 3)
	require.Empty(t, plan.Internal, "its topic is its log")
	require.Equal(t, map[string]int32{"visits": 3}, plan.Partitions)
}

func TestGlobals_HaveNoDeadLetters(t *testing.T) {
	t.Parallel()
	s := node("global-table", "")
	s.Policy = dlq.Send()
	top := build(t, func(b *topology.Builder) {
		b.Global(text("cities"), cities, s, fill(cities))
		write(read(b, text("visits")), text("visited-cities"))
	})
	require.Empty(t, top.DeadLetterSources())
}

func TestSignature_HasTheGlobalStores(t *testing.T) {
	t.Parallel()
	with := func(topic, store string) string {
		return build(t, func(b *topology.Builder) {
			if topic != "" {
				st := state.KeyValue(store, serde.String(), serde.String())
				b.Global(text(topic), st, node("global-table", ""), fill(st))
			}
			write(read(b, text("visits")), text("visited-cities"))
		}).Signature()
	}
	seen := map[string]bool{}
	for _, s := range []string{with("", ""), with("cities", "a"), with("cities", "b"), with("towns", "a")} {
		require.False(t, seen[s])
		seen[s] = true
	}
	require.Equal(t, with("cities", "a"), with("cities", "a"))
}

// A globalHost is an instance with one global store.
type globalHost struct {
	*host
	store state.Store
}

func (h *globalHost) Store(string) (state.Store, error) { return h.store, nil }

func TestGlobal_TakesRecordsOfAnyTime(t *testing.T) {
	t.Parallel()
	top := build(t, global)
	h := &globalHost{host: newHost(t)}
	db, err := state.NewDB(state.NewMemory(), state.NewMemory())
	require.NoError(t, err)
	h.store, err = db.Open(cities, state.Env{Journal: &h.journal, Time: func() time.Time { return time.Time{} }})
	require.NoError(t, err)
	in, err := top.Globals()[0].Wire(h)
	require.NoError(t, err)
	require.Equal(t, "cities", in.Topic)
	require.NoError(t, in.Decode(&topology.Raw{Topic: "cities", Key: []byte("k"), Value: []byte("v"), TimestampMs: -5}))
	require.NoError(t, in.Process())
	row, ok, err := h.store.(*state.KeyValueStore[string, string]).GetRow("k")
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, -5, row.Timestamp.UnixMilli())
	require.NoError(t, in.Decode(&topology.Raw{Topic: "cities", Key: []byte("k"), Value: []byte("bad")}))
	var f *topology.Fault
	require.ErrorAs(t, in.Process(), &f)
	require.Equal(t, "cities-global", f.Node)
}
