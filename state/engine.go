package state

// An Engine keeps ordered bytes: what the stores of one task have committed. Keys compare as unsigned bytes.
//
// An Engine is safe for concurrent readers beside one writer. Slices passed in are not kept; slices handed out are copies or
// are valid as long as the method says.
type Engine interface {
	// Get appends the value of key to dst. ok is false, and dst comes back as it was, if there is none.
	Get(dst, key []byte) (value []byte, ok bool, err error)

	// Iterate walks the keys of [lo, hi), upwards or, if reverse, downwards. A nil hi means to the end. The iterator sees the
	// engine as it is now, whatever is applied afterwards. It must be closed.
	Iterate(lo, hi []byte, reverse bool) (Iterator, error)

	// NewBatch returns an empty batch of writes for Apply.
	NewBatch() Batch

	// Apply makes the whole batch visible, or nothing of it: also after a crash. It does not make it durable; what a crash
	// takes away is always a suffix of the applied batches. The batch must not be used afterwards.
	Apply(b Batch) error

	// Drop removes the keys of [lo, hi) at once and cheaply, outside of any batch. It is idempotent, and its effect may be lost in
	// a crash. No iterator may be open on the range.
	Drop(lo, hi []byte) error

	// Flush makes everything applied so far durable.
	Flush() error

	// Close flushes and releases the engine. Iterators must be closed before.
	Close() error
}

// A Batch collects writes. Later writes of a key win. It copies what it is given, and is for one goroutine.
type Batch interface {
	Put(key, value []byte) error
	Delete(key []byte) error
	// DeleteRange removes the keys of [lo, hi) that the batch does not put afterwards.
	DeleteRange(lo, hi []byte) error
	// Size is the approximate number of bytes collected.
	Size() int
	// Discard releases a batch that is not applied.
	Discard() error
}

// An Iterator stands before its first key until Next is called. It is for one goroutine.
type Iterator interface {
	// Next moves on and tells whether there is a row.
	Next() bool
	// Key and Value are valid until the next call of Next or Close.
	Key() []byte
	Value() []byte
	// Err tells why Next returned false, nil at the end of the range.
	Err() error
	Close() error
}
