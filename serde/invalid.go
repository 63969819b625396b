package serde

// An invalid serde stands for one that could not be made. Constructors have no error result, so that descriptors
// read well; the error comes out while a task is wired, in Bind, or with the first record where nothing binds.
type invalid[T any] struct{ err error }

func (s invalid[T]) Append(dst []byte, _ T) ([]byte, error) { return dst, s.err }

func (s invalid[T]) Decode([]byte) (T, error) {
	var zero T
	return zero, s.err
}

func (s invalid[T]) Bind(string, Role) (Serde[T], error) { return nil, s.err }

func (s invalid[T]) PartitionKey(encoded []byte) []byte { return encoded }
