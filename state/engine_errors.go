package state

import "errors"

var (
	// ErrClosed is the error of every call to an engine after its Close.
	ErrClosed = errors.New("engine is closed")

	// ErrInUse is the error of OpenPebble if the directory is open already, in this process or in another.
	ErrInUse = errors.New("directory is in use")

	// ErrCorrupt is in the error of every engine call that found damaged files. The directory may be removed: its
	// content is rebuilt from the changelogs.
	ErrCorrupt = errors.New("state is corrupt")

	// errBatchDone is the error of every call to a batch after Apply or Discard, but of Discard.
	errBatchDone = errors.New("batch is applied or discarded already")

	// errEmptyKey is the error of Put: Pebble does not bear the empty key. See notEmpty.
	errEmptyKey = errors.New("key is empty")
)
