package main

import (
	"time"

	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// A letter is a dead letter by its correlation id and reason.
type letter struct{ CorrelationID, Reason string }

// An alarm is an alert by its therapy and the order that raised it.
type alarm struct {
	Therapy
	OrderID string
}

// An expectation is what a run must lead to. Maps to int hold how often something must occur.
type expectation struct {
	In       int
	Letters  map[letter]int
	Accepted map[string]int // events by correlation id
	Routed   map[string]int // likewise
	Status   map[string]Order
	Created  int // new orders

	// Settled tells that Volumes, Late and Alarms follow from the data alone. They do if all orders of a
	// medication, and so of a therapy, lie in the partition of the medication's number. Else they hang on the pace
	// of the tasks.
	Settled bool
	Volumes map[stream.Windowed[string]]int64
	Late    int
	Alarms  map[alarm]int

	Names map[PharmacyID]Pharmacy
}

// expect works out, event by event and with as little cleverness as possible, what the pipeline must make of a
// workload. It shares no code with the operators it is the judge of. The order of events in a partition is that of
// the workload.
func expect(w workload, partitions int32) expectation {
	x := expectation{
		In: len(w.Events), Letters: map[letter]int{}, Accepted: map[string]int{}, Routed: map[string]int{},
		Status: map[string]Order{}, Settled: true, Names: w.Names,
	}
	var created []event
	seen := map[string]bool{}
	for _, e := range w.Events {
		if e.Reason != "" {
			x.Letters[letter{e.correlationID(), e.Reason}]++
			continue
		}
		x.Accepted[e.correlationID()]++
		if e.Order.PharmacyID != "" {
			x.Routed[e.correlationID()]++
		}
		key := string(e.Key)
		if old, ok := x.Status[key]; !ok || e.Order.UpdatedAt >= old.UpdatedAt {
			x.Status[key] = e.Order
		}
		if e.creation() && !seen[key] {
			seen[key] = true
			created = append(created, e)
			x.Settled = x.Settled && e.Partition == topology.PartitionFor([]byte(e.Order.Medication), partitions)
		}
	}
	x.Created = len(created)
	x.countVolumes(created)
	x.raiseAlarms(created)
	return x
}

// countVolumes puts each new order into its hour, unless that has closed: in stream time, which is the latest time
// in the partition so far, an hour closes five minutes after it ended.
func (x *expectation) countVolumes(created []event) {
	x.Volumes = map[stream.Windowed[string]]int64{}
	streamTime := map[int32]time.Time{}
	for _, e := range created {
		at := e.Order.UpdatedAt.Time()
		if at.After(streamTime[e.Partition]) {
			streamTime[e.Partition] = at
		}
		start := at.Truncate(time.Hour)
		end := start.Add(time.Hour)
		if closes := end.Add(5 * time.Minute); !streamTime[e.Partition].Before(closes) {
			x.Late++
			continue
		}
		x.Volumes[stream.Windowed[string]{Key: e.Order.Medication, Start: start, End: end}]++
	}
}

// raiseAlarms keeps all orders of each therapy for ever, and tries all intervals of 24 hours around each order.
func (x *expectation) raiseAlarms(created []event) {
	const day = Millis(24 * 60 * 60 * 1000)
	x.Alarms = map[alarm]int{}
	times := map[Therapy][]Millis{}
	newest := map[Therapy]Millis{}
	for _, e := range created {
		t, at := Therapy{e.Order.PatientID, e.Order.Medication}, e.Order.UpdatedAt
		newest[t] = max(newest[t], at)
		if at <= newest[t]-day {
			continue // too late to be judged
		}
		times[t] = append(times[t], at)
		most := 0
		for _, first := range times[t] {
			inside := 0
			for _, other := range times[t] {
				if first <= other && other < first+day {
					inside++
				}
			}
			if first <= at && at < first+day {
				most = max(most, inside)
			}
		}
		if most == 4 {
			x.Alarms[alarm{t, e.Order.ID}]++
		}
	}
}
