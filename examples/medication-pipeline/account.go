package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/stream"
)

// Outputs are the committed records of the topics that the pipeline writes, in the order of each partition.
type outputs struct{ letters, pharmacyOrders, status, volumes, alerts []*kgo.Record }

func outputTopics(prefix string) []string {
	return []string{
		dlq.TopicFor(prefix + Orders.Name()), prefix + PharmacyOrders.Name(), prefix + OrderStatus.Name(),
		prefix + Volumes.Name(), prefix + Alerts.Name(),
	}
}

func outputsOf(records map[string][]*kgo.Record, prefix string) outputs {
	t := outputTopics(prefix)
	return outputs{records[t[0]], records[t[1]], records[t[2]], records[t[3]], records[t[4]]}
}

// An account compares what came out with what had to.
type account struct {
	want  expectation
	out   outputs
	exact bool // nothing may be there twice

	Reasons map[string]int // dead letters by reason
	Late    int            // new orders in no window
	Unnamed int            // routed orders without the name of a pharmacy
	Checks  []check
}

// A check is one line of an account.
type check struct {
	Name string
	// Problems are empty if all is as it must be.
	Problems []string
	// Repeated counts what was there more often than expected, where that is allowed.
	Repeated int
}

// settle compares. exact holds the outputs to exactly once; without it, what is there more often is counted and
// forgiven.
func settle(want expectation, out outputs, exact bool) account {
	a := account{want: want, out: out, exact: exact, Reasons: map[string]int{}}
	a.checkLetters()
	a.checkInput()
	a.checkPharmacyOrders()
	a.checkStatus()
	a.checkVolumes()
	a.checkAlerts()
	return a
}

// OK tells that all checks passed.
func (a *account) OK() bool {
	return !slices.ContainsFunc(a.Checks, func(c check) bool { return len(c.Problems) > 0 })
}

func (a *account) checkLetters() {
	c := check{Name: "each faulty event has one dead letter, with its reason and correlation id"}
	got := map[letter]int{}
	for _, r := range a.out.letters {
		l, err := dlq.Parse(headersOf(r))
		if err != nil {
			c.fail("dead letter at %d/%d: %v", r.Partition, r.Offset, err)
			continue
		}
		a.Reasons[l.Reason]++
		got[letter{correlationID(r), l.Reason}]++
	}
	compare(a, &c, a.want.Letters, got)
}

func (a *account) checkInput() {
	c := check{Name: "every event became one status or one dead letter"}
	if got := len(a.out.status) + len(a.out.letters); got < a.want.In || a.exact && got > a.want.In {
		c.fail("%d events came in, %d statuses and %d dead letters went out",
			a.want.In, len(a.out.status), len(a.out.letters))
	}
	a.Checks = append(a.Checks, c)
}

func (a *account) checkPharmacyOrders() {
	c := check{Name: "each routed event reached its pharmacy once"}
	got := map[string]int{}
	for _, r := range a.out.pharmacyOrders {
		got[correlationID(r)]++
		o, err := PharmacyOrders.Value().Decode(r.Value)
		switch {
		case err != nil:
			c.fail("record at %d/%d: %v", r.Partition, r.Offset, err)
		case string(r.Key) != string(o.PharmacyID):
			c.fail("order %s of pharmacy %q is under the key %q", o.ID, o.PharmacyID, r.Key)
		case o.PharmacyName == "":
			a.Unnamed++
		case o.PharmacyName != a.want.Names[o.PharmacyID].Name:
			c.fail("order %s has the name %q for pharmacy %q", o.ID, o.PharmacyName, o.PharmacyID)
		}
	}
	compare(a, &c, a.want.Routed, got)
}

func (a *account) checkStatus() {
	c := check{Name: "each whole event updated its order's status once"}
	final := check{Name: "the last status of each order is that of its latest event"}
	got, last := map[string]int{}, map[string]Order{}
	for _, r := range a.out.status {
		got[correlationID(r)]++
		o, err := OrderStatus.Value().Decode(r.Value)
		if err != nil {
			c.fail("record at %d/%d: %v", r.Partition, r.Offset, err)
		}
		last[string(r.Key)] = o
	}
	compare(a, &c, a.want.Accepted, got)
	if len(last) != len(a.want.Status) {
		final.fail("there are %d orders, %d were expected", len(last), len(a.want.Status))
	}
	for key, want := range a.want.Status {
		if last[key] != want {
			final.fail("%s is %+v, expected %+v", key, last[key], want)
		}
	}
	a.Checks = append(a.Checks, final)
}

