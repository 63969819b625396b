// Package runtime runs a topology on Kafka.
//
//	app, err := runtime.New(top, runtime.Config{ApplicationID: "orders", Brokers: []string{"localhost:9092"}})
//	...
//	err = app.Run(ctx) // until ctx ends
//
// # One instance
//
// An instance is one member of the application's consumer group, however many workers it has. One goroutine fetches; each worker, a goroutine with a
// producer of its own, runs some of the tasks and commits them together. A slow user function holds up the tasks of its worker, never the
// polling or the heartbeats.
//
// # A commit, exactly once
//
//  1. Each task writes one changelog record per row that changed. Outputs and dead letters were produced before, in the same transaction.
//  2. The producer is flushed. Any record that was refused aborts.
//  3. The offsets of all tasks of the worker, with their clocks as metadata, join the transaction, fenced by the group's generation.
//  4. The transaction ends.
//  5. Only then each task's batch is applied to its state, with the changelog offsets in it.
//
// A crash anywhere leaves local state that is an exact prefix of the changelog; a restart replays the tail. After an abort the tasks
// are wired anew on their stores, from the committed offsets on.
//
// # Scaling
//
// Instances with the same application id share its tasks. Tasks move by the cooperative protocol: those that stay run on meanwhile.
package runtime
