package topology

import "reflect"

// NilCheck returns a function that tells whether a value stands for null: a nil pointer does. It is nil for types that have none.
func NilCheck[V any]() func(V) bool {
	if reflect.TypeFor[V]().Kind() != reflect.Pointer {
		return nil
	}
	return func(v V) bool {
		var null V
		return any(v) == any(null)
	}
}
