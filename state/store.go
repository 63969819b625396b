package state

import "time"

// A Store is one task's instance of a store, as the task sees it. Users see the typed ones: KeyValueStore, WindowStore and so on.
type Store interface {
	// Info describes the store.
	Info() Info

	// Prepare encodes what changed since the last commit: one changelog record and one batch entry per dirty row, in the order
	// of first writes. The rows stay dirty until Committed.
	Prepare(w *Writer) error

	// Committed tells that what Prepare wrote is committed: dirty rows become clean, expired ones are dropped.
	Committed() error

	// Reset forgets everything that is not committed.
	Reset()

	// Restore applies one record of the changelog to b. A nil value is a delete.
	Restore(b Batch, key, value []byte, timestampMs int64) error

	// Pending is the number of dirty rows, and their approximate size in bytes.
	Pending() (rows int, bytes int64)
}

// A Writer takes what a commit writes.
type Writer struct {
	// Changelog takes one record for the store's changelog; value is nil for a delete. It must copy the slices. It is nil
	// for a store without a changelog.
	Changelog func(key, value []byte, timestampMs int64) error
	batch     Batch
	key, row  []byte
}

// An Env is what a task gives its stores.
type Env struct {
	// Journal undoes the writes of a failed record.
	Journal *Journal
	// Clock returns the task's clock of that name.
	Clock func(name string) *Clock
	// Time is the event time of the record in process: the timestamp of rows put without one.
	Time func() time.Time
	// CacheBytes bounds the clean rows that a store keeps decoded above its engine; 0 keeps none.
	CacheBytes int64
	table      table
}

// A Row is a value with its timestamp.
type Row[V any] struct {
	Value     V
	Timestamp time.Time
}

// An Entry is a key with its row, as a range read yields it.
type Entry[K, V any] struct {
	Key       K
	Value     V
	Timestamp time.Time
}

func fromMs(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
