package topology_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/internal/arena"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A host is a task without stores that keeps what it is given.
type host struct {
	ctx      context.Context
	meta     topology.Metadata
	cursor   topology.Cursor
	arena    arena.Arena
	journal  state.Journal
	counters map[string]*state.Counter
	outputs  []topology.Output
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{counters: map[string]*state.Counter{}}
	h.ctx = topology.WithMetadata(t.Context(), &h.meta)
	return h
}

func (h *host) Application() string                      { return "shop" }
func (h *host) Context() context.Context                 { return h.ctx }
func (h *host) Metadata() *topology.Metadata             { return &h.meta }
func (h *host) Cursor() *topology.Cursor                 { return &h.cursor }
func (h *host) Arena() *arena.Arena                      { return &h.arena }
func (h *host) Store(string) (state.Store, error)        { return nil, nil }
func (h *host) Clock(string) *state.Clock                { return state.NewClock(&h.journal) }
func (h *host) Now(topology.ClockType) (time.Time, bool) { return time.UnixMilli(0), true }
func (h *host) Partition() int32                         { return 0 }
func (h *host) RequestCommit()                           {}
func (h *host) Emit(o topology.Output) error             { h.outputs = append(h.outputs, o); return nil }
func (h *host) Partitions(string) (int32, error)         { return 4, nil }
func (h *host) Sticky(int32) int32                       { return 3 }

func (h *host) Global(string) (state.Committed, error) { return state.Committed{}, nil }

func (h *host) OnCommit(func() error) {}

func (h *host) OnIdle(string, time.Duration, func(int64) error) {}

func (h *host) Schedule(string, topology.ClockType, time.Duration, func(time.Time) error) {}

func (h *host) Counter(node, reason string) *state.Counter {
	if h.counters[node+"/"+reason] == nil {
		h.counters[node+"/"+reason] = state.NewCounter(&h.journal)
	}
	return h.counters[node+"/"+reason]
}

// send gives the record to the source of that name.
func (h *host) send(t *testing.T, top *topology.Topology, source string, raw topology.Raw) {
	t.Helper()
	inputs, err := top.Wire(h, top.Subtopologies()...)
	require.NoError(t, err)
	for _, in := range inputs {
		if in.Node == source {
			h.meta = topology.Metadata{
				Topic: raw.Topic, Partition: raw.Partition, Offset: raw.Offset, Headers: raw.Headers,
				Origin: dlq.Origin{Topic: raw.Topic, Partition: raw.Partition, Offset: raw.Offset},
			}
			require.NoError(t, in.Decode(&raw))
			require.NoError(t, in.Process())
			return
		}
	}
	require.FailNow(t, "no source", source)
}

func TestRepartition_CarriesNullKeysOnlyWhereANodeBelowWantsThem(t *testing.T) {
	t.Parallel()
	wants := node("left-join", "wants")
	wants.NullKeys = true
	tests := []struct {
		name    string
		program func(p topology.Port[string, string])
		carries bool
	}{
		{"nobody", func(p topology.Port[string, string]) { write(pass(p, node("map", "m")), text("out")) }, false},
		{"a child", func(p topology.Port[string, string]) { pass(p, wants) }, true},
		{"a node further down", func(p topology.Port[string, string]) { pass(pass(p, node("map", "m")), wants) }, true},
		{"a node behind another repartition", func(p topology.Port[string, string]) {
			pass(p.Through(rekey("second"), via("repartition", "")), wants)
		}, true},
		{"a node behind a topic", func(p topology.Port[string, string]) {
			write(p, text("out"))
			pass(read(p.Builder(), text("out-2")), wants)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			top := build(t, func(b *topology.Builder) {
				tt.program(read(b, text("in")).Through(rekey("first"), via("repartition", "")))
			})
			h := newHost(t)
			h.send(t, top, "in-source", topology.Raw{Topic: "in", Value: []byte("v"), TimestampMs: 5})
			dropped := h.Counter("first-sink", "null-key").Value()
			if !tt.carries {
				require.Empty(t, h.outputs)
				require.Equal(t, int64(1), dropped)
				return
			}
			require.Len(t, h.outputs, 1)
			require.Zero(t, dropped)
			require.Nil(t, h.outputs[0].Key)
			require.Equal(t, "shop-first-repartition", h.outputs[0].Topic)
			require.Equal(t, int32(3), h.outputs[0].Partition)
		})
	}
}

func TestSink_CarriesNullKeysToATopic(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) { write(read(b, text("in")), text("out")) })
	h := newHost(t)
	h.send(t, top, "in-source", topology.Raw{Topic: "in", Value: []byte("v")})
	require.Len(t, h.outputs, 1)
}

func TestOriginHeader_CrossesARepartition(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) {
		p := read(b, text("in"))
		p.Through(rekey("r"), via("repartition", ""))
		write(p, text("out"))
	})
	h := newHost(t)
	headers := append(make([]topology.Header, 0, 4), topology.Header{Key: "trace", Value: []byte("t1")})
	h.send(t, top, "in-source", topology.Raw{
		Topic: "in", Partition: 7, Offset: 1 << 40, Key: []byte("k"), Value: []byte("v"), Headers: headers,
	})
	require.Len(t, h.outputs, 2)
	rest, from, ok := topology.SplitOrigin(h.outputs[0].Headers)
	require.True(t, ok)
	require.Equal(t, headers, rest)
	require.Equal(t, dlq.Origin{Topic: "in", Partition: 7, Offset: 1 << 40}, from)
	require.Equal(t, headers, h.outputs[1].Headers, "a topic of the cluster gets no origin")
	require.Empty(t, headers[:2][1].Key, "the record's own headers are not appended to")
}
