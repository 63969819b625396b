package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
	"github.com/weirstream/weir/topology"
)

// An orchestra is a program with an operator of every kind that has a store or a topic of its own, on inputs that are so made that its results do not depend
// on the order in which a task takes the records of different topics. What is right is then what streamtest makes of the same records.
type orchestra struct {
	Prefix     string    // of all its topics
	From       time.Time // of the first round
	Partitions int32
}

const (
	orchestraKeys  = 40
	orchestraRows  = 30
	orchestraRound = 48 * time.Hour // from one round to the next, by which all that waits is due
	orchestraWait  = 24 * time.Hour // what operators wait for late records: longer than a round's records take
)

// inputs are the topics that are read: those of which a round must be done before the next one begins, and the others.
func (o orchestra) inputs() (inStep, free []string) {
	return []string{o.topic("events"), o.topic("partners"), o.topic("prices")}, []string{o.topic("rows"), o.topic("others"), o.topic("rates")}
}

// outputs are the topics that are written: those whose records are the same whatever happens, and those whose last record of each key is.
func (o orchestra) outputs() (all, last []string) {
	for _, s := range []string{"sessions", "sliding", "paired", "final", "priced", "rated", "called"} {
		all = append(all, o.topic(s))
	}
	return all, []string{o.topic("joined"), o.topic("placed"), o.topic("grouped")}
}

func (o orchestra) topic(name string) string { return o.Prefix + "-" + name }

func (o orchestra) build() (*topology.Topology, error) {
	str, num := serde.String(), serde.Int64()
	b := stream.NewBuilder()
	read := func(name string) stream.Stream[string, string] { return b.Stream(text(o.topic(name))) }
	events, partners := read("events"), read("partners")

	byKey := events.GroupByKey()
	byKey.SessionWindow(stream.Session{Gap: 50 * time.Millisecond, Grace: time.Second}, stream.OnClose).
		Count(state.Session("sessions", str, num)).
		To(stream.NewTopic(o.topic("sessions"), serde.SessionWindowed(str), num))
	const difference = 20 * time.Millisecond
	byKey.Window(stream.Sliding{Difference: difference, Grace: time.Second}, stream.OnClose).
		Count(state.Window("sliding", str, num)).
		To(stream.NewTopic(o.topic("sliding"), serde.TimeWindowed(str, difference), num))
	const size = 30 * time.Millisecond
	byKey.Window(stream.Tumbling{Size: size, Grace: time.Second}).
		Count(state.Window("tumbling", str, num)).
		Suppress(state.Buffer("suppressed", str, num), stream.UntilWindowCloses{}).
		To(stream.NewTopic(o.topic("final"), serde.TimeWindowed(str, size), num))

	events.LeftJoin(partners, stream.Between{After: 5 * time.Millisecond, Grace: orchestraWait}, func(e string, p stream.Opt[string]) string {
		return e + "+" + p.Value
	}, state.Join("paired", str, str, str)).To(text(o.topic("paired")))

	prices := b.VersionedTable(text(o.topic("prices")), state.Versioned("prices", str, str, 2*orchestraWait))
	events.JoinVersioned(prices, func(e, p string) string { return e + " at " + p }, stream.Grace(orchestraWait, state.JoinBuffer("pricing", str, str))).
		To(text(o.topic("priced")))

	rates := b.GlobalTable(text(o.topic("rates")), state.KeyValue("rates", str, str))
	events.JoinGlobal(rates, func(k, _ string) string { return k }, func(e, r string) string { return e + "*" + r }).To(text(o.topic("rated")))

	events.MapValuesAsync(func(_ context.Context, _, e string) (string, error) { return e + "!", nil }).To(text(o.topic("called")))

	byKey.Cogroup(func(_, _ string, n int64) int64 { return n + 1 }).
		With(partners.GroupByKey(), func(_, _ string, n int64) int64 { return n + 1_000_000 }).
		Aggregate(func() int64 { return 0 }, state.KeyValue("grouped", str, num)).
		ToStream().
		To(stream.NewTopic(o.topic("grouped"), str, num))

	rows := b.Table(text(o.topic("rows")), state.KeyValue("rows", str, str))
	others := b.Table(text(o.topic("others")), state.KeyValue("others", str, str))
	both := func(row, other string) string { return row + "&" + other }
	rows.Join(others, both).Materialize(state.KeyValue("joined", str, str)).ToStream().To(text(o.topic("joined")))
	rows.JoinForeign(others, func(row string) (string, bool) {
		k, _, ok := strings.Cut(row, ":")
		return k, ok
	}, both, stream.NewForeignJoin("placing", str, str, str, str)).ToStream().To(text(o.topic("placed")))
	return b.Build()
}

// create makes the topics, for records of any time, and the rows of the global table.
func (o orchestra) create(t *testing.T, b *testbroker.Broker) {
	t.Helper()
	inStep, free := o.inputs()
	all, last := o.outputs()
	topics, config := slices.Concat(inStep, free, all, last), map[string]*string{}
	for k, v := range topology.AnyTime() {
		config[k] = kadm.StringPtr(v)
	}
	created, err := b.Admin().CreateTopics(t.Context(), o.Partitions, 1, config, topics...)
	require.NoError(t, err)
	require.NoError(t, created.Error())
	b.Eventually("the topics are known", func() bool {
		m, err := b.Admin().Metadata(t.Context(), topics...)
		return err == nil && m.Topics.Error() == nil
	})
	b.Produce(o.rates()...)
}

func (o orchestra) record(topic string, key int, value string, at time.Time) *kgo.Record {
	r := &kgo.Record{Topic: o.topic(topic), Key: []byte(fmt.Sprintf("k%d", key)), Timestamp: at}
	if value != "" {
		r.Value = []byte(value)
	}
	r.Partition = topology.PartitionFor(r.Key, o.Partitions)
	return r
}

