package dlq_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/dlq"
)

func ExampleRetryPolicy_Then() {
	policy := dlq.Retry(3, dlq.Exponential(time.Second, time.Minute)).Then(dlq.Send())

	for attempt := 1; attempt <= 4; attempt++ {
		d := dlq.Resolve(policy, &dlq.Failure{
			Node: "enrich", Stage: dlq.Process, Attempts: attempt, Err: errors.New("service is busy"),
		})
		fmt.Println(attempt, d.Action, d.Delay)
	}
	// Output:
	// 1 retry 1s
	// 2 retry 2s
	// 3 retry 4s
	// 4 send 0s
}

func ExampleReject() {
	check := func(dose int) error {
		if dose <= 0 {
			return dlq.Reject("bad-dose", fmt.Errorf("want a positive dose, got %d", dose))
		}
		return nil
	}

	failure := &dlq.Failure{Node: "check", Stage: dlq.Process, Attempts: 1, Err: check(-2)}
	decision := dlq.Resolve(dlq.Fail(), failure)
	fmt.Println(decision.Action, decision.Reason)

	letter := dlq.NewLetter(failure, decision, "pharmacy",
		dlq.Origin{Topic: "prescriptions", Partition: 3, Offset: 1042}, time.UnixMilli(1_772_366_400_000))
	for _, h := range letter.AppendHeaders(nil) {
		fmt.Printf("%s: %s\n", h.Key, h.Value)
	}
	// Output:
	// send bad-dose
	// error-reason: bad-dose
	// error-message: bad-dose: want a positive dose, got -2
	// error-class: error
	// source-topic: prescriptions
	// source-partition: 3
	// source-offset: 1042
	// failure-timestamp: 1772366400000
	// application-id: pharmacy
	// node: check
	// stage: process
	// attempts: 1
}

func ExampleParse() {
	failure := &dlq.Failure{Node: "check", Stage: dlq.Decode, Attempts: 1, Err: errors.New("want 8 bytes, got 3")}
	letter := dlq.NewLetter(failure, dlq.Resolve(dlq.Send(), failure), "pharmacy",
		dlq.Origin{Topic: "prescriptions", Partition: 3, Offset: 1042}, time.UnixMilli(1_772_366_400_000))
	headers := letter.AppendHeaders([]dlq.Header{{Key: "trace", Value: []byte("t1")}})

	read, err := dlq.Parse(headers)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(read.Reason, read.Source, read.FailedAt.Format(time.RFC3339))
	// Output: deserialization-failed {prescriptions 3 1042} 2026-03-01T12:00:00Z
}
