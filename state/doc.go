// Package state keeps what a topology remembers: named, changelogged, ordered stores.
//
// A store is declared once, as a typed descriptor with a durable name and serdes, and used by that value everywhere: in the
// DSL, in processors, in tests and in queries.
//
//	var Seen = state.KeyValue("seen", serde.String(), serde.Int64())
//
// # What is committed, and nothing else
//
// The committed rows of a task's stores lie in one Engine, a DB, each store under a prefix of its own. Above it every store
// has an overlay: the rows that the current commit interval touched. Reads see the overlay first. At a commit each dirty row is
// encoded once, as one changelog record and one entry of one batch for the engine; the host of the task makes the changelog and the
// input offsets durable in Kafka first, and only then applies the batch. The engine therefore never holds what the log has not
// committed: a crash leaves an exact prefix of the changelog, and a restart replays its tail. An abort drops the overlay.
//
// # All or nothing
//
// What one source record writes is undone as a whole if the record fails anywhere: stores and clocks note the first change
// of a record in a Journal.
//
// # Rows and time
//
// Every row carries a timestamp, event time in Unix milliseconds: that of the record that wrote it, or of the operator's result.
//
// Stores belong to one task and are for its goroutine only.
package state
