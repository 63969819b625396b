package stream_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/stream/streamtest"
)

// A conformanceCase is a topology, its input, and what Kafka Streams answered.
type conformanceCase struct {
	Name     string
	Topology []json.RawMessage
	Inputs   []conformanceInput
	Outputs  map[string][]conformanceRecord
}

// A conformanceInput is a record for a topic, or an advance of the wall clock.
type conformanceInput struct {
	topic   string
	record  conformanceRecord
	advance time.Duration
}

// UnmarshalJSON reads ["topic", key, value, timestampMs] or ["@wall", milliseconds].
func (in *conformanceInput) UnmarshalJSON(b []byte) error {
	var ms int64
	if err := unmarshalRow(b, &in.topic, &ms); err == nil {
		in.advance = millis(ms)
		return nil
	}
	return unmarshalRow(b, &in.topic, &in.record.key, &in.record.value, &in.record.ms)
}

// A conformanceRecord is a record as cases write it.
type conformanceRecord struct {
	key, value text
	ms         int64
}

// UnmarshalJSON reads [key, value, timestampMs].
func (r *conformanceRecord) UnmarshalJSON(b []byte) error {
	return unmarshalRow(b, &r.key, &r.value, &r.ms)
}

func (r conformanceRecord) String() string {
	return fmt.Sprintf("%s=%s at %d", show(r.key), show(r.value), r.ms)
}

func (r conformanceRecord) equal(o conformanceRecord) bool {
	return equal(r.key, o.key) && equal(r.value, o.value) && r.ms == o.ms
}

// unmarshalRow reads a JSON array of exactly these fields.
func unmarshalRow(b []byte, fields ...any) error {
	var cells []json.RawMessage
	if err := json.Unmarshal(b, &cells); err != nil {
		return err
	}
	if len(cells) != len(fields) {
		return fmt.Errorf("read a row of a case: want %d fields, got %d", len(fields), len(cells))
	}
	for i, f := range fields {
		if err := json.Unmarshal(cells[i], f); err != nil {
			return err
		}
	}
	return nil
}

// nodes are the operators of the topology, and missing the words that the interpreter does not know.
func (c *conformanceCase) nodes() (nodes []*conformanceNode, missing []string, err error) {
	for _, raw := range c.Topology {
		n := &conformanceNode{}
		if err := json.Unmarshal(raw, n); err != nil {
			return nil, nil, err
		}
		nodes = append(nodes, n)
		if op := n.operator(); operators[op] == nil && !slices.Contains(missing, op) {
			missing = append(missing, op)
		}
	}
	return nodes, missing, nil
}

// run gives the case's input to its topology and returns the first difference to the recorded answer, "" if there
// is none.
func (c *conformanceCase) run(tb testing.TB, nodes []*conformanceNode) (difference string) {
	tb.Helper()
	in := newInterpreter()
	for _, n := range nodes {
		operators[n.operator()](in, n)
	}
	top, err := in.b.Build()
	if err != nil {
		return fmt.Sprintf("build: %v", err)
	}
	d := streamtest.New(tb, top, streamtest.OneTask())
	for i, row := range c.Inputs {
		if row.topic == "@wall" {
			err = d.TryAdvance(row.advance)
		} else {
			err = d.TrySendRaw(row.topic, bytesOf(row.record.key), bytesOf(row.record.value), time.UnixMilli(row.record.ms))
		}
		if err != nil {
			return fmt.Sprintf("input %d: %v", i, err)
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(c.Outputs)) {
		var got []conformanceRecord
		for _, r := range streamtest.Output(d, textTopic(topic)).Read() {
			got = append(got, conformanceRecord{r.Key, r.Value, r.Timestamp.UnixMilli()})
		}
		if diff := compareRecords(c.Outputs[topic], got); diff != "" {
			return fmt.Sprintf("topic %s: %s", topic, diff)
		}
	}
	return ""
}

func bytesOf(t text) []byte {
	if t == nil {
		return nil
	}
	return []byte(*t)
}

// compareRecords describes the first record that differs, with its neighbours.
func compareRecords(want, got []conformanceRecord) string {
	at := 0
	for at < min(len(want), len(got)) && want[at].equal(got[at]) {
		at++
	}
	if at == len(want) && at == len(got) {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "record %d differs (%d wanted, %d got)\n", at, len(want), len(got))
	for i := max(0, at-3); i < at; i++ {
		fmt.Fprintf(&b, "    both %3d: %v\n", i, want[i])
	}
	for _, side := range []struct {
		name    string
		records []conformanceRecord
	}{{"want", want}, {" got", got}} {
		for i := at; i < min(at+4, len(side.records)); i++ {
			fmt.Fprintf(&b, "    %s %3d: %v\n", side.name, i, side.records[i])
		}
	}
	return b.String()
}

// explain describes a difference together with the case.
func (c *conformanceCase) explain(difference string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "case %s: %s\n", c.Name, strings.TrimSuffix(difference, "\n"))
	for _, raw := range c.Topology {
		fmt.Fprintf(&b, "    %s\n", raw)
	}
	return b.String()
}
