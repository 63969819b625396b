package serde

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// maxJSON bounds an encoding in both directions: what Append writes, Decode reads. It is far above what brokers
// accept.
const maxJSON = 64 << 20

// JSON returns the serde of T in the JSON of encoding/json, with its struct tags, marshalers and rules.
//
// Append writes no space and leaves <, > and & as they are. Equal values have equal encodings, maps included, as
// long as T's own marshalers keep to that; only then is T fit for a key.
//
// Decode is strict about the text and lenient about its content: bytes behind the value are an error, object fields
// that T does not have are ignored, so that a schema can grow. A JSON null is an error unless T is a pointer, a
// map, a slice or an interface, for it would silently be T's zero value. Append refuses values that T's marshaler
// writes as null by the same rule. Fields inside of T follow encoding/json. A JSON null is not Kafka's null: wrap
// the serde in Nullable for that.
//
// Encodings of more than 64 MiB are an error. The memory of a decoded value is at most the input's length times a
// factor that T decides.
func JSON[T any]() Serde[T] {
	t := reflect.TypeFor[T]()
	s := jsonSerde[T]{name: t.String()}
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		s.hasNil = true
	}
	return s
}

type jsonSerde[T any] struct {
	name   string
	hasNil bool
}

func (s jsonSerde[T]) Append(dst []byte, v T) ([]byte, error) {
	w := appender{buf: dst}
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	// The address makes marshalers with a pointer receiver count. By value they are skipped without an error.
	if err := enc.Encode(&v); err != nil {
		return dst, fmt.Errorf("encode %s as json: %w", s.name, err)
	}
	// The encoder ends each value with a newline.
	out := w.buf[:len(w.buf)-1]
	if err := s.check(out[len(dst):]); err != nil {
		return dst, fmt.Errorf("encode %s as json: %w", s.name, err)
	}
	return out, nil
}

func (s jsonSerde[T]) Decode(b []byte) (T, error) {
	var v, zero T
	if err := s.check(b); err != nil {
		return zero, fmt.Errorf("decode %s from json: %w", s.name, err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return zero, fmt.Errorf("decode %s from json: %w", s.name, err)
	}
	return v, nil
}

// check applies to both directions, so that nothing is written that could not be read again.
func (s jsonSerde[T]) check(b []byte) error {
	if len(b) > maxJSON {
		return fmt.Errorf("want at most %d bytes, got %d", maxJSON, len(b))
	}
	if !s.hasNil && string(bytes.Trim(b, " \t\r\n")) == "null" {
		return fmt.Errorf("null is no value of %s", s.name)
	}
	return nil
}

// An appender is an io.Writer onto the end of a buffer.
type appender struct{ buf []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.buf = append(a.buf, p...)
	return len(p), nil
}
