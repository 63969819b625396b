// Package streamtest runs a topology in a test, without a broker: on the same engine as production, with time that the test moves.
//
//	d := streamtest.New(t, top)
//	orders := streamtest.Input(d, Orders)
//	counts := streamtest.Output(d, Counts)
//	orders.Send("order-1", Order{...}, at)
//	require.Equal(t, ..., counts.Read())
//
// A Send runs the topology until nothing is left to do, then commits, as a Kafka transaction would. With ManualCommit the test commits, and
// Crash drops exactly what it has not: rows, outputs, timers and what processors keep in fields. Restart goes on from what was committed.
//
// Topics have one partition unless Partitions says otherwise; there is one task per subtopology and partition.
//
// A Driver is for one goroutine. Everything that goes wrong fails the test, unless the method returns an error.
package streamtest
