package serde

// A Serde turns values of T into bytes and back.
//
// A Serde is safe for concurrent use: one instance serves every task of an application.
type Serde[T any] interface {
	// Append writes the encoding of v behind dst and returns the extended slice. It must not keep dst, nor read v
	// after it returned. An error leaves the content behind len(dst) unspecified.
	//
	// Where dst is nil and the encoding is empty, the result may be nil. A caller for whom nil means null passes an
	// empty slice that is not nil.
	Append(dst []byte, v T) ([]byte, error)

	// Decode reads one value that fills b exactly: trailing bytes are an error. The result must not share memory
	// with b, whose bytes are reused once Decode returned. Decode never panics on foreign bytes, and allocates in
	// proportion to len(b) at most.
	Decode(b []byte) (T, error)
}

// A NullSerde has a value of T that stands for Kafka's null. Where a topic's serde is one, user functions see that
// value; elsewhere a null passes them by as a tombstone (see package stream).
//
// Decode(nil) of such a serde returns the value that stands for null. An empty slice that is not nil is an encoding
// of zero bytes, and no null.
type NullSerde[T any] interface {
	Serde[T]
	// IsNull tells whether v stands for null: a sink writes such a value as null, without calling Append.
	IsNull(v T) bool
}

// A Role says which part of a record a serde encodes.
type Role uint8

const (
	// Key is the role of a record's key.
	Key Role = iota + 1
	// Value is the role of a record's value.
	Value
)

// A Binder is a serde that depends on the topic: schema-registry subjects do. Bind is called once per task and
// topic while a task is wired; the serde that it returns is used in its place.
type Binder[T any] interface {
	Bind(topic string, role Role) (Serde[T], error)
}

// A Partitioned serde encodes more than decides about a record's partition: a windowed key goes where its plain key
// goes.
type Partitioned interface {
	// PartitionKey returns the part of an encoded key that decides about the partition. It shares memory with
	// encoded.
	PartitionKey(encoded []byte) []byte
}
