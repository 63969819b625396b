package dlq

import (
	"errors"
	"fmt"
	"time"
)

// A RetryPolicy tries a record again a number of times. By itself it fails after the last retry; Then says otherwise.
type RetryPolicy struct {
	retries int
	backoff Backoff
	next    Policy // nil: Fail
}

// Retry tries a record that failed n more times, so that n+1 attempts are made in all; after the first attempt it waits
// b.Delay(1), after the second b.Delay(2), and so on. Then it fails, or what Then says.
//
// The record waits at the head of its partition: order is kept, and the partition makes no progress meanwhile, so that
// n and b bound how long a poisonous record holds up the others. What the attempt had caused is undone before the next
// one. Attempts are counted per record, not per node: a record that fails at two nodes in turn spends the retries of
// both. They are counted in memory: a restart, or a move of the task to another instance, begins again.
//
// Failures of the stages Decode and Encode are retried as well. Most are the same each time, but not all: a schema
// registry may answer nonsense for a while. Where it cannot be reached at all, no policy is asked (see the package's
// table). A Reject is never retried.
//
// A negative n, and a backoff that is not positive, are reported by Validate. A policy used in spite of it does not
// retry, or retries without a delay.
func Retry(n int, b Backoff) RetryPolicy { return RetryPolicy{retries: n, backoff: b} }

// Then returns a policy that decides as r while r has retries left, and as p afterwards. p sees the failure as it is,
// with all attempts counted. Retries add up: Retry(3, Constant(time.Second)).Then(Retry(2, Constant(time.Minute)))
// retries five times. A nil p is reported by Validate, and fails.
func (r RetryPolicy) Then(p Policy) Policy {
	if p == nil {
		p = missing{}
	}
	r.next = p
	return r
}

// Decide answers a Retry for the attempts 1 to n, and what the next policy says from then on.
func (r RetryPolicy) Decide(f *Failure) Decision { return r.decideAfter(0, f) }

// decideAfter decides where policies before this one have spent a number of retries.
//
// Invariant: spent < f.Attempts, or spent is 0. The sum cannot overflow.
func (r RetryPolicy) decideAfter(spent int, f *Failure) Decision {
	attempt := max(f.Attempts, 1) - spent
	if attempt <= r.retries {
		return Decision{Action: ActionRetry, Delay: r.backoff.Delay(attempt)}
	}
	switch next := r.next.(type) {
	case nil:
		return Decision{Action: ActionFail}
	case RetryPolicy:
		return next.decideAfter(spent+max(r.retries, 0), f)
	default:
		return next.Decide(f)
	}
}

// Validate reports everything that is wrong with r, its backoff and the policies behind it.
func (r RetryPolicy) Validate() error {
	var errs []error
	if r.retries < 0 {
		errs = append(errs, fmt.Errorf("retry a record: want 0 retries or more, got %d", r.retries))
	}
	if err := r.backoff.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("retry a record: %w", err))
	}
	return errors.Join(append(errs, Validate(r.next))...)
}

// Topics returns the topics that the policies behind r name.
func (r RetryPolicy) Topics() []string { return Topics(r.next) }

// missing stands for the policy that a Then was not given.
type missing struct{}

func (missing) Decide(*Failure) Decision { return Decision{Action: ActionFail} }

func (missing) Validate() error { return errors.New("retry a record: Then has no policy") }

// A Backoff says how long to wait before a retry. It is Constant or Exponential; the zero Backoff is not valid.
//
// No jitter is applied: the same attempt waits the same time, so that tests replay. A function that calls a service
// which many tasks share has to spread its calls itself.
type Backoff struct {
	first, limit time.Duration
}

// Constant waits d before each retry.
func Constant(d time.Duration) Backoff { return Backoff{first: d, limit: d} }

// Exponential waits first before the first retry, twice as long before each further one, and never longer than max.
func Exponential(first, max time.Duration) Backoff { return Backoff{first: first, limit: max} }

// Delay returns the time to wait before a retry, which is 1 for the first. It is never negative, and never longer than
// the limit; numbers below 1 count as 1.
func (b Backoff) Delay(retry int) time.Duration {
	const bits = 63 // of a time.Duration, without its sign
	if b.first <= 0 {
		return 0
	}
	doublings := max(retry, 1) - 1
	// Comparing against the limit shifted down, instead of the delay shifted up, cannot overflow.
	if doublings >= bits || b.first > b.limit>>doublings {
		return max(b.limit, 0)
	}
	return b.first << doublings
}

// Validate reports a delay that is not positive, and a limit below the first delay.
func (b Backoff) Validate() error {
	if b.first <= 0 {
		return fmt.Errorf("back off: want a positive delay, got %v", b.first)
	}
	if b.limit < b.first {
		return fmt.Errorf("back off: want a limit of %v, the first delay, or more, got %v", b.first, b.limit)
	}
	return nil
}
