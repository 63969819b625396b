package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// The tests of this file are the rules of pipeline.go, one by one.

var update = flag.Bool("update", false, "write the golden files anew")

// A bench is the pipeline without a broker.
type bench struct {
	*streamtest.Driver
	t          *testing.T
	pharmacies *streamtest.TestInput[string, Pharmacy]

	pharmacyOrders *streamtest.TestOutput[string, PharmacyOrder]
	status         *streamtest.TestOutput[string, Order]
	volumes        *streamtest.TestOutput[stream.Windowed[string], int64]
	alerts         *streamtest.TestOutput[Therapy, Alert]
}

func newBench(t *testing.T) bench {
	t.Helper()
	top, err := pipeline("")
	require.NoError(t, err)
	d := streamtest.New(t, top)
	return bench{
		d, t, streamtest.Input(d, Pharmacies),
		streamtest.Output(d, PharmacyOrders), streamtest.Output(d, OrderStatus), streamtest.Output(d, Volumes),
		streamtest.Output(d, Alerts),
	}
}

// at is a time on the day of the tests.
func at(hours, minutes int) time.Time {
	return time.Date(2026, time.March, 2, hours, minutes, 0, 0, time.UTC)
}

// order is a whole order as it is when it is created.
func order(id string, created time.Time) Order {
	return Order{
		ID: id, PatientID: "patient-1", Medication: "aspirin", Dosage: "100 mg", PrescriberID: "prescriber-1",
		Status: "created", CreatedAt: millis(created), UpdatedAt: millis(created),
	}
}

// becomes is the order after an update.
func (o Order) becomes(status string, pharmacy PharmacyID, updated time.Time) Order {
	o.Status, o.PharmacyID, o.UpdatedAt = status, pharmacy, millis(updated)
	return o
}

func eventHeaders(eventType, correlationID string, published time.Time) []stream.Header {
	return []stream.Header{
		{Key: headerEventType, Value: []byte(eventType)},
		{Key: headerEventSource, Value: []byte("order-entry")},
		{Key: headerCorrelationID, Value: []byte(correlationID)},
		{Key: headerTimestamp, Value: strconv.AppendInt(nil, published.UnixMilli(), 10)},
	}
}

func (b bench) create(o Order) { b.send(eventCreated, o) }

func (b bench) update(o Order) { b.send("medication-order-"+o.Status, o) }

func (b bench) send(eventType string, o Order) {
	b.t.Helper()
	value, err := json.Marshal(o)
	require.NoError(b.t, err)
	b.SendRaw(Orders.Name(), []byte(orderKey(o.ID)), value, o.UpdatedAt.Time(),
		eventHeaders(eventType, "c-"+o.ID, o.UpdatedAt.Time())...)
}

func TestRule1_EventsThatAreNoWholeOrdersBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	whole := order("1", at(8, 0))
	with := func(change func(*Order)) []byte {
		o := whole
		change(&o)
		return mustJSON(o)
	}
	tests := []struct {
		name    string
		key     string
		value   []byte
		reason  string
		message string
	}{
		{"text that is no JSON", orderKey("1"), []byte("<order/>"), reasonMalformed, "invalid character"},
		{"JSON that is cut off", orderKey("1"), []byte(`{"id":"1","pati`), reasonMalformed, "unexpected end"},
		{"a number for a text", orderKey("1"), []byte(`{"id":1}`), reasonMalformed, "cannot unmarshal number"},
		{"a JSON null", orderKey("1"), []byte(`null`), reasonMalformed, "null is no value"},
		{"a time before 1970", orderKey("1"), with(func(o *Order) { o.UpdatedAt = -1 }), reasonMalformed, "before 1970"},
		{"no value", orderKey("1"), nil, reasonIncomplete, "it has no value"},
		{"no patient", orderKey("1"), with(func(o *Order) { o.PatientID = "" }), reasonIncomplete, "it lacks patientId"},
		{"no times", orderKey("1"), with(func(o *Order) { o.CreatedAt, o.UpdatedAt = 0, 0 }), reasonIncomplete,
			"it lacks createdAt, updatedAt"},
		{"nothing at all", orderKey("1"), []byte(`{}`), reasonIncomplete, "it lacks id, patientId, medication"},
		{"the key of another order", orderKey("2"), mustJSON(whole), reasonInconsistent, `its id is "1"`},
		{"an update before the creation", orderKey("1"), with(func(o *Order) { o.CreatedAt++ }), reasonInconsistent,
			"before it was created"},
		{"an update in the future", orderKey("1"), with(func(o *Order) { o.UpdatedAt += 60_001 }), reasonInconsistent,
			"after its publication"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			headers := eventHeaders(eventCreated, "c-17", at(8, 0))
			b.SendRaw(Orders.Name(), []byte(tt.key), tt.value, at(8, 0), headers...)

			letters := b.DeadLetters(Orders.Name())
			require.Len(t, letters, 1)
			require.Equal(t, tt.reason, letters[0].Reason)
			require.Contains(t, letters[0].Message, tt.message)
			require.Equal(t, tt.key, string(letters[0].Key))
			require.Equal(t, tt.value, letters[0].Value)
			require.Equal(t, headers, letters[0].Headers)
			require.Empty(t, b.status.Read(), "what is rejected goes no further")
		})
	}
}

