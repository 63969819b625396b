package topology

import (
	"context"
	"time"

	"github.com/weirstream/weir/internal/arena"
	"github.com/weirstream/weir/state"
)

// A ClockType says which time a punctuator follows.
type ClockType uint8

const (
	// StreamTime is the largest timestamp that the task has taken from its inputs: it moves with the records, and first fires
	// right after the first of them.
	StreamTime ClockType = iota + 1
	// WallTime is the machine's clock.
	WallTime
)

// A Host is one task, as the nodes wired into it see it. The engine implements it, users of this package do not.
//
// The pointers that it returns stay the same for the task's life: nodes keep them.
type Host interface {
	// Application is the application's id.
	Application() string
	// Partition is the number of the partition that the task reads of each of its topics.
	Partition() int32
	// Context is handed to user functions. It ends when the task must stop.
	Context() context.Context
	// Metadata describes the record in process.
	Metadata() *Metadata
	// Cursor is where nodes note who is at work.
	Cursor() *Cursor
	// Arena holds the bytes of outputs.
	Arena() *arena.Arena

	// Store returns the task's store of that name.
	Store(name string) (state.Store, error)
	// Global returns the committed rows of the global store of that name.
	Global(name string) (state.Committed, error)
	// Clock returns the task's clock of that name, which survives restarts.
	Clock(name string) *state.Clock
	// Counter returns the task's counter for that node and reason.
	Counter(node, reason string) *state.Counter

	// Schedule calls f each time the clock reaches the next multiple of every, counted from its first call. name is durable: the
	// next time due survives restarts under it.
	Schedule(name string, clock ClockType, every time.Duration, f func(now time.Time) error)
	// Now reads a clock; ok is false for a stream time that is not known yet.
	Now(clock ClockType) (now time.Time, ok bool)
	// OnCommit has f called before each commit, in the order of these calls: what an operator still holds back goes down the graph.
	OnCommit(f func() error)
	// OnIdle has advance called when the input of that topic has been quiet for the time: event time goes on as the wall clock does. now is
	// that time, in Unix milliseconds.
	OnIdle(topic string, after time.Duration, advance func(now int64) error)
	// RequestCommit asks for a commit soon.
	RequestCommit()

	// Emit takes an output of the record in process. It leaves the task when the record is done, and never if it fails. It refuses one that is
	// larger than a producer takes.
	Emit(o Output) error
	// Partitions is the number of partitions of a topic that is written to.
	Partitions(topic string) (int32, error)
	// Sticky is the partition for records without a key, of a topic with n of them. It changes now and then.
	Sticky(n int32) int32
}

// An Output is a record for the producer. Key and Value are nil where they are null, and the host's own: they are never changed.
type Output struct {
	Topic      string
	Partition  int32
	Key, Value []byte
	Timestamp  time.Time
	Headers    []Header
}

// A Cursor tells how far the record in process is.
type Cursor struct {
	// Node is the one whose user function runs, for the report of a panic.
	Node *NodeContext
	// Held is the node whose held result is on its way; nil while what goes down the graph is of the record in process.
	Held *NodeContext
	// Fault is the last failure, so that user code which swallows the error of a Forward does not make half a record pass.
	Fault *Fault
}
