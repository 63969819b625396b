package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/runtime"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// program is a workload in Weir's words.
func program(s settings, workload, out string) (*topology.Topology, error) {
	b := stream.NewBuilder()
	if workload == "stateless" {
		b.Stream(stream.NewTopic(s.topic, serde.Bytes(), serde.Bytes())).
			Filter(func(_, v []byte) bool { return v[0] != 'a' }).
			MapValues(bytes.ToUpper).
			To(stream.NewTopic(out, serde.Bytes(), serde.Bytes()))
	} else {
		b.Stream(stream.NewTopic(s.topic, serde.String(), serde.Bytes())).
			GroupByKey().
			Count(state.KeyValue("counts", serde.String(), serde.Int64())).
			ToStream().
			To(stream.NewTopic(out, serde.String(), serde.Int64()))
	}
	return b.Build()
}

// runWeir drains the input once and stops when all of it is committed.
func runWeir(ctx context.Context, s settings, workload string) (result, error) {
	out := fmt.Sprintf("bench-weir-%d", time.Now().UnixNano())
	if err := createTopics(ctx, s, out); err != nil {
		return result{}, err
	}
	dir, err := os.MkdirTemp("", "weir-bench")
	if err != nil {
		return result{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	top, err := program(s, workload, out)
	if err != nil {
		return result{}, err
	}
	app, err := runtime.New(top, runtime.Config{
		ApplicationID: out, Brokers: []string{s.brokers}, Workers: s.workers, CommitInterval: s.commit, StateDir: dir,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return result{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for app.Stats().Processed < int64(s.records) {
		select {
		case <-tick.C:
		case err := <-ended:
			return result{}, fmt.Errorf("ended with %d of %d records: %w", app.Stats().Processed, s.records, err)
		}
	}
	r := measured("weir", workload, int64(s.records), started)
	cancel()
	return r, <-ended
}

func createTopics(ctx context.Context, s settings, topics ...string) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(s.brokers))
	if err != nil {
		return err
	}
	defer c.Close()
	for _, t := range topics {
		if _, err := kadm.NewClient(c).CreateTopic(ctx, int32(s.partitions), 1, nil, t); err != nil {
			return fmt.Errorf("create topic %s: %w", t, err)
		}
	}
	return nil
}