func TestRule1_AnEventWithoutAKeyOrATypeBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	value := mustJSON(order("1", at(8, 0)))
	b.SendRaw(Orders.Name(), nil, value, at(8, 0), eventHeaders(eventCreated, "c-1", at(8, 0))...)
	b.SendRaw(Orders.Name(), []byte(orderKey("1")), value, at(8, 0),
		stream.Header{Key: headerCorrelationID, Value: []byte("c-2")})

	letters := b.DeadLetters(Orders.Name())
	require.Len(t, letters, 2)
	require.Equal(t, reasonInconsistent, letters[0].Reason)
	require.Equal(t, reasonIncomplete, letters[1].Reason)
	require.Contains(t, letters[1].Message, "the header event-type")
}

func TestRule1_APharmacyThatCannotBeReadBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.SendRaw(Pharmacies.Name(), []byte("pharmacy-1"), []byte("?"), at(8, 0))
	require.Len(t, b.DeadLetters(Pharmacies.Name()), 1)
}

func TestRule2_PharmaciesGetTheOrdersRoutedToThem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.pharmacies.Send("pharmacy-1", Pharmacy{"pharmacy-1", "At the Market", "Bremen"}, at(0, 0))
	o := order("1", at(8, 0))
	b.create(o)
	require.Empty(t, b.pharmacyOrders.Read(), "an order that is not routed is nobody's")

	o = o.becomes("routed", "pharmacy-1", at(8, 10))
	b.update(o)
	got := b.pharmacyOrders.Read()
	require.Len(t, got, 1)
	require.Equal(t, "pharmacy-1", got[0].Key)
	require.Equal(t, PharmacyOrder{o, "At the Market", "Bremen"}, got[0].Value)
	require.Equal(t, at(8, 10), got[0].Timestamp)
	require.Equal(t, "c-1", header(got[0].Headers, headerCorrelationID))
}

func TestRule2_APharmacyThatAppearsLateDoesNotCostAnOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	o := order("1", at(8, 0)).becomes("routed", "pharmacy-1", at(8, 10))
	b.update(o)
	b.pharmacies.Send("pharmacy-1", Pharmacy{"pharmacy-1", "At the Market", "Bremen"}, at(9, 0))
	dispensed := o.becomes("dispensed", "pharmacy-1", at(9, 30))
	b.update(dispensed)
	require.Equal(t, []streamtest.Pair[string, PharmacyOrder]{
		{Key: "pharmacy-1", Value: PharmacyOrder{Order: o}},
		{Key: "pharmacy-1", Value: PharmacyOrder{dispensed, "At the Market", "Bremen"}},
	}, b.pharmacyOrders.Pairs())
}

func TestRule3_TheStatusIsThatOfTheLatestEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	created := order("1", at(8, 0))
	routed := created.becomes("routed", "pharmacy-1", at(8, 10))
	dispensed := created.becomes("dispensed", "pharmacy-1", at(9, 0))
	b.create(created)
	b.update(dispensed)
	b.update(routed) // late
	require.Equal(t, []streamtest.Pair[string, Order]{
		{Key: orderKey("1"), Value: created}, {Key: orderKey("1"), Value: dispensed}, {Key: orderKey("1"), Value: dispensed},
	}, b.status.Pairs())
	row, ok, err := streamtest.KeyValue(b.Driver, StatusTable, 0).Get(orderKey("1"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, dispensed, row)
}

func TestRule4_VolumesCountEachNewOrderOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first, second := order("1", at(8, 0)), order("2", at(8, 59))
	b.create(first)
	b.update(first.becomes("routed", "pharmacy-1", at(8, 10)))
	b.create(first) // delivered again
	b.create(second)
	b.create(order("3", at(9, 0)))

	eight := stream.Windowed[string]{Key: "aspirin", Start: at(8, 0), End: at(9, 0)}
	nine := stream.Windowed[string]{Key: "aspirin", Start: at(9, 0), End: at(10, 0)}
	require.Equal(t, []streamtest.Pair[stream.Windowed[string], int64]{
		{Key: eight, Value: 1}, {Key: eight, Value: 2}, {Key: nine, Value: 1},
	}, b.volumes.Pairs())
	require.EqualValues(t, 1, b.Dropped("skipped"))
}

func TestRule4_AnHourTakesOrdersForFiveMoreMinutes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(order("1", at(8, 0)))
	b.create(order("2", at(9, 4)))
	b.create(order("3", at(8, 58)))
	require.Len(t, b.volumes.Read(), 3)

	b.create(order("4", at(9, 5)))
	b.create(order("5", at(8, 59)))
	require.Len(t, b.volumes.Read(), 1, "eight o'clock closed when it was five past nine")
	require.EqualValues(t, 1, b.Dropped("late"))
}

