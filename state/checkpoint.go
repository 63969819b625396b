package state

import (
	"encoding/binary"
	"fmt"
	"time"
)

// A Checkpoint tells up to where a store holds its changelog. It is written in the same batch as the rows.
type Checkpoint struct {
	// ClusterID and TopicID name the topic beyond its name: after a recreation the offsets of the old one mean nothing.
	ClusterID string
	TopicID   [16]byte
	// LeaderEpoch is that of the last applied record, -1 if unknown.
	LeaderEpoch int32
	// Offset is the changelog offset to go on from: everything below is applied.
	Offset int64
	// AppliedAt is the wall time of the commit. A checkpoint older than the topic's delete.retention.ms must not be continued:
	// compaction may have removed tombstones that the store has not seen.
	AppliedAt time.Time
}

const checkpointVersion = 1

func (c Checkpoint) encode(dst []byte) []byte {
	dst = append(dst, checkpointVersion)
	dst = append(dst, c.TopicID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(c.LeaderEpoch))
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.Offset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.AppliedAt.UnixMilli()))
	return append(dst, c.ClusterID...)
}

func (c *Checkpoint) decode(b []byte) error {
	const fixed = 1 + 16 + 4 + 8 + 8
	if len(b) < fixed {
		return fmt.Errorf("decode checkpoint: want at least %d bytes, got %d", fixed, len(b))
	}
	if b[0] != checkpointVersion {
		return fmt.Errorf("decode checkpoint: version %d is unknown: it was written by a newer release", b[0])
	}
	copy(c.TopicID[:], b[1:17])
	c.LeaderEpoch = int32(binary.BigEndian.Uint32(b[17:]))
	c.Offset = int64(binary.BigEndian.Uint64(b[21:]))
	c.AppliedAt = fromMs(int64(binary.BigEndian.Uint64(b[29:])))
	c.ClusterID = string(b[fixed:])
	return nil
}
