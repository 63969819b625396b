// Package serde turns values into bytes and back.
//
// A [Serde] is what a topic, a repartition or a store needs to know about a Go type. One is given for the key and
// one for the value wherever bytes leave the program, so that the compiler checks what is read and written:
//
//	orders := stream.NewTopic("orders", serde.String(), serde.JSON[Order]())
//	totals := stream.NewTopic("totals-per-hour", serde.TimeWindowed(serde.String(), time.Hour), serde.Int64())
//
// # Compatibility
//
// String, Bytes, Int32, Int64, Float64, Bool, TimeWindowed and SessionWindowed write what the serializers of the
// same purpose in Apache Kafka and Kafka Streams write, byte for byte. Topics and changelogs can be shared with
// programs that use those. Uint64 has no counterpart there; JSON writes what encoding/json writes.
//
// # Bytes and their owners
//
// Append writes behind the bytes of a buffer that belongs to the caller, and forgets it. Decode reads bytes that
// belong to the caller and are overwritten later, so a decoded value has copies of what it needs. Neither a serde
// nor a value ever shares memory with a buffer. A serde of your own has to keep to that too.
//
// # Null
//
// Kafka tells a missing value, null, from a value of zero bytes. Null is no encoding: it is a property of the
// record, and neither Append nor Decode of an ordinary serde ever sees it. [Nullable] makes it a value, the nil
// pointer, where functions want to see it.
//
// # Order
//
// Stores order keys by their bytes, unsigned. Bytes, String and Uint64 keep the order of their values. Signed
// integers and floats do not: negative values sort behind positive ones, as they do in Kafka Streams.
//
// # Errors
//
// An error of Append or Decode belongs to the record and meets the policy of the operator. Only an error that
// [IsUnavailable] recognizes belongs to the world outside: the record is tried again until it succeeds.
package serde
