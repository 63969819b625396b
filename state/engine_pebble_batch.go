package state

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// maxBatchBytes is far below what Pebble can take (4 GiB), and far above what makes sense.
const maxBatchBytes = 1 << 30

// notEmpty returns the start of the same range that is not empty: there is no empty key. Pebble takes empty keys and
// starts of ranges, but does not keep to their order everywhere: rows below such a range deletion may vanish or come
// back.
func notEmpty(lo []byte) []byte {
	if len(lo) == 0 {
		return []byte{0}
	}
	return lo
}

type pebbleBatch struct {
	engine *pebbleEngine
	batch  *pebble.Batch // nil once applied or discarded
	open   bool          // it has deletions of ranges without an end, for endRanges
}

func (e *pebbleEngine) NewBatch() Batch { return &pebbleBatch{engine: e, batch: e.db.NewBatch()} }

func (b *pebbleBatch) Put(key, value []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("put into batch: %w", errEmptyKey)
	}
	if err := b.room(len(key) + len(value)); err != nil {
		return fmt.Errorf("put into batch: %w", err)
	}
	return b.batch.Set(key, value, nil)
}

func (b *pebbleBatch) Delete(key []byte) error {
	if err := b.room(len(key)); err != nil {
		return fmt.Errorf("delete in batch: %w", err)
	}
	if len(key) == 0 {
		return nil // there is none
	}
	return b.batch.Delete(key, nil)
}

func (b *pebbleBatch) DeleteRange(lo, hi []byte) error {
	if err := b.room(len(lo) + len(hi)); err != nil {
		return fmt.Errorf("delete range in batch: %w", err)
	}
	lo = notEmpty(lo)
	if hi == nil {
		b.open = true
		return b.batch.DeleteRange(lo, lo, nil)
	}
	if bytes.Compare(lo, hi) >= 0 {
		return nil
	}
	return b.batch.DeleteRange(lo, hi, nil)
}

// room tells whether the batch can take so many bytes. Pebble would panic.
func (b *pebbleBatch) room(n int) error {
	if b.batch == nil {
		return errBatchDone
	}
	if size := b.batch.Len(); n > maxBatchBytes-size {
		return fmt.Errorf("%d bytes do not fit, the batch has %d of at most %d", n, size, maxBatchBytes)
	}
	return nil
}

func (b *pebbleBatch) Size() int {
	if b.batch == nil {
		return 0
	}
	return b.batch.Len()
}

func (b *pebbleBatch) Discard() error {
	if b.batch == nil {
		return nil
	}
	batch := b.batch
	b.batch = nil
	return batch.Close()
}

// endRanges returns a copy of the batch in which the deletions without an end have one, and closes the batch. Pebble
// knows no range without an end, and which key comes last is known only now. DeleteRange marks such a deletion with
// two equal bounds.
func (e *pebbleEngine) endRanges(batch *pebble.Batch) (*pebble.Batch, error) {
	end, err := e.end()
	if err != nil {
		return nil, err
	}
	for r := batch.Reader(); ; {
		kind, key, _, ok, err := r.Next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if kind == pebble.InternalKeyKindSet && bytes.Compare(key, end) >= 0 {
			end = append(bytes.Clone(key), 0)
		}
	}
	ended := e.db.NewBatch()
	for r := batch.Reader(); ; {
		kind, key, value, ok, err := r.Next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return ended, batch.Close()
		}
		switch kind {
		case pebble.InternalKeyKindSet:
			err = ended.Set(key, value, nil)
		case pebble.InternalKeyKindDelete:
			err = ended.Delete(key, nil)
		case pebble.InternalKeyKindRangeDelete:
			if bytes.Equal(key, value) {
				value = end
			}
			if bytes.Compare(key, value) < 0 {
				err = ended.DeleteRange(key, value, nil)
			}
		default:
			err = fmt.Errorf("unknown write of kind %s", kind)
		}
		if err != nil {
			return nil, err
		}
	}
}
