package state

import "fmt"

// An EngineError says that a store cannot be read or written: a disk that fails or is full, or state that is damaged. It is never the
// fault of a record, and no policy absorbs it.
type EngineError struct {
	// Op is what was tried, Store the store's name.
	Op, Store string
	Err       error
}

// Error names the store.
func (e *EngineError) Error() string { return fmt.Sprintf("%s store %q: %v", e.Op, e.Store, e.Err) }

// Unwrap returns the cause.
func (e *EngineError) Unwrap() error { return e.Err }
