package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// demo are the options of a small run. With KAFKA_BROKERS it runs on that cluster, under names that no other run
// has; else on a broker of its own.
func demo(t *testing.T, brokers ...string) options {
	t.Helper()
	o, err := parseFlags([]string{"-orders", "2000", "-timeout", "2m"})
	require.NoError(t, err)
	o.Brokers = brokers
	if list := os.Getenv("KAFKA_BROKERS"); list != "" {
		o.Brokers = strings.Split(list, ",")
		o.Prefix = fmt.Sprintf("%s-%d-", strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), time.Now().UnixNano())
		o.Application = o.Prefix + "app"
	}
	return o
}

// embedded starts a broker that outlives the runs of one test, unless there is a real one.
func embedded(t *testing.T) []string {
	t.Helper()
	if os.Getenv("KAFKA_BROKERS") != "" {
		return nil
	}
	brokers, stop, err := startBroker()
	require.NoError(t, err)
	t.Cleanup(stop)
	return brokers
}

func runDemo(t *testing.T, o options) string {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), o, &out)
	require.NoError(t, err, out.String())
	return out.String()
}

func TestDemo_AccountsForEveryEvent(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []string{exactlyOnce, atLeastOnce} {
		t.Run(guarantee, func(t *testing.T) {
			t.Parallel()
			o := demo(t)
			o.Guarantee = guarantee
			out := runDemo(t, o)
			require.Contains(t, out, "published 2000 events, 0 were there already")
			require.Contains(t, out, "replayed 0 changelog records")
			require.Contains(t, out, "the engine's own counters say the same")
			require.NotContains(t, out, "FAIL")
		})
	}
}

func TestDemo_RunAgainFindsEverythingDone(t *testing.T) {
	t.Parallel()
	o := demo(t, embedded(t)...)
	o.StateDir = t.TempDir()
	runDemo(t, o)

	out := runDemo(t, o)
	require.Contains(t, out, "published 0 events, 2000 were there already")
	require.Contains(t, out, "replayed 0 changelog records", "the state is still there")

	o.StateDir = t.TempDir()
	out = runDemo(t, o)
	require.NotContains(t, out, "replayed 0 changelog records", "the state is lost")
}

// The account at the end is that of all runs together.
func TestDemo_GoesOnAfterInterruptions(t *testing.T) {
	t.Parallel()
	o := demo(t, embedded(t)...)
	o.Orders = 8000
	for n := int64(1); n <= 3; n++ {
		interrupt(t, o, n*2000)
	}
	out := runDemo(t, o)
	require.Contains(t, out, "published 0 events")
	require.NotContains(t, out, "FAIL")
}

// interrupt runs the demo until so many events are done, or shortly beyond.
func interrupt(t *testing.T, o options, events int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, io.Discard) }()

	top, err := pipeline(o.Prefix)
	require.NoError(t, err)
	c, err := connect(o.Brokers)
	require.NoError(t, err)
	defer c.close()
	require.Eventually(t, func() bool {
		if len(ended) > 0 { // it was done sooner, or failed
			return true
		}
		p, err := c.progress(t.Context(), o.Application, o.Prefix+Orders.Name(), inputs(top, o.Application))
		return err == nil && p.Orders >= events
	}, time.Minute, 5*time.Millisecond)
	cancel()
	if err := <-ended; err != nil {
		require.ErrorIs(t, err, context.Canceled)
	}
}

func TestInput_IsPublishedFromAFile(t *testing.T) {
	t.Parallel()
	o := demo(t)
	var lines bytes.Buffer
	for _, e := range generate(3, 500, topicPartitions, generatedStart).Events {
		require.NoError(t, json.NewEncoder(&lines).Encode(asLine(e)))
	}
	o.Input = filepath.Join(t.TempDir(), "orders.jsonl")
	require.NoError(t, os.WriteFile(o.Input, lines.Bytes(), 0o600))
	out := runDemo(t, o)
	require.Contains(t, out, "published 500 events")
	require.NotContains(t, out, "FAIL")
}

func asLine(e event) inputLine {
	key := string(e.Key)
	line := inputLine{Key: &key, Headers: map[string]string{}, Timestamp: e.At.UnixMilli()}
	for _, h := range e.Headers {
		line.Headers[h.Key] = string(h.Value)
	}
	if e.Value != nil {
		line.Value = mustJSON(string(e.Value))
	}
	return line
}

func TestPublish_RefusesATopicWithOtherData(t *testing.T) {
	t.Parallel()
	o := demo(t, embedded(t)...)
	runDemo(t, o)
	o.Orders = 100
	require.ErrorContains(t, run(t.Context(), o, io.Discard), "the topic has other data")
}

func TestFlags_AreChecked(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-guarantee", "at-most-once"}, {"-orders", "-1"}, {"orders"}, {"-unknown"}} {
		_, err := parseFlags(args)
		require.Error(t, err)
	}
}
