package dlq

import (
	"errors"
	"fmt"
)

// A Stage is the part of a record's way in which it failed.
type Stage string

const (
	// Decode is the reading of a record's key, value or timestamp from a topic.
	Decode Stage = "decode"
	// Process is a user function, or an operator around it.
	Process Stage = "process"
	// Encode is the writing of a key or value for a sink, a repartition topic or a store.
	Encode Stage = "encode"
)

// A Failure is the error of one record at one node. It is what a Policy decides about.
type Failure struct {
	// Node is the name of the node that failed.
	Node string
	// Stage is the part of the record's way in which it failed.
	Stage Stage
	// Attempts counts how often the record was tried, this time included: 1 at the first failure.
	Attempts int
	// Err is the cause. It is a *PanicError where user code panicked.
	Err error
}

// Error names the node, the stage and the cause.
func (f *Failure) Error() string { return fmt.Sprintf("%s at node %q: %v", f.Stage, f.Node, f.Err) }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// A PanicError is a panic of user code, caught.
type PanicError struct {
	// Value is what the code panicked with.
	Value any
	// Stack is the stack of the panicking goroutine.
	Stack []byte
}

// Error gives the panic's value; the stack is left to the log.
func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Unwrap returns the panic's value if it was an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// ErrSkip drops the record at the node whose function returned it, counted: a filter's answer, not a failure. What the
// same source record caused elsewhere stays.
var ErrSkip = errors.New("skip this record")
