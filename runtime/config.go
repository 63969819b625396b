package runtime

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/dlq"
)

// A Guarantee says what a crash may do to results.
type Guarantee uint8

const (
	// ExactlyOnce commits outputs, changelogs and input offsets in one transaction: a read-committed reader sees each result once.
	ExactlyOnce Guarantee = iota
	// AtLeastOnce makes outputs durable before the input offsets: after a crash some records are processed again, and their results
	// written again.
	AtLeastOnce
)

// String is the guarantee in words.
func (g Guarantee) String() string {
	switch g {
	case ExactlyOnce:
		return "exactly-once"
	case AtLeastOnce:
		return "at-least-once"
	}
	return fmt.Sprintf("guarantee %d", uint8(g))
}

// Config says how to run a topology. The zero value of every field but ApplicationID and Brokers is useful.
type Config struct {
	// ApplicationID names the application: it is the group, and the prefix of internal topics and transactional ids. Instances with the
	// same id share the work. Changing it starts a new application.
	ApplicationID string
	// Brokers are addresses, host:port, to find the cluster by.
	Brokers []string
	// ClientOptions are added to those of every Kafka client: TLS, SASL, dialers, hooks. Options that the runtime sets itself, such as
	// groups, offsets, isolation and transactions, must not be among them.
	ClientOptions []kgo.Opt

	// Workers is the number of goroutines that share the instance's tasks. Default: 1.
	Workers int
	// Guarantee is ExactlyOnce by default.
	Guarantee Guarantee
	// CommitInterval is the time between two commits of a worker. Under ExactlyOnce it is how long results stay invisible to read-committed
	// readers. Default: 100 ms.
	CommitInterval time.Duration
	// TransactionTimeout is how long the broker waits for a transaction of a worker that has died without saying so, at most. Default: 10 s.
	TransactionTimeout time.Duration
	// SessionTimeout is how long the group waits for an instance that has died, before it gives its tasks to others. Default: 45 s.
	SessionTimeout time.Duration
	// RebalanceTimeout is how long an instance may take to commit and give up tasks. Default: 60 s.
	RebalanceTimeout time.Duration
	// RequestTimeout is how long one flush or commit may take before the worker aborts and tries again from the last commit. Default: 60 s.
	RequestTimeout time.Duration
	// TaskIdle is how long a task waits at the end of an empty input before it goes on with its other inputs. Default: 0, it does
	// not wait; records known to exist are always waited for.
	TaskIdle time.Duration

	// StateDir holds the state of the instance, in a directory per application. Two instances on one machine need two. Default: the
	// directory weir in the system's directory for temporary files.
	StateDir string
	// StateCleanupDelay is how long the state of a task that went to another instance is kept, in case it comes back. Default: 10 min.
	StateCleanupDelay time.Duration
	// FlushInterval is the time between two flushes of local state to disk. What a crash takes away from it is replayed from the changelog. Default:
	// 10 s.
	FlushInterval time.Duration
	// MemoryBytes is the budget for what grows with load: a quarter each for Pebble's block cache, for rows cached or not yet committed, and for records
	// fetched ahead; an eighth for Pebble's memtables. Below a few MiB per task the floors of the parts exceed it. Default: 512 MiB.
	MemoryBytes int64

	// MaxRecordBytes is the largest record that is written, headers included: one that is larger fails the record that caused it. The topics must
	// take as much (max.message.bytes). Default: 1,000,000, a little less than brokers take by default.
	MaxRecordBytes int

	// ReplicationFactor of topics that are created. Default: the broker's.
	ReplicationFactor int16
	// DeadLetters names the dead-letter topic of a source topic. Default: <topic>.dlq.
	DeadLetters dlq.Naming

	// OnState is called at every change of state, one call at a time. It must not block.
	OnState func(from, to State)
	// Logger takes what the application has to say. Default: slog.Default.
	Logger *slog.Logger
}

var applicationID = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$`)

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("config: %s: %s", field, fmt.Sprintf(format, args...)))
	}
	if !applicationID.MatchString(c.ApplicationID) {
		bad("ApplicationID", "%q: use 1 to 100 of the characters a-z, A-Z, 0-9, '.', '_' and '-'", c.ApplicationID)
	}
	if len(c.Brokers) == 0 {
		bad("Brokers", "there are none: name at least one, as host:port")
	}
	if c.Workers < 0 || c.Workers > 1024 {
		bad("Workers", "%d: use 1 to 1024", c.Workers)
	}
	if c.Guarantee > AtLeastOnce {
		bad("Guarantee", "%d: use ExactlyOnce or AtLeastOnce", c.Guarantee)
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"CommitInterval", c.CommitInterval}, {"TransactionTimeout", c.TransactionTimeout}, {"SessionTimeout", c.SessionTimeout},
		{"RebalanceTimeout", c.RebalanceTimeout}, {"RequestTimeout", c.RequestTimeout}, {"TaskIdle", c.TaskIdle},
		{"StateCleanupDelay", c.StateCleanupDelay}, {"FlushInterval", c.FlushInterval},
	} {
		if d.value < 0 {
			bad(d.field, "%v is negative", d.value)
		}
	}
	if f := c.withDefaults(); f.CommitInterval > f.TransactionTimeout/2 {
		bad("CommitInterval", "%v: use at most half of TransactionTimeout, %v", f.CommitInterval, f.TransactionTimeout)
	}
	if c.MemoryBytes < 0 || c.MemoryBytes > 0 && c.MemoryBytes < 16<<20 {
		bad("MemoryBytes", "%d: use at least 16 MiB", c.MemoryBytes)
	}
	if c.MaxRecordBytes < 0 || c.MaxRecordBytes > 1<<30 {
		bad("MaxRecordBytes", "%d: use at most 1 GiB", c.MaxRecordBytes)
	}
	if c.ReplicationFactor < 0 {
		bad("ReplicationFactor", "%d is negative", c.ReplicationFactor)
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&c.CommitInterval, 100*time.Millisecond)
	set(&c.TransactionTimeout, 10*time.Second)
	set(&c.SessionTimeout, 45*time.Second)
	set(&c.RebalanceTimeout, time.Minute)
	set(&c.RequestTimeout, time.Minute)
	set(&c.StateCleanupDelay, 10*time.Minute)
	set(&c.FlushInterval, 10*time.Second)
	if c.Workers == 0 {
		c.Workers = 1
	}
	if c.StateDir == "" {
		c.StateDir = filepath.Join(os.TempDir(), "weir")
	}
	if c.MaxRecordBytes == 0 {
		c.MaxRecordBytes = 1_000_000
	}
	if c.MemoryBytes == 0 {
		c.MemoryBytes = 512 << 20
	}
	if c.ReplicationFactor == 0 {
		c.ReplicationFactor = -1
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