func (o orchestra) rates() (rs []*kgo.Record) {
	for k := range orchestraKeys {
		rs = append(rs, o.record("rates", k, fmt.Sprintf("x%d", k), o.From))
	}
	return rs
}

// round makes the records of a round. Each key has a burst of five events, with partners for three of them and two prices.
func (o orchestra) round(n int) (rs []*kgo.Record) {
	from := o.From.Add(time.Duration(n) * orchestraRound)
	after := func(ms int) time.Time { return from.Add(time.Duration(ms) * time.Millisecond) }
	for i := range 5 {
		for k := range orchestraKeys {
			rs = append(rs, o.record("events", k, fmt.Sprintf("e%d.%d", n, i), after(10*i)))
			if i%2 == 0 {
				rs = append(rs, o.record("partners", k, fmt.Sprintf("p%d.%d", n, i), after(10*i+3)))
				if i < 4 {
					rs = append(rs, o.record("prices", k, fmt.Sprintf("c%d.%d", n, i), after(12*i)))
				}
			}
		}
	}
	for k := range orchestraRows {
		row := fmt.Sprintf("k%d:%d", (k+n)%orchestraRows, n)
		if (k+n)%7 == 0 {
			row = "" // a delete
		}
		rs = append(rs, o.record("rows", k, row, from), o.record("others", (k+3)%orchestraRows, fmt.Sprintf("o%d", n), from))
	}
	return rs
}

// caughtUp tells whether what must be done before the next round begins is done.
func (o orchestra) caughtUp(b *testbroker.Broker, application string) bool {
	inStep, _ := o.inputs()
	return o.done(b, application, inStep...)
}

func (o orchestra) done(b *testbroker.Broker, application string, topics ...string) bool {
	for _, topic := range topics {
		if b.Behind(application, topic) != 0 {
			return false
		}
	}
	return true
}

// settled tells whether everything is done.
func (o orchestra) settled(b *testbroker.Broker, application string) bool {
	return o.caughtUp(b, application) && o.done(b, application, o.topic("rows"), o.topic("others"),
		topology.RepartitionTopic(application, "placing-subscription"), topology.RepartitionTopic(application, "placing-response"))
}

// play runs an instance until the rounds from one to another are done.
func (o orchestra) play(t *testing.T, b *testbroker.Broker, cfg Config, from, to int) Stats {
	t.Helper()
	top, err := o.build()
	require.NoError(t, err)
	i := launch(t, top, cfg)
	i.running(b)
	alive := func() {
		select {
		case <-i.done:
			require.NoError(t, i.err)
		default:
		}
	}
	for n := from; n < to; n++ {
		b.Produce(o.round(n)...)
		b.Eventually("the round is done", func() bool { alive(); return o.caughtUp(b, cfg.ApplicationID) })
	}
	b.Eventually("all is done", func() bool { alive(); return o.settled(b, cfg.ApplicationID) })
	i.end()
	return i.app.Stats()
}

// requireExact demands what streamtest makes of the same rounds: of most outputs every record exactly once, of tables the last row of each key.
func (o orchestra) requireExact(t *testing.T, b *testbroker.Broker, rounds int) (records int) {
	t.Helper()
	top, err := o.build()
	require.NoError(t, err)
	var opts []streamtest.Option
	inStep, free := o.inputs()
	all, last := o.outputs()
	for _, topic := range slices.Concat(inStep, free, all, last) {
		opts = append(opts, streamtest.Partitions(topic, o.Partitions))
	}
	d := streamtest.New(t, top, opts...)
	for _, r := range o.rates() {
		d.SendRaw(r.Topic, r.Key, r.Value, r.Timestamp)
	}
	for n := range rounds {
		for _, r := range o.round(n) {
			d.SendRaw(r.Topic, r.Key, r.Value, r.Timestamp)
		}
	}
	for _, topic := range all {
		var want, got []string
		for _, r := range d.ReadRaw(topic) {
			want = append(want, fmt.Sprintf("%q %q %d", r.Key, r.Value, r.TimestampMs))
		}
		for _, r := range b.Read(topic) {
			got = append(got, fmt.Sprintf("%q %q %d", r.Key, r.Value, r.Timestamp.UnixMilli()))
		}
		slices.Sort(want)
		slices.Sort(got)
		require.NotEmpty(t, want, topic)
		require.Empty(t, missing(want, got), "%s has %d records for %d: these are missing", topic, len(got), len(want))
		require.Empty(t, missing(got, want), "%s has %d records for %d: these are too many", topic, len(got), len(want))
		records += len(got)
	}
	for _, topic := range last {
		want, got := map[string]string{}, map[string]string{}
		for _, r := range d.ReadRaw(topic) {
			want[string(r.Key)] = fmt.Sprintf("%q", r.Value)
		}
		for _, r := range b.Read(topic) {
			got[string(r.Key)] = fmt.Sprintf("%q", r.Value)
			records++
		}
		require.NotEmpty(t, want, topic)
		require.Equal(t, want, got, topic)
	}
	require.Len(t, b.Read(o.topic("grouped")), rounds*orchestraKeys*8, "one update for each record that was added")
	return records
}

// missing are the first of those that are not in the others; both are sorted.
func missing(of, in []string) (out []string) {
	for _, s := range of {
		if len(in) > 0 && in[0] == s {
			in = in[1:]
			continue
		}
		for len(in) > 0 && in[0] < s {
			in = in[1:]
		}
		if len(in) > 0 && in[0] == s {
			in = in[1:]
			continue
		}
		if out = append(out, s); len(out) == 10 {
			break
		}
	}
	return out
}
