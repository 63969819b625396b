// Package state keeps what a topology remembers: named, changelogged, ordered stores.
//
// A store is declared once, as a typed descriptor with a durable name and serdes, and used by that value everywhere: in the
// DSL, in processors and in tests.
//
//	var Seen = state.KeyValue("seen", serde.String(), serde.Int64())
//
// The kinds are KeyValue, Window (with one row per key and start, or with duplicates), Session, Versioned, LRU, Buffer and JoinBuffer; Join describes what
// a join of two streams keeps. A processor that declares a descriptor opens the task's typed store with it: Seen.Open(node). Loops over a store see it as
// at their beginning, and may change it.
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
// Window, session and versioned stores have a clock and a retention: what is older is not readable, and leaves. Keys are compared, and rows ordered, as the
// unsigned bytes of the keys' encodings.
//
// # Who may use a store
//
// Stores belong to one task and are for its goroutine only. The store of a global table belongs to the instance, and tasks read what is committed
// of it: see KeyValueSpec.View.
package state
