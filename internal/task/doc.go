// Package task runs one task: a set of subtopologies at one partition. It is a deterministic machine without goroutines, sockets or a clock
// of its own; the runtime, the test driver and simulations drive the same one.
//
// # The driver's loop
//
//	t, err := task.Open(config)       opens the stores
//	t.Restore(...)                    while a changelog is ahead of a store
//	t.Start(offsets, clocks)          wires the graph
//	t.Add(topic, raws)                queues what a consumer delivered
//	t.Step(now)                       one record, all its effects or none
//	t.Tick(now)                       timers of wall time
//	c, err := t.Prepare()             changelog records out, offsets and a batch in c
//	... make outputs and c.Offsets durable, together ...
//	t.Committed(c, checkpoints)       only now the stores change
//
// or, where making durable failed, Rollback: the task is then as it was after its last commit.
//
// # All or nothing
//
// The outputs of a record leave the task when it is done, and its writes to stores and clocks can be undone until then. A
// failure anywhere undoes them; then the policy decides (failure.go, the only place).
//
// A Task is for one goroutine.
package task
