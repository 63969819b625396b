package stream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/topology"
)

// foreignFormat is the version of the messages and rows of a join by foreign key. A change of any layout below takes a new one.
const foreignFormat = 1

// An instruction says what a subscription asks for.
type instruction uint8

const (
	// unsubscribe ends the subscription, without a reply.
	unsubscribe instruction = iota
	// unsubscribeAndReply ends it; the reply has no row.
	unsubscribeAndReply
	// replyAlways starts it; the reply has the row, or none.
	replyAlways
	// replyQuietly starts it; a reply without a row matters only where the result has one.
	replyQuietly
)

// A fingerprint tells versions of a row apart: the first half of the SHA-256 of its encoding. That of no row is zero.
type fingerprint [16]byte

func fingerprintOf(encoded []byte) (f fingerprint) {
	sum := sha256.Sum256(encoded)
	copy(f[:], sum[:])
	return f
}

// A subscription is a request of one row of the left table, under the foreign key that it names.
//
//	1 | instruction 1 | fingerprint 16 | partition 4 | key
type subscription struct {
	instruction instruction
	row         fingerprint // of the left row, as of the request
	partition   int32       // where the left row is, and the reply goes
	key         []byte      // of the left row, encoded
}

type subscriptionSerde struct{}

const subscriptionHead = 1 + 1 + len(fingerprint{}) + 4

func (subscriptionSerde) Append(dst []byte, s subscription) ([]byte, error) {
	dst = append(dst, foreignFormat, byte(s.instruction))
	dst = append(dst, s.row[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(s.partition))
	return append(dst, s.key...), nil
}

func (subscriptionSerde) Decode(b []byte) (s subscription, err error) {
	if err := checkForeign("subscription", b, subscriptionHead); err != nil {
		return s, err
	}
	if s.instruction = instruction(b[1]); s.instruction > replyQuietly {
		return s, fmt.Errorf("decode a subscription: unknown instruction %d", b[1])
	}
	s.row = fingerprint(b[2:18])
	s.partition = int32(binary.BigEndian.Uint32(b[18:]))
	s.key = bytes.Clone(b[subscriptionHead:])
	return s, nil
}

// A response brings a row of the right table to a row of the left one.
//
//	1 | flags 1: 1 has a value, 2 quiet, 4 ended | fingerprint 16 | value
type response[V any] struct {
	row       fingerprint // of the left row that asked
	value     V
	ok        bool // there is a row
	quiet     bool // see replyQuietly
	ended     bool // answers unsubscribeAndReply
	partition int32
}

const (
	responseHasValue = 1 << iota
	responseIsQuiet
	responseEnded
)

const responseHead = 1 + 1 + len(fingerprint{})

// responseSerde leaves the partition out: it has done its work when the response is written.
type responseSerde[V any] struct{ value serde.Serde[V] }

func newResponseSerde[V any](value serde.Serde[V]) serde.Serde[response[V]] {
	return responseSerde[V]{value}
}

// Bind implements serde.Binder.
func (s responseSerde[V]) Bind(topic string, role serde.Role) (serde.Serde[response[V]], error) {
	value, err := bindTo(s.value, topic, role)
	return responseSerde[V]{value}, err
}

func (s responseSerde[V]) Append(dst []byte, r response[V]) ([]byte, error) {
	flags := byte(0)
	if r.ok {
		flags |= responseHasValue
	}
	if r.quiet {
		flags |= responseIsQuiet
	}
	if r.ended {
		flags |= responseEnded
	}
	dst = append(dst, foreignFormat, flags)
	dst = append(dst, r.row[:]...)
	if !r.ok {
		return dst, nil
	}
	return s.value.Append(dst, r.value)
}

func (s responseSerde[V]) Decode(b []byte) (r response[V], err error) {
	if err := checkForeign("response", b, responseHead); err != nil {
		return r, err
	}
	if b[1] > responseHasValue|responseIsQuiet|responseEnded {
		return r, fmt.Errorf("decode a response: unknown flags %#x", b[1])
	}
	r.ok, r.quiet, r.ended = b[1]&responseHasValue != 0, b[1]&responseIsQuiet != 0, b[1]&responseEnded != 0
	r.row = fingerprint(b[2:responseHead])
	switch {
	case r.ok:
		r.value, err = s.value.Decode(b[responseHead:])
	case len(b) > responseHead:
		err = fmt.Errorf("decode a response: %d bytes too many", len(b)-responseHead)
	}
	return r, err
}

// A subscriber is a row of the store of subscriptions, under its foreign key and its own: see subscriptionPrefix.
//
//	1 | fingerprint 16 | partition 4
type subscriber struct {
	row       fingerprint
	partition int32
}

type subscriberSerde struct{}

const subscriberLength = 1 + len(fingerprint{}) + 4

func (subscriberSerde) Append(dst []byte, s subscriber) ([]byte, error) {
	dst = append(dst, foreignFormat)
	dst = append(dst, s.row[:]...)
	return binary.BigEndian.AppendUint32(dst, uint32(s.partition)), nil
}

func (subscriberSerde) Decode(b []byte) (s subscriber, err error) {
	if err := checkForeign("subscriber", b, subscriberLength); err != nil {
		return s, err
	}
	if len(b) > subscriberLength {
		return s, fmt.Errorf("decode a subscriber: %d bytes too many", len(b)-subscriberLength)
	}
	return subscriber{fingerprint(b[1:17]), int32(binary.BigEndian.Uint32(b[17:]))}, nil
}

func checkForeign(what string, b []byte, least int) error {
	switch {
	case len(b) < least:
		return fmt.Errorf("decode a %s: %d bytes are too few", what, len(b))
	case b[0] != foreignFormat:
		return fmt.Errorf("decode a %s: unknown version %d", what, b[0])
	}
	return nil
}

// subscriptionPrefix makes of an encoded foreign key what the keys of its subscriptions begin with; the left row's key follows. The length goes
// first, so that no other key begins with it.
//
//	length 4 | foreign key
func subscriptionPrefix(foreignKey []byte) []byte {
	b := make([]byte, 0, 4+len(foreignKey)+32)
	b = binary.BigEndian.AppendUint32(b, uint32(len(foreignKey)))
	return append(b, foreignKey...)
}

// behind is the smallest key above all that begin with prefix.
func behind(prefix []byte) []byte {
	b := bytes.Clone(prefix)
	for i := len(b) - 1; ; i-- { // the length of the key is below the largest number
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
}

// foreignSerdes are the serdes that the nodes of a join use by themselves, bound to its topics: what two nodes compare has one form.
type foreignSerdes[K, V, KF any] struct {
	key        serde.Serde[K]
	value      serde.Serde[V]
	foreignKey serde.Serde[KF]
}

func (j ForeignJoin[K, V, KF, VF]) bind(c *topology.NodeContext) (s foreignSerdes[K, V, KF], err error) {
	subscriptions := topology.RepartitionTopic(c.Host().Application(), j.name+"-subscription")
	responses := topology.RepartitionTopic(c.Host().Application(), j.name+"-response")
	if s.key, err = bindTo(j.key, responses, serde.Key); err != nil {
		return s, err
	}
	if s.value, err = bindTo(j.value, subscriptions, serde.Value); err != nil {
		return s, err
	}
	s.foreignKey, err = bindTo(j.foreignKey, subscriptions, serde.Key)
	return s, err
}
