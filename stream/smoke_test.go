package stream_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func TestSmoke(t *testing.T) {
	lines := stream.NewTopic("lines", serde.String(), serde.String())
	byWord := stream.NewRepartition("by-word", serde.String(), serde.String())
	counts := stream.NewTopic("counts", serde.String(), serde.Int64())
	wc := state.KeyValue("word-counts", serde.String(), serde.Int64())
	b := stream.NewBuilder()
	b.Stream(lines).FlatMapValues(func(s string) []string { return []string{s, s + "x"} }).
		GroupBy(func(_, w string) string { return w }, byWord).Count(wc).ToStream().To(counts)
	b.Stream(lines).GroupByKey().Window(stream.Tumbling{Size: 10 * time.Millisecond}, stream.OnClose).
		Count(state.Window("wins", serde.String(), serde.Int64())).
		ToStream(func(w stream.Windowed[string]) string { return w.String() }).To(stream.NewTopic("w", serde.String(), serde.Int64()))
	top, err := b.Build()
	require.NoError(t, err)
	d := streamtest.New(t, top, streamtest.ManualCommit(), streamtest.Partitions("lines", 3))
	in := streamtest.Input(d, lines)
	in.Send("k", "a", time.UnixMilli(5))
	d.Commit()
	in.Send("k", "a", time.UnixMilli(6))
	d.Crash()
	d.LoseDisk()
	d.Restart()
	d.Commit()
	in.Send("k", "b", time.UnixMilli(25))
	d.Commit()
	t.Log(streamtest.Output(d, counts).Read())
	t.Log(streamtest.Output(d, stream.NewTopic("w", serde.String(), serde.Int64())).Read())
	t.Log(d.Topics())
}
