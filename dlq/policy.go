package dlq

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// An Action is what becomes of a record that failed. The zero Action is ActionFail.
type Action uint8

const (
	// ActionFail stops the application with the failure.
	ActionFail Action = iota
	// ActionSkip undoes what the record caused and drops it, counted.
	ActionSkip
	// ActionSend undoes what the record caused and writes it to a dead-letter topic, counted.
	ActionSend
	// ActionRetry undoes what the record caused and tries it again after a delay.
	ActionRetry
)

// String returns the action's name: fail, skip, send or retry.
func (a Action) String() string {
	switch a {
	case ActionFail:
		return "fail"
	case ActionSkip:
		return "skip"
	case ActionSend:
		return "send"
	case ActionRetry:
		return "retry"
	default:
		return fmt.Sprintf("action %d", uint8(a))
	}
}

// A Decision is the answer of a Policy. The zero Decision fails.
type Decision struct {
	// Action is what becomes of the record.
	Action Action
	// Reason is, of a Send, the letter's error-reason; empty asks for the default of the failure's stage. Of a Fail
	// that Resolve chose because the policy misbehaved, it says how.
	Reason string
	// Topic is, of a Send, the topic that the letter goes to; empty stands for the dead-letter topic of the record's
	// source.
	Topic string
	// Delay is, of a Retry, the time until the next attempt.
	Delay time.Duration
}

// A Policy decides about failures.
//
// Decide is a pure function of the failure: the same failure gets the same decision, so that tests replay. It is
// called concurrently by the tasks of an application. It must neither change f nor keep it, and never sees an ErrSkip
// or a Reject.
//
// A Policy may also have the methods Validate() error, which Validate calls, and Topics() []string, which Topics calls.
type Policy interface {
	Decide(f *Failure) Decision
}

// Fail stops the application at the first failure. It is the default.
func Fail() Policy { return fixed{Action: ActionFail} }

// Skip drops records that fail, counted.
func Skip() Policy { return fixed{Action: ActionSkip} }

// Send writes records that fail to the dead-letter topic of their source.
func Send() Policy { return fixed{Action: ActionSend} }

// SendTo writes records that fail to the given topic. It says nothing about a Reject, which goes to the dead-letter
// topic of the record's source. A name that Kafka does not accept is reported by Validate.
func SendTo(topic string) Policy { return sendTo(topic) }

// fixed is a policy that decides the same about every failure.
type fixed Decision

func (d fixed) Decide(*Failure) Decision { return Decision(d) }

// sendTo is the policy of SendTo: the name of its topic.
type sendTo string

func (t sendTo) Decide(*Failure) Decision { return Decision{Action: ActionSend, Topic: string(t)} }

func (t sendTo) Topics() []string { return []string{string(t)} }

func (t sendTo) Validate() error {
	if err := checkTopic(string(t)); err != nil {
		return fmt.Errorf("send dead letters to %q: %w", string(t), err)
	}
	return nil
}

// Resolve is the one decision about a failure. A Reject in the chain of f.Err is sent with its reason, whatever p says;
// everything else is p's to decide, and a nil p fails.
//
// In the result, a Send has a reason, a Retry has a delay of zero or more, and fields that do not belong to the action
// are zero. A policy that panics, or answers with an unknown action, fails; the Reason then says so. Resolve never
// panics and is safe for concurrent use.
//
// REQUIRES: IsSkip(f.Err) is false: a skip is no failure.
func Resolve(p Policy, f *Failure) (d Decision) {
	// The methods Is, As and Unwrap of an error are user code just as the policy is: all of it runs under this recover.
	defer func() {
		if v := recover(); v != nil {
			d = Decision{Action: ActionFail, Reason: fmt.Sprintf("decide about a failure: panic: %v", v)}
		}
	}()
	if r, ok := errors.AsType[*RejectError](f.Err); ok {
		return Decision{Action: ActionSend, Reason: cmp.Or(r.Reason, defaultReject)}
	}
	if p == nil {
		return Decision{Action: ActionFail}
	}
	d = p.Decide(f)
	switch d.Action {
	case ActionFail, ActionSkip:
		return Decision{Action: d.Action}
	case ActionSend:
		return Decision{Action: ActionSend, Reason: cmp.Or(d.Reason, defaultReason(f.Stage)), Topic: d.Topic}
	case ActionRetry:
		return Decision{Action: ActionRetry, Delay: max(d.Delay, 0)}
	default:
		reason := fmt.Sprintf("decide about a failure: policy %T answered %v", p, d.Action)
		return Decision{Action: ActionFail, Reason: reason}
	}
}

// Validate reports what is wrong with a policy before any record meets it: a negative number of retries, a backoff
// that is not positive, a missing policy behind Then, a topic's name that Kafka does not accept. A policy without a
// Validate method, and nil, are valid. Validate never panics.
func Validate(p Policy) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("validate policy %T: panic: %v", p, v)
		}
	}()
	if v, ok := p.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// Topics returns the topics that a policy names itself, so that a start-up check can look for them; not the default
// dead-letter topics, which every policy may need because of Reject. It is empty for a policy without a Topics
// method, or with one that panics.
func Topics(p Policy) (topics []string) {
	defer func() {
		if recover() != nil {
			topics = nil
		}
	}()
	if t, ok := p.(interface{ Topics() []string }); ok {
		return t.Topics()
	}
	return nil
}

// defaultReason is the error-reason of a letter that nobody gave one.
func defaultReason(s Stage) string {
	switch s {
	case Decode:
		return "deserialization-failed"
	case Encode:
		return "serialization-failed"
	default:
		return "processing-failed"
	}
}
