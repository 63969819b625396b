package serde

// Bytes returns the serde of raw bytes, compatible with Kafka's ByteArraySerializer.
//
// Decode copies; its result belongs to the caller and is never nil. It never fails. A nil slice is an encoding of
// zero bytes like an empty one, not a null: use Nullable to write nulls.
func Bytes() Serde[[]byte] { return bytesSerde{} }

type bytesSerde struct{}

func (bytesSerde) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }

func (bytesSerde) Decode(b []byte) ([]byte, error) { return append(make([]byte, 0, len(b)), b...), nil }
