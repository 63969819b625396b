package serde

import "errors"

// Unavailable returns an error that says that a service which a serde needs, such as a schema registry, cannot be
// reached at the moment. It wraps err; Unavailable(nil) is nil.
//
// Such an error says nothing about the record. The runtime pauses the partition and tries again until the service
// answers; no policy sees the error, so an outage neither drops records nor fills the dead-letter topic. An answer
// that no retry changes, such as an unknown schema, is not Unavailable.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &unavailableError{err}
}

// IsUnavailable tells whether err is, or wraps, an error of Unavailable.
func IsUnavailable(err error) bool {
	var u *unavailableError
	return errors.As(err, &u)
}

type unavailableError struct{ err error }

func (u *unavailableError) Error() string { return "reach service of serde: " + u.err.Error() }

func (u *unavailableError) Unwrap() error { return u.err }
