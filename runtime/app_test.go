package runtime_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/runtime"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// wordCount counts words through a repartition topic.
func wordCount(t *testing.T, b *testbroker.Broker) (top *topology.Topology, lines, counts string) {
	t.Helper()
	lines, counts = b.Name("lines"), b.Name("counts")
	b.Create(lines, 4)
	b.Create(counts, 4)
	s := stream.NewBuilder()
	s.Stream(stream.NewTopic(lines, serde.String(), serde.String())).
		FlatMapValues(strings.Fields).
		GroupBy(func(_, word string) string { return word }, stream.NewRepartition("by-word", serde.String(), serde.String())).
		Count(state.KeyValue("word-counts", serde.String(), serde.Int64())).
		ToStream().
		To(stream.NewTopic(counts, serde.String(), serde.Int64()))
	top, err := s.Build()
	require.NoError(t, err)
	return top, lines, counts
}

// start runs an application until the test ends, or stop is called.
func start(t *testing.T, top *topology.Topology, cfg runtime.Config) (app *runtime.App, stop func() error) {
	t.Helper()
	if cfg.StateDir == "" {
		cfg.StateDir = t.TempDir()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	app, err := runtime.New(top, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	stopped := false
	stop = func() error {
		cancel()
		if stopped {
			return nil
		}
		stopped = true
		return <-done
	}
	t.Cleanup(func() { _ = stop() })
	return app, stop
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

func TestApp_CountsExactlyOnceAcrossAStop(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	top, lines, counts := wordCount(t, b)
	cfg := runtime.Config{ApplicationID: b.Name("wc"), Brokers: b.Addrs(), Workers: 2, StateDir: t.TempDir()}
	var rs []*kgo.Record
	for i := range 400 {
		rs = append(rs, &kgo.Record{Topic: lines, Partition: int32(i % 4), Key: []byte{byte(i)}, Value: []byte(fmt.Sprintf("all w%d", i%10))})
	}
	b.Produce(rs[:200]...)
	last := func() map[string]int64 {
		m := map[string]int64{}
		for _, r := range b.Read(counts) {
			n, err := serde.Int64().Decode(r.Value)
			require.NoError(t, err)
			require.Equal(t, m[string(r.Key)]+1, n, "counts go up one by one: %s", r.Key)
			m[string(r.Key)] = n
		}
		return m
	}
	_, stop := start(t, top, cfg)
	b.Eventually("the first half is counted", func() bool { return last()["all"] == 200 })
	require.NoError(t, stop())
	b.Produce(rs[200:]...)
	app, stop := start(t, top, cfg)
	b.Eventually("all is counted", func() bool { return last()["all"] == 400 })
	require.Equal(t, runtime.Running, app.State())
	require.NoError(t, stop())
	require.Equal(t, runtime.Stopped, app.State())
	require.Zero(t, app.Stats().Restored, "a clean stop leaves nothing to replay")
	require.Equal(t, int64(40), last()["w3"])
	_ = time.Now
}
