package main

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/weirstream/weir/stream"
)

// The headers that the Event Broker gives every event.
const (
	headerEventType     = "event-type"
	headerEventSource   = "event-source"
	headerCorrelationID = "correlation-id"
	headerTimestamp     = "timestamp" // of publication, in milliseconds since 1970
)

// eventCreated is the type of the one event that brings an order into the world. All other types tell how it goes on.
const eventCreated = "medication-order-created"

// An Order is a medication order as it stands after an event.
type Order struct {
	ID           string     `json:"id"`
	PatientID    string     `json:"patientId"`
	Medication   string     `json:"medication"`
	Dosage       string     `json:"dosage"`
	PrescriberID string     `json:"prescriberId"`
	PharmacyID   PharmacyID `json:"pharmacyId"`
	Status       string     `json:"status"`
	CreatedAt    Millis     `json:"createdAt"`
	UpdatedAt    Millis     `json:"updatedAt"`
}

// orderKey is the key of an order's events.
func orderKey(id string) string { return "medication-order-" + id }

// A PharmacyID names a pharmacy. It is empty, and null in JSON, until an order is routed.
type PharmacyID string

// MarshalJSON writes null for the empty id.
func (id PharmacyID) MarshalJSON() ([]byte, error) {
	if id == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(id))
}

// Millis is a point in time as the Event Broker writes it: milliseconds since 1970.
type Millis int64

// Time is the point in time, in UTC.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// millis is the point in time of t.
func millis(t time.Time) Millis { return Millis(t.UnixMilli()) }

// A Pharmacy is a row of the table that routed orders are joined with.
type Pharmacy struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	City string `json:"city"`
}

// A PharmacyOrder is a routed order with its pharmacy. Name and city are empty while the pharmacy is not known.
type PharmacyOrder struct {
	Order
	PharmacyName string `json:"pharmacyName"`
	PharmacyCity string `json:"pharmacyCity"`
}

// A Therapy is one medication of one patient.
type Therapy struct {
	PatientID  string `json:"patientId"`
	Medication string `json:"medication"`
}

// An Alert says that a patient was given too many orders of one medication within 24 hours.
type Alert struct {
	Therapy
	// OrderID is the order that made them too many.
	OrderID string `json:"orderId"`
	// OrderIDs are the orders within the 24 hours, in the order of their times. First and Last are the times at
	// both ends.
	OrderIDs []string `json:"orderIds"`
	First    Millis   `json:"first"`
	Last     Millis   `json:"last"`
}

// header returns the value of the last header of that name, empty if there is none.
func header(headers []stream.Header, name string) string {
	for _, h := range slices.Backward(headers) {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
