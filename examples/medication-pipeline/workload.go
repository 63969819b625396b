package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// A message is a record to publish. Key and Value are nil where they are null.
type message struct {
	Partition  int32
	Key, Value []byte
	Headers    []stream.Header
	At         time.Time
}

// An event is a message about an order, with what is known of it beforehand.
type event struct {
	message
	// Reason is that of the dead letter that the event becomes; empty if it is a whole order.
	Reason string
	// Order is valid without a Reason.
	Order Order
}

func (e event) correlationID() string { return header(e.Headers, headerCorrelationID) }

func (e event) creation() bool { return header(e.Headers, headerEventType) == eventCreated }

// A workload is what a run publishes, in this order.
type workload struct {
	Events     []event
	Pharmacies []message
	// Names are the pharmacies by id.
	Names map[PharmacyID]Pharmacy
}

// An inputLine is one line of an input file.
type inputLine struct {
	Topic     string            `json:"topic"`
	Key       *string           `json:"key"`
	Headers   map[string]string `json:"headers"`
	Value     json.RawMessage   `json:"value"`
	Timestamp int64             `json:"timestamp"`
}

// readWorkload reads events from a file of JSON lines: see README.md for its form. What becomes of each event is
// found out by decoding and validating it as the pipeline does.
func readWorkload(r io.Reader, partitions int32) (workload, error) {
	w := workload{Names: map[PharmacyID]Pharmacy{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var line inputLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return w, fmt.Errorf("read line %d: %w", n, err)
		}
		m := line.message(partitions)
		switch line.Topic {
		case "", Orders.Name():
			w.Events = append(w.Events, classify(m))
		case Pharmacies.Name():
			p, err := Pharmacies.Value().Decode(m.Value)
			if err != nil || m.Key == nil {
				return w, fmt.Errorf("read line %d: a pharmacy has a key, and a value such as {\"id\":...}: %w", n, err)
			}
			w.Pharmacies = append(w.Pharmacies, m)
			w.Names[PharmacyID(m.Key)] = p
		default:
			return w, fmt.Errorf("read line %d: topic %q: use %q or %q", n, line.Topic, Orders.Name(), Pharmacies.Name())
		}
	}
	return w, lines.Err()
}

// message is the record that the line describes. A value that is a JSON text stands for its content, so that a file
// can hold what is no JSON.
func (l inputLine) message(partitions int32) message {
	m := message{At: time.UnixMilli(l.Timestamp)}
	var text string
	switch {
	case len(l.Value) == 0 || string(l.Value) == "null":
	case json.Unmarshal(l.Value, &text) == nil:
		m.Value = []byte(text)
	default:
		m.Value = slices.Clone(l.Value)
	}
	if l.Key != nil {
		m.Key = []byte(*l.Key)
		m.Partition = topology.PartitionFor(m.Key, partitions)
	}
	for _, name := range slices.Sorted(maps.Keys(l.Headers)) {
		m.Headers = append(m.Headers, stream.Header{Key: name, Value: []byte(l.Headers[name])})
	}
	if l.Timestamp == 0 {
		ms, _ := strconv.ParseInt(l.Headers[headerTimestamp], 10, 64)
		m.At = time.UnixMilli(ms)
	}
	return m
}

// classify finds out what the pipeline makes of a message.
func classify(m message) event {
	e := event{message: m}
	o, err := Orders.Value().Decode(m.Value)
	if err != nil || eventTime("", o).UnixMilli() < 0 {
		e.Reason = reasonMalformed
		return e
	}
	ctx := topology.WithMetadata(context.Background(), &topology.Metadata{Headers: m.Headers})
	if e.Order, err = validate(ctx, string(m.Key), o); err != nil {
		e.Reason = reasonIncomplete
		if reject, ok := errors.AsType[*dlq.RejectError](err); ok {
			e.Reason = reject.Reason
		}
	}
	return e
}
