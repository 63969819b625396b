package stream

import (
	"fmt"

	"github.com/weirstream/weir/serde"
)

// bindTo is the serde for a topic or store.
func bindTo[T any](s serde.Serde[T], topic string, role serde.Role) (serde.Serde[T], error) {
	b, ok := s.(serde.Binder[T])
	if !ok {
		return s, nil
	}
	s, err := b.Bind(topic, role)
	if err != nil {
		return nil, fmt.Errorf("bind the serde of %q: %w", topic, err)
	}
	return s, nil
}

// bindAs is a serde for a store beside another one, whose name a schema registry knows.
type bindAs[T any] struct {
	serde.Serde[T]
	store string
}

// Bind implements serde.Binder.
func (s bindAs[T]) Bind(_ string, role serde.Role) (serde.Serde[T], error) {
	return bindTo(s.Serde, s.store, role)
}
