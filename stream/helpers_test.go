package stream_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// All topics of these tests hold text, numbers too, so that records can be written as key=value@milliseconds.

func lines(name string) stream.Topic[string, string] {
	return stream.NewTopic(name, serde.String(), serde.String())
}

// optional is lines for functions that see nulls.
func optional(name string) stream.Topic[string, *string] {
	return stream.NewTopic(name, serde.String(), serde.Nullable(serde.String()))
}

func numbers(name string) stream.Topic[string, int64] {
	return stream.NewTopic(name, serde.String(), decimal())
}

func through(name string) stream.Repartition[string, string] {
	return stream.NewRepartition(name, serde.String(), serde.String())
}

type decimalSerde struct{}

// decimal is a serde of numbers as text.
func decimal() serde.Serde[int64] { return decimalSerde{} }

func (decimalSerde) Append(dst []byte, n int64) ([]byte, error) {
	return strconv.AppendInt(dst, n, 10), nil
}
func (decimalSerde) Decode(b []byte) (int64, error) { return strconv.ParseInt(string(b), 10, 64) }

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func in(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// start builds the program and runs it.
func start(tb testing.TB, b *stream.Builder, opts ...streamtest.Option) *streamtest.Driver {
	tb.Helper()
	top, err := b.Build()
	require.NoError(tb, err)
	return streamtest.New(tb, top, opts...)
}

// parse reads key=value@milliseconds. A key or value "null" is none, a missing time 0.
func parse(tb testing.TB, record string) (key, value []byte, ts time.Time) {
	tb.Helper()
	text, when, _ := strings.Cut(record, "@")
	k, v, ok := strings.Cut(text, "=")
	require.True(tb, ok, "record %q", record)
	ms := int64(0)
	if when != "" {
		var err error
		ms, err = strconv.ParseInt(when, 10, 64)
		require.NoError(tb, err)
	}
	if k != "null" {
		key = []byte(k)
	}
	if v != "null" {
		value = []byte(v)
	}
	return key, value, at(ms)
}

// feed sends records to a topic.
func feed(tb testing.TB, d *streamtest.Driver, topic string, records ...string) {
	tb.Helper()
	for _, r := range records {
		require.NoError(tb, tryFeed(tb, d, topic, r), "record %q", r)
	}
}

func tryFeed(tb testing.TB, d *streamtest.Driver, topic, record string) error {
	tb.Helper()
	key, value, ts := parse(tb, record)
	return d.TrySendRaw(topic, key, value, ts)
}

// read returns the new records of a topic in the form that parse reads.
func read(d *streamtest.Driver, topic string) []string {
	out := []string{}
	for _, r := range d.ReadRaw(topic) {
		out = append(out, fmt.Sprintf("%s=%s@%d", orNull(r.Key), orNull(r.Value), r.TimestampMs))
	}
	return out
}

func orNull(b []byte) string {
	if b == nil {
		return "null"
	}
	return string(b)
}

// orNil is a function's view of a value that may be null.
func orNil(s *string) string {
	if s == nil {
		return "nil"
	}
	return *s
}

// A lineProgram is a stretch of a stream between the topics "in" and "out".
type lineProgram func(s stream.Stream[string, string]) stream.Stream[string, string]

// between runs a stretch and returns what it makes of the records.
func between(t *testing.T, program lineProgram, records ...string) (out []string, d *streamtest.Driver) {
	t.Helper()
	b := stream.NewBuilder()
	program(b.Stream(lines("in"))).To(lines("out"))
	d = start(t, b)
	feed(t, d, "in", records...)
	return read(d, "out"), d
}

// A lineCase is a row of a table of stretches.
type lineCase struct {
	name    string
	program lineProgram
	in      []string
	want    []string
	dropped map[string]int64
}

func runLines(t *testing.T, tests []lineCase) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, d := between(t, test.program, test.in...)
			require.Equal(t, test.want, out)
			sum := int64(0)
			for reason, n := range test.dropped {
				require.Equal(t, n, d.Dropped(reason), "dropped: %s", reason)
				sum += n
			}
			require.Equal(t, sum, d.Dropped(""), "dropped for other reasons")
		})
	}
}

// rows returns the rows of a store in the form that parse reads, in the order of the keys.
func rows[V any](tb testing.TB, d *streamtest.Driver, spec state.KeyValueSpec[string, V]) []string {
	tb.Helper()
	out := []string{}
	for e, err := range streamtest.KeyValue(d, spec, 0).All() {
		require.NoError(tb, err)
		out = append(out, fmt.Sprintf("%s=%v@%d", e.Key, e.Value, e.Timestamp.UnixMilli()))
	}
	return out
}

type (
	lineStream = stream.Stream[string, string]
	lineRecord = stream.Record[string, string]
	lineNode   = stream.Node[string, string]
)