// checkVolumes reads the proof in the counts themselves: a window that is counted exactly once goes 1, 2, 3 and so
// on, and its last count is the number of orders in it. An order that is in no window came late.
func (a *account) checkVolumes() {
	steps := check{Name: "the counts of each window are 1, 2, 3, ... without a gap or a repeat"}
	sums := check{Name: "every new order is in the count of a window, or came late"}
	key := serde.TimeWindowed(serde.String(), volumeWindow)
	last := map[stream.Windowed[string]]int64{}
	for _, r := range a.out.volumes {
		w, err := key.Decode(r.Key)
		if err != nil {
			steps.fail("record at %d/%d: %v", r.Partition, r.Offset, err)
			continue
		}
		n, err := Volumes.Value().Decode(r.Value)
		if a.exact && (err != nil || n != last[w]+1) {
			steps.fail("%v goes from %d to %d at %d/%d", w, last[w], n, r.Partition, r.Offset)
		}
		last[w] = n
	}
	total := int64(0)
	for _, n := range last {
		total += n
	}
	a.Late = a.want.Created - int(total)
	if a.exact && a.Late < 0 {
		sums.fail("%d new orders came in, the windows hold %d", a.want.Created, total)
	}
	a.Checks = append(a.Checks, steps, sums)
	if !a.want.Settled || !a.exact {
		return
	}
	exactly := check{Name: "each window holds the orders that the data put into it"}
	if a.Late != a.want.Late {
		exactly.fail("%d came late, expected %d", a.Late, a.want.Late)
	}
	for w, n := range a.want.Volumes {
		if last[w] != n {
			exactly.fail("%v holds %d, expected %d", w, last[w], n)
		}
	}
	a.Checks = append(a.Checks, exactly)
}

func (a *account) checkAlerts() {
	c := check{Name: "each fourth order within 24 hours raised one alert"}
	got := map[alarm]int{}
	for _, r := range a.out.alerts {
		v, err := Alerts.Value().Decode(r.Value)
		switch {
		case err != nil:
			c.fail("record at %d/%d: %v", r.Partition, r.Offset, err)
		case len(v.OrderIDs) != 4 || v.Last-v.First >= 24*60*60*1000 || !slices.Contains(v.OrderIDs, v.OrderID):
			c.fail("the alert %+v is none", v)
		}
		got[alarm{v.Therapy, v.OrderID}]++
	}
	if !a.want.Settled || !a.exact { // which order is the fourth hangs on the pace of the tasks
		for k, n := range got {
			if n > 1 && a.exact {
				c.fail("%v is there %d times", k, n)
			}
		}
		a.Checks = append(a.Checks, c)
		return
	}
	compare(a, &c, a.want.Alarms, got)
}

// compare adds the check that everything occurs as often as it must.
func compare[K comparable](a *account, c *check, want, got map[K]int) {
	for k, n := range want {
		if got[k] < n {
			c.fail("%v is there %d times, expected %d", k, got[k], n)
		}
	}
	for k, n := range got {
		switch {
		case want[k] == 0:
			c.fail("%v is not expected", k)
		case n > want[k] && a.exact:
			c.fail("%v is there %d times, expected %d", k, n, want[k])
		case n > want[k]:
			c.Repeated += n - want[k]
		}
	}
	a.Checks = append(a.Checks, *c)
}

// maxProblems is how many problems a check tells in full.
const maxProblems = 5

func (c *check) fail(format string, args ...any) {
	switch len(c.Problems) {
	case maxProblems:
		c.Problems = append(c.Problems, "and more")
	case maxProblems + 1:
	default:
		c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
	}
}

func headersOf(r *kgo.Record) []stream.Header {
	var out []stream.Header
	for _, h := range r.Headers {
		out = append(out, stream.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

func correlationID(r *kgo.Record) string { return header(headersOf(r), headerCorrelationID) }

// reasons are the reasons of the dead letters, sorted.
func (a *account) reasons() []string { return slices.Sorted(maps.Keys(a.Reasons)) }
