package stream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream/streamtest"
	"github.com/weirstream/weir/topology"
)

// ofThePast makes a table whose updates with the value "past" are of the past, as a table with a history has them.
func ofThePast(t Table[string, string]) Table[string, string] {
	n := &tableNode[string, string]{read: t.t.reader, stores: t.t.readStores, wantOld: t.t.sendOld, versioned: true}
	n.port = t.t.port.Attach(topology.NodeSpec{Op: "past"}, func(_ *topology.NodeContext, next topology.Processor[string, topology.Change[string]]) (
		topology.Processor[string, topology.Change[string]], error) {
		return topology.ProcessorFunc[string, topology.Change[string]](func(r *Record[string, topology.Change[string]]) error {
			r.Value.Superseded = r.Value.New == "past"
			return next.Process(r)
		}), nil
	})
	return Table[string, string]{t.b, n}
}

func TestJoinForeign_DropsUpdatesOfThePast(t *testing.T) {
	t.Parallel()
	topic := func(name string) Topic[string, string] { return NewTopic(name, serde.String(), serde.String()) }
	store := func(name string) state.KeyValueSpec[string, string] {
		return state.KeyValue(name, serde.String(), serde.String())
	}
	b := NewBuilder()
	left, right := ofThePast(b.Table(topic("left"), store("left"))), ofThePast(b.Table(topic("right"), store("right")))
	via := NewForeignJoin("join", serde.String(), serde.String(), serde.String(), serde.String())
	left.JoinForeign(right, func(v string) (string, bool) { return v, true }, func(v, row string) string { return v + row }, via).
		ToStream().To(topic("out"))
	top, err := b.Build()
	require.NoError(t, err)
	d := streamtest.New(t, top)
	at := time.UnixMilli(1)
	streamtest.Input(d, topic("right")).Send("f", "1", at)
	streamtest.Input(d, topic("left")).Send("k", "f", at)
	streamtest.Input(d, topic("right")).Send("f", "past", at)
	streamtest.Input(d, topic("left")).Send("k", "past", at)
	require.Equal(t, []streamtest.Pair[string, string]{{Key: "k", Value: "f1"}}, streamtest.Output(d, topic("out")).Pairs())
	require.EqualValues(t, 2, d.Dropped("superseded"))
}
