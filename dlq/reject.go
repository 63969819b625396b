package dlq

import (
	"cmp"
	"errors"
)

// defaultReject is the reason of a Reject without one.
const defaultReject = "rejected"

// A RejectError is a function's own decision that its record belongs into the dead-letter topic. It is made by Reject,
// and found in a chain of errors by errors.As or errors.AsType.
type RejectError struct {
	// Reason becomes the letter's error-reason.
	Reason string
	// Err is the cause, or nil.
	Err error
}

// Reject returns an error that sends the record to the dead-letter topic of its source, whatever policy is in force,
// without a retry. It may be wrapped; of several in one chain the outermost counts.
//
// The reason is a word for a class of failures, to count and to select letters by: "unknown-patient", not a sentence.
// An empty one becomes "rejected". err is the cause, and may be nil.
func Reject(reason string, err error) error {
	return &RejectError{Reason: cmp.Or(reason, defaultReject), Err: err}
}

// Error returns the reason and, behind it, the cause.
func (r *RejectError) Error() string {
	if r.Err == nil {
		return r.Reason
	}
	return r.Reason + ": " + r.Err.Error()
}

// Unwrap returns the cause, which may be nil.
func (r *RejectError) Unwrap() error { return r.Err }

// IsSkip tells whether err asks to drop the record where it is: ErrSkip is in its chain, and neither a Reject nor a
// panic is. An error whose own methods panic is no skip. A caller asks IsSkip before it makes a Failure out of err.
func IsSkip(err error) (skip bool) {
	defer func() {
		if recover() != nil {
			skip = false
		}
	}()
	if !errors.Is(err, ErrSkip) {
		return false
	}
	_, rejected := errors.AsType[*RejectError](err)
	_, panicked := errors.AsType[*PanicError](err)
	return !rejected && !panicked
}
