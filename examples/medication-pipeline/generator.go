package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// reasonMalformed is the engine's own reason for what its serdes cannot read.
const reasonMalformed = "deserialization-failed"

// generatedSpan is the time in which the generated orders are placed, however many they are.
const generatedSpan = 4 * 24 * time.Hour

// A generator makes up orders. The same seed makes the same ones.
//
// The ids of orders are dealt so that the events of an order lie in the partition which bears the number of its
// medication's own: the task that counts a medication then gets all its records from one task, in one order, and
// which of them come late is decided by the data alone. With ids dealt at random that would hang on which task is
// faster, and no check could know it beforehand.
type generator struct {
	rng        *rand.Rand
	partitions int32
	events     []event
	spare      map[int32][]int // ids of each partition that were passed over
	lastID     int
}

// generate makes n events about orders, and the pharmacies that the orders are routed to.
func generate(seed uint64, n int, partitions int32, start time.Time) workload {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 0)), partitions: partitions, spare: map[int32][]int{}}
	w := g.pharmacies(start)
	pace := generatedSpan / time.Duration(max(n/2, 1)) // an order has about two events
	for at := start; len(g.events) < n; at = at.Add(g.upTo(2 * pace)) {
		therapy := Therapy{fmt.Sprintf("patient-%05d", g.rng.IntN(5000)), medications[g.rng.IntN(len(medications))]}
		g.place(therapy, at)
		if g.chance(0.004) { // somebody orders the same again and again
			for range 2 + g.rng.IntN(6) {
				g.place(therapy, at.Add(g.upTo(30*time.Hour)))
			}
		}
	}
	slices.SortStableFunc(g.events, func(a, b event) int { return a.At.Compare(b.At) })
	w.Events = g.events[:n]
	return w
}

// place makes the events of one order.
func (g *generator) place(t Therapy, at time.Time) {
	o := Order{
		ID: g.id(t.Medication), PatientID: t.PatientID, Medication: t.Medication,
		Dosage:       fmt.Sprintf("%d mg", 50*(1+g.rng.IntN(10))),
		PrescriberID: fmt.Sprintf("prescriber-%03d", g.rng.IntN(200)),
		Status:       "created", CreatedAt: millis(at), UpdatedAt: millis(at),
	}
	g.publish(o, eventCreated)
	step := func(status string, within time.Duration) {
		o.Status = status
		o.UpdatedAt += 1 + Millis(g.upTo(within).Milliseconds())
		g.publish(o, "medication-order-"+status)
	}
	switch {
	case g.chance(0.7):
		o.PharmacyID = PharmacyID(fmt.Sprintf("pharmacy-%02d", g.rng.IntN(pharmacyCount)))
		step("routed", 30*time.Minute)
		if g.chance(0.5) {
			step("dispensed", 6*time.Hour)
		}
	case g.chance(0.2):
		step("cancelled", time.Hour)
	}
}

// id deals an id whose events go to the partition of the medication.
func (g *generator) id(medication string) string {
	want := topology.PartitionFor([]byte(medication), g.partitions)
	for len(g.spare[want]) == 0 {
		g.lastID++
		p := topology.PartitionFor([]byte(orderKey(formatID(g.lastID))), g.partitions)
		g.spare[p] = append(g.spare[p], g.lastID)
	}
	id := g.spare[want][0]
	g.spare[want] = g.spare[want][1:]
	return formatID(id)
}

func formatID(id int) string { return fmt.Sprintf("%07d", id) }

