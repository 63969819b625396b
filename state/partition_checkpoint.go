package state

import (
	"encoding/binary"
	"fmt"
)

// A global store is filled by all partitions of a topic: it has a Checkpoint for each.

// PartitionCheckpoint tells up to where a partition of the topic that fills the store is applied. ok is false if nothing is.
func (db *DB) PartitionCheckpoint(info Info, partition int32) (c Checkpoint, ok bool, err error) {
	b, ok, err := db.engine(info.InMemory).Get(nil, partitionKey(info.DurableName(), partition))
	if err != nil || !ok {
		return Checkpoint{}, false, err
	}
	if err := c.decode(b); err != nil {
		return Checkpoint{}, false, fmt.Errorf("read checkpoint of store %q for partition %d: %w", info.Name, partition, err)
	}
	return c, true, nil
}

// SavePartitionCheckpoint notes up to where the commit brings one partition of the topic that fills the store.
func (c *Commit) SavePartitionCheckpoint(info Info, partition int32, cp Checkpoint) error {
	return c.batch(info).Put(partitionKey(info.DurableName(), partition), cp.encode(nil))
}

// partitionKey lies behind the key of the store's own checkpoint: no name of a store has a slash.
func partitionKey(name string, partition int32) []byte {
	return binary.BigEndian.AppendUint32(metaKey('c', name+"/"), uint32(partition))
}

// wipePartitions removes the checkpoints of all partitions of a store.
func wipePartitions(b Batch, name string) error {
	return b.DeleteRange(metaKey('c', name+"/"), metaKey('c', name+"0"))
}
