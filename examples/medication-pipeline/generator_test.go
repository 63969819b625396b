package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/stream/streamtest"
	"github.com/weirstream/weir/topology"
)

func TestGenerator_MakesTheSameOfTheSameSeed(t *testing.T) {
	t.Parallel()
	require.Equal(t, generate(1, 3000, 4, at(0, 0)), generate(1, 3000, 4, at(0, 0)))
	require.NotEqual(t, generate(1, 3000, 4, at(0, 0)).Events, generate(2, 3000, 4, at(0, 0)).Events)
}

func TestGenerator_MakesSomeOfEverything(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int32{3, 4} {
		w := generate(1, 50_000, partitions, at(0, 0))
		x := expect(w, partitions)
		require.Equal(t, 50_000, x.In)
		reasons := map[string]int{}
		for l, n := range x.Letters {
			reasons[l.Reason] += n
		}
		require.InDelta(t, 500, reasons[reasonMalformed], 100)
		require.InDelta(t, 500, reasons[reasonIncomplete]+reasons[reasonInconsistent], 100)
		require.True(t, x.Settled)
		require.Greater(t, x.Created, 20_000)
		require.Greater(t, x.Late, 50)
		require.Less(t, x.Late, 1000)
		require.Greater(t, len(x.Alarms), 20)
		require.Greater(t, len(x.Routed), 15_000)
		outOfOrder, last := 0, map[int32]Millis{}
		for _, e := range w.Events {
			if e.Order.UpdatedAt < last[e.Partition] {
				outOfOrder++
			}
			last[e.Partition] = max(last[e.Partition], e.Order.UpdatedAt)
		}
		require.InDelta(t, 2500, outOfOrder, 500)
	}
}

func TestGenerator_KnowsWhatThePipelineMakesOfAnEvent(t *testing.T) {
	t.Parallel()
	for _, e := range generate(1, 20_000, 4, at(0, 0)).Events {
		got := classify(e.message)
		require.Equal(t, e.Reason, got.Reason, "%s", e.Value)
		if e.Reason == "" {
			require.Equal(t, e.Order, got.Order)
		}
	}
}

func TestReadWorkload_TakesOrdersAndPharmacies(t *testing.T) {
	t.Parallel()
	whole := string(mustJSON(order("1", at(8, 0))))
	w, err := readWorkload(strings.NewReader(
		`{"key":"medication-order-1","headers":{"event-type":"medication-order-created","correlation-id":"c-1"},`+
			`"value":`+whole+"}\n\n"+
			`{"key":"medication-order-1","value":"<order/>","timestamp":5}`+"\n"+
			`{"key":"medication-order-1","value":null}`+"\n"+
			`{"topic":"pharmacies","key":"p","value":{"id":"p","name":"At the Market"}}`+"\n"), 4)
	require.NoError(t, err)
	require.Len(t, w.Events, 3)
	require.Equal(t, order("1", at(8, 0)), w.Events[0].Order)
	require.Equal(t, reasonMalformed, w.Events[1].Reason)
	require.Equal(t, time.UnixMilli(5), w.Events[1].At)
	require.Equal(t, reasonIncomplete, w.Events[2].Reason)
	require.Nil(t, w.Events[2].Value)
	require.Equal(t, "At the Market", w.Names["p"].Name)

	_, err = readWorkload(strings.NewReader("{}\n?"), 4)
	require.ErrorContains(t, err, "read line 2")
	_, err = readWorkload(strings.NewReader(`{"topic":"x"}`), 4)
	require.ErrorContains(t, err, `topic "x"`)
}

// The oracle and the pipeline share no code: where they agree, both are right or wrong in the same way.
func TestPipeline_AgreesWithTheOracle(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		partitions int32
		crashes    bool
	}{{"undisturbed", 4, false}, {"through crashes", 1, true}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := generate(7, 6000, tt.partitions, at(0, 0))
			x := expect(w, tt.partitions)
			require.NotEmpty(t, x.Alarms)
			require.NotZero(t, x.Late)
			a := settle(x, driven(t, w, tt.partitions, tt.crashes), true)
			for _, c := range a.Checks {
				require.Empty(t, c.Problems, c.Name)
			}
			require.Equal(t, x.Late, a.Late)
		})
	}
}

// driven runs a workload through the test driver. With crashes, it commits now and then, and between two commits
// the application crashes, half of the times with the loss of its disk.
func driven(t *testing.T, w workload, partitions int32, crashes bool) outputs {
	t.Helper()
	top, err := pipeline("")
	require.NoError(t, err)
	var opts []streamtest.Option
	if crashes {
		opts = append(opts, streamtest.ManualCommit())
	}
	for _, topic := range append(outputTopics(""), Orders.Name(), Pharmacies.Name()) {
		opts = append(opts, streamtest.Partitions(topic, partitions))
	}
	d := streamtest.New(t, top, opts...)
	send := func(topic string, m message) { d.SendRaw(topic, m.Key, m.Value, m.At, m.Headers...) }
	for _, p := range w.Pharmacies {
		send(Pharmacies.Name(), p)
	}
	for i, e := range w.Events {
		send(Orders.Name(), e.message)
		switch {
		case !crashes:
		case i%50 == 0:
			d.Commit()
		case i%340 == 0:
			d.Crash()
			if i%680 == 0 {
				d.LoseDisk()
			}
			d.Restart()
		}
	}
	for range 3 { // as many as there are subtopologies in a row
		d.Commit()
		d.Advance(time.Second)
	}
	records := map[string][]*kgo.Record{}
	for _, topic := range outputTopics("") {
		for _, r := range d.ReadRaw(topic) {
			records[topic] = append(records[topic], asFetched(r))
		}
	}
	return outputsOf(records, "")
}

func asFetched(r topology.Raw) *kgo.Record {
	out := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return out
}

func TestAccount_NoticesEverySingleFault(t *testing.T) {
	t.Parallel()
	w := generate(7, 3000, topicPartitions, at(0, 0))
	x := expect(w, topicPartitions)
	whole := driven(t, w, topicPartitions, false)
	ok := settle(x, whole, true)
	require.True(t, ok.OK())
	for name, pick := range map[string]func(*outputs) *[]*kgo.Record{
		"dead letter":    func(o *outputs) *[]*kgo.Record { return &o.letters },
		"pharmacy order": func(o *outputs) *[]*kgo.Record { return &o.pharmacyOrders },
		"status":         func(o *outputs) *[]*kgo.Record { return &o.status },
		"volume":         func(o *outputs) *[]*kgo.Record { return &o.volumes },
		"alert":          func(o *outputs) *[]*kgo.Record { return &o.alerts },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lacking, doubled := whole, whole
			rs := *pick(&whole)
			*pick(&lacking) = rs[:len(rs)-1]
			*pick(&doubled) = append(rs[:len(rs):len(rs)], rs[0])
			a := settle(x, lacking, true)
			require.False(t, a.OK(), "one is lost")
			a = settle(x, doubled, true)
			require.False(t, a.OK(), "one is there twice")
		})
	}
}
