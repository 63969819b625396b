package topology

import (
	"encoding/binary"
	"slices"

	"github.com/weirstream/weir/dlq"
)

// OriginHeader is the reserved header that carries, across repartition topics, where a record first entered the application. The dead letter of a
// record goes to the topic it came from, however many steps later it fails. Sources remove it before user code sees the record.
//
// Its value is a version byte (1), the partition (4 bytes), the offset (8 bytes), both big-endian, and the topic.
const OriginHeader = "__weir.origin"

const originVersion = 1

// withOrigin returns the headers of a record that leaves for a repartition topic.
func withOrigin(m *Metadata, headers []Header) []Header {
	o := &m.Origin
	if o.Topic == "" {
		return headers
	}
	b := make([]byte, 0, 13+len(o.Topic))
	b = append(b, originVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(o.Partition))
	b = binary.BigEndian.AppendUint64(b, uint64(o.Offset))
	b = append(b, o.Topic...)
	return append(slices.Clip(headers), Header{Key: OriginHeader, Value: b})
}

// SplitOrigin takes the origin out of a record's headers. ok is false, and headers come back whole, if there is none.
func SplitOrigin(headers []Header) (rest []Header, from dlq.Origin, ok bool) {
	i := len(headers) - 1
	if i < 0 || headers[i].Key != OriginHeader || len(headers[i].Value) < 13 || headers[i].Value[0] != originVersion {
		return headers, dlq.Origin{}, false
	}
	b := headers[i].Value
	return headers[:i], dlq.Origin{
		Topic: string(b[13:]), Partition: int32(binary.BigEndian.Uint32(b[1:])), Offset: int64(binary.BigEndian.Uint64(b[5:])),
	}, true
}
