package main

import (
	"context"
	"slices"
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

const (
	// alertCount orders of one therapy within alertSpan are one too many.
	alertCount = 4
	// alertSpan is the length of the intervals in which orders are counted. As with windows, the end is not part of
	// it.
	alertSpan = 24 * time.Hour
	// alertDelay is how far an order may lie behind the newest one of its therapy and still be judged.
	alertDelay = 24 * time.Hour
)

// TherapyHistory keeps the recent orders of each therapy, by time: those of the last alertSpan+alertDelay before
// the newest. Whatever interval an order may still complete is in there as a whole, and a row does not grow with
// the age of the therapy.
var TherapyHistory = state.KeyValue("therapy-history", serde.JSON[Therapy](), serde.JSON[[]Placed]()).
	Clone(slices.Clone[[]Placed])

// Placed is an order at its time.
type Placed struct {
	OrderID string `json:"orderId"`
	At      Millis `json:"at"`
}

// duplicateTherapy raises an alert for each order that brings its therapy to four orders within 24 hours.
//
// The rule does not depend on the order of arrival: an order that comes in is put at its own time, and all
// intervals of 24 hours that contain that time are looked at. If the fullest of them now holds exactly four orders,
// it held three before: that is the crossing, and there is one alert for it. A fifth order finds four already, and
// is silent. When orders have aged and the number fell to three or less, the next crossing is a new alert.
//
// An order that lies alertDelay or more behind the newest of its therapy comes too late to be judged, and is
// dropped, counted as skipped.
func duplicateTherapy(
	n *stream.ValueNode[Therapy, Alert],
) (func(context.Context, stream.Record[Therapy, Order]) error, error) {
	histories := TherapyHistory.Open(n)
	return func(_ context.Context, r stream.Record[Therapy, Order]) error {
		history, _, err := histories.Get(r.Key)
		if err != nil {
			return err
		}
		placed := Placed{r.Value.ID, millis(r.Timestamp)}
		history, ok := place(history, placed)
		if !ok {
			return stream.ErrSkip
		}
		if err := histories.Put(r.Key, history); err != nil {
			return err
		}
		crowd := fullest(history, placed.At)
		if len(crowd) != alertCount {
			return nil
		}
		alert := Alert{Therapy: r.Key, OrderID: placed.OrderID, First: crowd[0].At, Last: crowd[len(crowd)-1].At}
		for _, p := range crowd {
			alert.OrderIDs = append(alert.OrderIDs, p.OrderID)
		}
		return n.Forward(alert)
	}, nil
}

// place adds an order to a history and drops what has aged out of it. ok is false if the order comes too late.
func place(history []Placed, p Placed) (_ []Placed, ok bool) {
	newest := p.At
	if len(history) > 0 {
		newest = max(newest, history[len(history)-1].At)
	}
	if p.At <= newest-Millis(alertDelay.Milliseconds()) {
		return history, false
	}
	at := len(history)
	for at > 0 && history[at-1].At > p.At {
		at--
	}
	history = slices.Insert(history, at, p)
	oldest := newest - Millis((alertSpan + alertDelay).Milliseconds())
	return slices.DeleteFunc(history, func(p Placed) bool { return p.At <= oldest }), true
}

// fullest returns the orders of the fullest interval that contains t, the first of several. The history is sorted
// by time. Only intervals that begin at an order are looked at: any other holds no more than the one that begins at
// its first order.
func fullest(history []Placed, t Millis) []Placed {
	var best []Placed
	end := 0
	for i, first := range history {
		limit := first.At + Millis(alertSpan.Milliseconds())
		if first.At > t || limit <= t {
			continue
		}
		for end < len(history) && history[end].At < limit {
			end++
		}
		if end-i > len(best) {
			best = history[i:end]
		}
	}
	return best
}
