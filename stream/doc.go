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
// Package runtime runs the topology on Kafka, and package streamtest runs it in a test.
//
// # What there is
//
// A [Stream] is records, a [Table] is the last value of each key and every update of it. A [Builder] reads topics as either, or as a [GlobalTable],
// which every instance holds in full, or as a [VersionedTable], which knows the versions of its rows.
//
//   - Records one by one: Filter, Peek, ForEach, MapValues, FlatMapValues, Map, FlatMap, SelectKey; MapValuesAsync for functions that wait for a service.
//   - Forks and joints: Split, Branch, Merge. Topics: Repartition, To, ToDynamic.
//   - Aggregations: GroupByKey or GroupBy, then Count, Reduce, Aggregate; Cogroup for several streams together. In between, Window ([Tumbling],
//     [Hopping], [Sliding], [Unlimited]) or SessionWindow ([Session]). Results come [OnUpdate] or [OnClose].
//   - Tables: Filter, MapValues, ProcessValues, Materialize, ToStream, Stream.ToTable; GroupBy, whose rows enter and leave groups; Suppress, which holds
//     updates back.
//   - Joins: of two streams within a time ([Between]): Join, LeftJoin, OuterJoin; of a stream and a table: JoinTable, JoinGlobal, JoinVersioned; of
//     two tables: Join, LeftJoin, OuterJoin by the same key, JoinForeign by a key that the row names. All but OuterJoin have a Left form.
//   - Processors of your own, with stores and timers: Process, ProcessValues.
//
// Options go behind the arguments: the type of each says which fit. [Named] and [OnError] fit wherever there are options.
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
// Each operator's comment says what becomes of the key and of the time, which state there is, which errors, and what nulls do.
//
// # Time
//
// Time is event time: that of the records. Windows close, joins give up waiting and suppressed updates are sent when a later record shows that their time
// has come, or when a source has been quiet for as long as [IdleAfter] says. The clocks are committed with the offsets: a restart changes nothing.
//
// A method that takes a store is generic in the descriptor (Count[S state.KeyValueSpec[K, int64]](st S)). S is always inferred and is that one type: it
// is there so that a program compiles the operators that it uses, and not all of them for each of its types.
//
// # Nulls
//
// A null value is a tombstone, a flag of the record. Where the type's serde is nullable (serde.Nullable), or a function returned a nil pointer,
// functions see nil. Elsewhere Filter, Peek, Merge, MapValues, Repartition and To pass a tombstone on uncalled, so that a delete reaches the
// table or sink downstream; operators that need the value (Map, SelectKey, FlatMap, joins, aggregations) drop it, counted. A record without a key
// shows functions the zero value of its type, and a sink writes null again. Functions of tables never see a deleted row.
package stream
