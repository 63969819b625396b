package state

import (
	"encoding/binary"
	"fmt"
)

// dropBelow removes the rows from the engine whose keys begin with an eight-byte number below lead. The overlay's rows stay: they have expired, and
// are not read.
func (o *overlay[V]) dropBelow(lead int64) error {
	lo := o.table.key(nil, nil)
	hi := o.table.key(nil, binary.BigEndian.AppendUint64(nil, uint64(lead)))
	if err := o.table.engine.Drop(lo, hi); err != nil {
		return fmt.Errorf("expire rows of store %q: %w", o.info.Name, err)
	}
	return nil
}
