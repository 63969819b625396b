package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
)

// The reasons of this program's own dead letters. What is no JSON at all goes by the engine's
// "deserialization-failed".
const (
	reasonIncomplete   = "incomplete-order"
	reasonInconsistent = "inconsistent-order"
)

// clockTolerance is how far an order may be updated after its own publication: clocks differ.
const clockTolerance = time.Minute

// eventTime is when the event happened: not when it was published, nor when it arrived.
func eventTime(_ string, o *Order) time.Time {
	if o == nil {
		return time.UnixMilli(0) // validate rejects it
	}
	return o.UpdatedAt.Time()
}

// validate lets whole orders pass. It is the line between what anybody may publish, *Order, and what the rest of
// the program builds on, Order.
func validate(ctx context.Context, key string, o *Order) (Order, error) {
	if o == nil {
		return Order{}, dlq.Reject(reasonIncomplete, fmt.Errorf("validate order %q: it has no value", key))
	}
	headers := stream.Metadata(ctx).Headers
	if missing := missingParts(o, headers); len(missing) > 0 {
		return Order{}, dlq.Reject(reasonIncomplete,
			fmt.Errorf("validate order %q: it lacks %s", key, strings.Join(missing, ", ")))
	}
	switch {
	case key != orderKey(o.ID):
		// Its table rows would lie under another order's key, or in another partition than its own.
		return Order{}, dlq.Reject(reasonInconsistent, fmt.Errorf("validate order %q: its id is %q", key, o.ID))
	case o.UpdatedAt < o.CreatedAt:
		return Order{}, dlq.Reject(reasonInconsistent, fmt.Errorf(
			"validate order %q: it is updated at %d, before it was created at %d",
			key, o.UpdatedAt, o.CreatedAt))
	case fromTheFuture(o, headers):
		// One wrong clock would close the windows of everybody.
		return Order{}, dlq.Reject(reasonInconsistent, fmt.Errorf(
			"validate order %q: it is updated at %d, after its publication at %s",
			key, o.UpdatedAt, header(headers, headerTimestamp)))
	}
	return *o, nil
}

// missingParts are the names of what an order must have and does not. The pharmacy is none of them: an order has
// none until it is routed.
func missingParts(o *Order, headers []stream.Header) []string {
	var missing []string
	for _, part := range []struct {
		name string
		ok   bool
	}{
		{"id", o.ID != ""},
		{"patientId", o.PatientID != ""},
		{"medication", o.Medication != ""},
		{"dosage", o.Dosage != ""},
		{"prescriberId", o.PrescriberID != ""},
		{"status", o.Status != ""},
		{"createdAt", o.CreatedAt > 0},
		{"updatedAt", o.UpdatedAt > 0},
		{"the header event-type", header(headers, headerEventType) != ""},
	} {
		if !part.ok {
			missing = append(missing, part.name)
		}
	}
	return missing
}

// fromTheFuture tells whether the order was updated after it was published, as far as the publisher said when.
func fromTheFuture(o *Order, headers []stream.Header) bool {
	published, err := strconv.ParseInt(header(headers, headerTimestamp), 10, 64)
	return err == nil && o.UpdatedAt > Millis(published)+Millis(clockTolerance.Milliseconds())
}
