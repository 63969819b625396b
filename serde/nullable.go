package serde

import (
	"errors"
	"fmt"
)

// Nullable returns the serde of *T in which nil stands for Kafka's null; other pointers are encoded as s encodes
// what they point to.
//
// Decode(nil) returns nil. Every other slice, an empty one included, is decoded by s, into a fresh T. Append of nil
// is an error: a sink asks IsNull and writes a null instead.
//
// The result is a Binder where s is one, and Partitioned where s is.
func Nullable[T any](s Serde[T]) NullSerde[*T] {
	n := nullable[T]{inner: s}
	b, binds := s.(Binder[T])
	p, partitions := s.(Partitioned)
	switch {
	case binds && partitions:
		return struct {
			nullableBinder[T]
			Partitioned
		}{nullableBinder[T]{n, b}, p}
	case binds:
		return nullableBinder[T]{n, b}
	case partitions:
		return struct {
			nullable[T]
			Partitioned
		}{n, p}
	default:
		return n
	}
}

type nullable[T any] struct{ inner Serde[T] }

func (n nullable[T]) Append(dst []byte, v *T) ([]byte, error) {
	if v == nil {
		return dst, errors.New("encode nil pointer: null has no encoding")
	}
	return n.inner.Append(dst, *v)
}

func (n nullable[T]) Decode(b []byte) (*T, error) {
	if b == nil {
		return nil, nil
	}
	v, err := n.inner.Decode(b)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

func (n nullable[T]) IsNull(v *T) bool { return v == nil }

// A nullableBinder is a type of its own, so that a serde counts as a Binder only where there is something to bind.
type nullableBinder[T any] struct {
	nullable[T]
	binder Binder[T]
}

func (n nullableBinder[T]) Bind(topic string, role Role) (Serde[*T], error) {
	bound, err := n.binder.Bind(topic, role)
	if err != nil {
		return nil, fmt.Errorf("bind nullable serde to topic %q: %w", topic, err)
	}
	return Nullable(bound), nil
}
