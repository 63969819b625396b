package dlq

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// plainClass is the class of an error that is text and no more.
const plainClass = "error"

// messageOf returns the text of an error. Error is a user's method, and panics for one where a function returned a nil
// pointer of its error type: a letter says so instead of taking the application down.
func messageOf(err error) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("read the message of a %T: panic: %v", err, v)
		}
	}()
	if err == nil {
		return ""
	}
	return err.Error()
}

// classOf returns the class of an error, as Letter.Class defines it.
func classOf(err error) (class string) {
	defer func() {
		if recover() != nil {
			class = fmt.Sprintf("%T", err)
		}
	}()
	if _, ok := errors.AsType[*PanicError](err); ok {
		return "panic"
	}
	if class := innermost(err); class != "" {
		return class
	}
	return plainClass
}

// innermost returns the type of the deepest error that is more than text, or nothing.
func innermost(err error) string {
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if class := innermost(e.Unwrap()); class != "" {
			return class
		}
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			if class := innermost(cause); class != "" {
				return class
			}
		}
	}
	if err == nil || onlyText(err) {
		return ""
	}
	return reflect.TypeOf(err).String()
}

// onlyText tells whether an error's type says nothing about what went wrong.
func onlyText(err error) bool {
	switch err.(type) {
	case *Failure, *RejectError:
		return true
	}
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == "errors" || t.PkgPath() == "fmt"
}

// cutMarker ends a text that was cut.
const cutMarker = "... [cut]"

// clip makes s valid UTF-8 of at most limit bytes. It costs in proportion to the limit, not to the length of s.
func clip(s string, limit int) string {
	limit = max(limit, 0)
	cut := len(s) > limit
	if cut {
		s = s[:boundary(s, limit)]
	}
	// A broken byte becomes three: the repair may make s too long again.
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if !cut && len(s) <= limit {
		return s
	}
	if limit < len(cutMarker) {
		return s[:boundary(s, min(limit, len(s)))]
	}
	return s[:boundary(s, min(limit-len(cutMarker), len(s)))] + cutMarker
}

// boundary returns the last position up to n where a character of s begins, or n itself where s is no text there.
func boundary(s string, n int) int {
	for i := n; i > n-utf8.UTFMax && i > 0 && i < len(s); i-- {
		if utf8.RuneStart(s[i]) {
			return i
		}
	}
	return n
}
