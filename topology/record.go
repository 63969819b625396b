package topology

import (
	"time"

	"github.com/weirstream/weir/dlq"
)

// A Header is one header of a record. Headers are shared between the records that come of one another: never change one in
// place, make a new slice.
type Header = dlq.Header

// A Record is what travels along an edge of the graph. Processors get a pointer to one that is valid until they return.
type Record[K, V any] struct {
	Key   K
	Value V
	// Timestamp is the event time. In a record passed to Node.Forward, the zero time stands for that of the record in process.
	Timestamp time.Time
	Headers   []Header
	// NullKey tells that the record has no key; Key is then K's zero value, or what the serde takes for null.
	NullKey bool
	// Tombstone tells that the record has a null value; Value is then V's zero value, or what the serde takes for null.
	Tombstone bool
}

// Metadata tells where the record in process came from.
type Metadata struct {
	// Topic is empty, and Partition and Offset are -1, while a punctuator runs.
	Topic     string
	Partition int32
	Offset    int64
	// Origin is where the record first entered the application: another topic than Topic behind a repartition.
	Origin dlq.Origin
	// Timestamp is the event time of the source record, or the time a punctuator was called for.
	Timestamp time.Time
	// Headers are those of the source record. They are only to be read, and valid until the record is done.
	Headers []Header
}

// A Change is one update of a table's row. It travels as the value of a Record whose Tombstone flag means nothing.
type Change[V any] struct {
	New, Old V
	// HasNew is false for a delete. HasOld is false where there was no row, or where nobody downstream asked for old values.
	HasNew, HasOld bool
	// Superseded tells, of a versioned table, that a later version of the row is known already: the update is of the past.
	Superseded bool
}

// A Processor is the receiving end of an edge, in one task. Process returns a *dlq.Failure where a user function failed and
// any other error where the task cannot go on.
type Processor[K, V any] interface {
	Process(r *Record[K, V]) error
}

// ProcessorFunc is a function that receives records.
type ProcessorFunc[K, V any] func(r *Record[K, V]) error

// Process calls f.
func (f ProcessorFunc[K, V]) Process(r *Record[K, V]) error { return f(r) }

// fan passes a record to several receivers, one after the other.
type fan[K, V any] []Processor[K, V]

func (f fan[K, V]) Process(r *Record[K, V]) error {
	for _, p := range f {
		if err := p.Process(r); err != nil {
			return err
		}
	}
	return nil
}

type nowhere[K, V any] struct{}

func (nowhere[K, V]) Process(*Record[K, V]) error { return nil }

// join makes one receiver of several.
func join[K, V any](ps []Processor[K, V]) Processor[K, V] {
	switch len(ps) {
	case 0:
		return nowhere[K, V]{}
	case 1:
		return ps[0]
	}
	return fan[K, V](ps)
}
