package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// print writes the account as a table. took is the time that the pipeline ran, and processed the number of orders
// that it did in it.
func (a *account) print(w io.Writer, prefix string, processed int64, took time.Duration) {
	row := func(name string, n int, note string) {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %-34s %9d  %s", name, n, note), " "))
	}
	fmt.Fprintln(w)
	row(prefix+Orders.Name(), a.want.In, "events in")
	topics := outputTopics(prefix)
	row(topics[1], len(a.out.pharmacyOrders),
		fmt.Sprintf("%d of them without a name: the pharmacy was not known, or not yet", a.Unnamed))
	row(topics[2], len(a.out.status), fmt.Sprintf("of %d orders", len(a.want.Status)))
	row(topics[3], len(a.out.volumes), fmt.Sprintf("of %d new orders; the other %d came late", a.want.Created, a.Late))
	row(topics[4], len(a.out.alerts), "alerts")
	row(topics[0], len(a.out.letters), "dead letters, by reason:")
	for _, reason := range a.reasons() {
		row("  "+reason, a.Reasons[reason], "")
	}
	if processed > 0 && took > 0 {
		row("events per second", int(float64(processed)/took.Seconds()),
			fmt.Sprintf("%d in %v", processed, took.Round(time.Millisecond)))
	}
	fmt.Fprintln(w)
	for _, c := range a.Checks {
		mark, note := "ok  ", ""
		if len(c.Problems) > 0 {
			mark, note = "FAIL", "\n         "+strings.Join(c.Problems, "\n         ")
		}
		if c.Repeated > 0 {
			note = fmt.Sprintf(" (%d repeated)", c.Repeated) + note
		}
		fmt.Fprintf(w, "  %s %s%s\n", mark, c.Name, note)
	}
}