// publish adds the event that makes o known, usually as it should be.
func (g *generator) publish(o Order, eventType string) {
	at := o.UpdatedAt.Time()
	switch {
	case g.chance(0.045): // out of order, and mostly in time
		at = at.Add(g.upTo(10 * time.Minute))
	case g.chance(0.005): // out of order, and past the grace of volumes, some past the patience of alerts
		at = at.Add(time.Hour + g.upTo(30*time.Hour))
	}
	e := event{Order: o, message: message{
		Key: []byte(orderKey(o.ID)), At: at, Headers: []stream.Header{
			{Key: headerEventType, Value: []byte(eventType)},
			{Key: headerEventSource, Value: []byte("order-entry")},
			{Key: headerCorrelationID, Value: fmt.Appendf(nil, "correlation-%07d", len(g.events))},
			{Key: headerTimestamp, Value: strconv.AppendInt(nil, at.UnixMilli(), 10)},
		},
	}}
	e.Partition = topology.PartitionFor(e.Key, g.partitions)
	e.Value = mustJSON(o)
	switch {
	case g.chance(0.01):
		g.malform(&e)
	case g.chance(0.01):
		g.spoil(&e)
	}
	g.events = append(g.events, e)
	if g.chance(0.005) { // the same event once more
		e.At = e.At.Add(g.upTo(time.Minute))
		g.events = append(g.events, e)
	}
}

// malform makes the value unreadable.
func (g *generator) malform(e *event) {
	e.Reason = reasonMalformed
	switch g.rng.IntN(4) {
	case 0:
		e.Value = e.Value[:len(e.Value)/2]
	case 1:
		e.Value = []byte("<order/>")
	case 2:
		e.Value = []byte("null")
	case 3:
		e.Value = []byte(`{"id":` + strconv.Itoa(g.lastID) + `}`)
	}
}

// spoil makes the order one that must not pass.
func (g *generator) spoil(e *event) {
	o := e.Order
	e.Reason = reasonIncomplete
	switch g.rng.IntN(6) {
	case 0:
		e.Value = nil
		return
	case 1:
		e.Headers = slices.Delete(slices.Clone(e.Headers), 0, 1) // the event's type
	case 2:
		o.PatientID = ""
	case 3:
		o.UpdatedAt = 0
	case 4:
		e.Reason, o.ID = reasonInconsistent, "somebody-else"
	case 5:
		e.Reason, o.CreatedAt = reasonInconsistent, o.UpdatedAt+1
	}
	e.Value = mustJSON(o)
}

const pharmacyCount = 40

// pharmacies makes the table of pharmacies: three quarters are known from the start, the last two never, and the
// others from some time on.
func (g *generator) pharmacies(start time.Time) workload {
	w := workload{Names: map[PharmacyID]Pharmacy{}}
	for i := range pharmacyCount - 2 {
		p := Pharmacy{
			ID: fmt.Sprintf("pharmacy-%02d", i), Name: fmt.Sprintf("Pharmacy No. %d", i), City: cities[i%len(cities)],
		}
		m := message{Key: []byte(p.ID), Value: mustJSON(p), At: start}
		if i >= pharmacyCount*3/4 {
			m.At = start.Add(g.upTo(generatedSpan))
		}
		m.Partition = topology.PartitionFor(m.Key, g.partitions)
		w.Pharmacies = append(w.Pharmacies, m)
		w.Names[PharmacyID(p.ID)] = p
	}
	slices.SortStableFunc(w.Pharmacies, func(a, b message) int {
		return cmp.Or(a.At.Compare(b.At), slices.Compare(a.Key, b.Key))
	})
	return w
}

func (g *generator) chance(p float64) bool { return g.rng.Float64() < p }

// upTo is a time between none and d, in whole milliseconds.
func (g *generator) upTo(d time.Duration) time.Duration {
	return time.Duration(g.rng.Int64N(d.Milliseconds()+1)) * time.Millisecond
}

// mustJSON is for types of this package, which cannot fail.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

var medications = []string{
	"amlodipine", "amoxicillin", "aspirin", "atorvastatin", "azithromycin", "bisoprolol", "clopidogrel", "doxycycline",
	"enalapril", "furosemide", "gabapentin", "ibuprofen", "insulin", "levothyroxine", "metformin", "morphine",
	"omeprazole", "paracetamol", "prednisolone", "salbutamol",
}

var cities = []string{"Bremen", "Dresden", "Essen", "Hamburg", "Kiel", "Leipzig", "Mainz", "Trier"}
