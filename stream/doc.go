// Package stream holds the words of a stream program: typed sources, operators and sinks that build a topology.
//
//	b := stream.NewBuilder()
//	b.Stream(Orders).
//		Filter(active).
//		GroupBy(pharmacyOf, ByPharmacy).
//		Count(OrdersPerPharmacy).
//		ToStream().
//		To(Counts)
//	top, err := b.Build()
//
// # Rules
//
// What survives a restart has a name and serdes: topics, repartitions and stores are typed descriptors, declared once. Nothing durable is ever
// named by the position of an operator.
//
// There are no hidden topics. An operator that changes the key marks the stream; one that needs records partitioned by key refuses such
// a stream in Build, naming both lines, until a Repartition stands between them.
//
// Functions are pure by default. Where one may fail, does I/O or needs the record's metadata there is one Try form; its context gives Metadata
// and ends when the task must stop. A panic is caught and treated as the function's error.
//
// An error decides the fate of the record: dlq.Reject sends it to the dead-letter topic, ErrSkip drops it at this operator, any other meets the
// operator's OnError policy, else the builder's, else dlq.Fail. What a source record caused is all or nothing: a failure undoes it everywhere
// before the policy decides. Nothing is dropped without a counter.
//
// # Nulls
//
// A null value is a tombstone, a flag of the record. Where the type's serde is nullable (serde.Nullable), or a function returned a nil pointer,
// functions see nil. Elsewhere Filter, Peek, Merge, MapValues, Repartition and To pass a tombstone on uncalled, so that a delete reaches the
// table or sink downstream; operators that need the value (Map, SelectKey, FlatMap, joins, aggregations) drop it, counted. A record without a key
// shows functions the zero value of its type, and a sink writes null again.
package stream