func TestRule5_TheFourthOrderOfATherapyWithinADayRaisesAnAlert(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 3 {
		b.create(order(fmt.Sprint(i), at(i, 0)))
	}
	other := order("other", at(3, 0))
	other.PatientID = "patient-2"
	b.create(other)
	require.Empty(t, b.alerts.Read())

	b.create(order("3", at(23, 59)))
	got := b.alerts.Read()
	require.Len(t, got, 1)
	therapy := Therapy{"patient-1", "aspirin"}
	require.Equal(t, therapy, got[0].Key)
	require.Equal(t, Alert{therapy, "3", []string{"0", "1", "2", "3"}, millis(at(0, 0)), millis(at(23, 59))}, got[0].Value)
	require.Equal(t, at(23, 59), got[0].Timestamp)
}

func TestRule5_Crossings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		hours  []int // of orders, as they arrive
		alerts []int // the positions of those that raise one
	}{
		{"three are not too many", []int{0, 1, 2}, nil},
		{"the fourth is, the fifth brings nothing new", []int{0, 1, 2, 3, 4}, []int{3}},
		{"the end of 24 hours is not part of them", []int{0, 1, 2, 24}, nil},
		{"no interval is special", []int{10, 20, 30, 33}, []int{3}},
		{"when one has aged, the next crossing is a new one", []int{0, 1, 2, 3, 24}, []int{3, 4}},
		{"two have aged, and two are needed", []int{0, 1, 2, 3, 25, 25}, []int{3, 5}},
		{"the order of arrival does not matter", []int{3, 0, 2, 1}, []int{3}},
		{"a late one completes the interval around it", []int{0, 20, 22, 2}, []int{3}},
		{"a late one counts for later ones", []int{10, 12, 30, 8, 11}, []int{3}},
		{"a late one in a crossing that is known", []int{1, 2, 3, 4, 0}, []int{3}},
		{"one that is a day late is not judged", []int{0, 1, 2, 27, 3}, nil},
		{"one that is almost a day late is", []int{5, 6, 7, 27, 8}, []int{3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for i, h := range tt.hours {
				b.create(order(fmt.Sprint(i), at(h, 0)))
			}
			var got []int
			for _, p := range b.alerts.Pairs() {
				i, err := strconv.Atoi(p.Value.OrderID)
				require.NoError(t, err)
				got = append(got, i)
			}
			require.Equal(t, tt.alerts, got)
		})
	}
}

func TestRule5_UpdatesAndRepeatedEventsDoNotCount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 3 {
		o := order(fmt.Sprint(i), at(i, 0))
		b.create(o)
		b.create(o)
		b.update(o.becomes("routed", "pharmacy-1", at(i, 30)))
	}
	require.Empty(t, b.alerts.Read())
}

func TestHistory_DoesNotGrowWithTheAgeOfATherapy(t *testing.T) {
	t.Parallel()
	var history []Placed
	for hour := range 1000 {
		var ok bool
		history, ok = place(history, Placed{fmt.Sprint(hour), millis(at(hour, 0))})
		require.True(t, ok)
		require.LessOrEqual(t, len(history), 48)
	}
}

func TestPipeline_IsAsDrawn(t *testing.T) {
	t.Parallel()
	top, err := pipeline("")
	require.NoError(t, err)
	const path = "testdata/topology.txt"
	got := top.Describe().String()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got,
		"%s differs: a name that is not in it any more was one of state on the cluster", path)
}

func TestPipeline_HasAPrefixForTopicsOfTheCluster(t *testing.T) {
	t.Parallel()
	top, err := pipeline("test-")
	require.NoError(t, err)
	require.Equal(t, []string{
		"test-pharmacy-orders", "test-order-status", "test-medication-volumes", "test-duplicate-therapy-alerts",
	}, top.SinkTopics())
	require.Equal(t, []string{
		"test-medication-orders", "test-pharmacies", "app-orders-by-pharmacy-repartition",
		"app-orders-by-medication-repartition",
		"app-orders-by-therapy-repartition",
	}, inputs(top, "app"))
}

func TestOrder_KeepsTheFormOfTheEventBroker(t *testing.T) {
	t.Parallel()
	const text = `{"id":"1","patientId":"p","medication":"m","dosage":"d","prescriberId":"r","pharmacyId":null,` +
		`"status":"s","createdAt":1772438400000,"updatedAt":1772438400001}`
	s := serde.JSON[Order]()
	o, err := s.Decode([]byte(text))
	require.NoError(t, err)
	require.Empty(t, o.PharmacyID)
	b, err := s.Append(nil, o)
	require.NoError(t, err)
	require.Equal(t, text, string(b))
}
