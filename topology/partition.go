package topology

import (
	"encoding/binary"
	"strings"

	"github.com/weirstream/weir/state"
)

// PartitionFor is the partition of an encoded key in a topic with n partitions, as Kafka's own producers choose it: murmur2.
func PartitionFor(key []byte, n int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % n
}

// murmur2 is Austin Appleby's hash with Kafka's seed.
func murmur2(b []byte) uint32 {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(b))
	for len(b) >= 4 {
		k := binary.LittleEndian.Uint32(b) * m
		k ^= k >> r
		h = h*m ^ k*m
		b = b[4:]
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

// RepartitionTopic is the full name of a repartition topic.
func RepartitionTopic(application, name string) string {
	return application + "-" + name + "-repartition"
}

// LogTopic is the full name of the topic that a store is restored from: its changelog, or the source of its table.
func LogTopic(application string, i state.Info) string {
	if i.Source != "" {
		return i.Source
	}
	return ChangelogTopic(application, i.DurableName())
}

// ChangelogTopic is the full name of a changelog of the application's own, for a store of that durable name.
func ChangelogTopic(application, store string) string {
	return application + "-" + store + "-changelog"
}

// IsInternalTopic tells whether a topic has a name that the application gives to topics of its own. Another application's topic may have one too, where its
// id begins with this one and a dash.
func IsInternalTopic(application, topic string) bool {
	own, ok := strings.CutPrefix(topic, application+"-")
	return ok && (strings.HasSuffix(own, "-repartition") || strings.HasSuffix(own, "-changelog"))
}
