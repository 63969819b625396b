package task

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/internal/arena"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A Config is what a task needs of its driver.
type Config struct {
	ID          topology.TaskID
	Application string
	Topology    *topology.Topology
	// Subtopologies are those that the task runs: one, but for a test that compares with Kafka Streams' driver.
	Subtopologies []*topology.Subtopology
	// DB is the task's state. The driver closes it.
	DB *state.DB
	// Globals returns the committed rows of the instance's global stores; nil if it has none.
	Globals func(store string) (state.Committed, error)
	// Context ends when the task must stop; user functions get it.
	Context context.Context
	// Output takes the records that a finished source record, a timer or a commit produced, in order.
	Output func(o topology.Output) error
	// Changelog takes one record for a store's changelog at the partition of the task. The slices live as long as the driver needs them.
	Changelog func(o topology.Output) error
	// Partitions is the number of partitions of a topic that is written to.
	Partitions func(topic string) (int32, error)
	// DeadLetters names the dead-letter topic of a source topic; nil means dlq.TopicFor.
	DeadLetters dlq.Naming
	// MaxRecordBytes is the largest output that a producer takes, headers included; 0 is without limit.
	MaxRecordBytes int
	// Now is the wall clock.
	Now func() time.Time
	// CacheBytes bounds the clean rows kept per store above the engine. DirtyBytes is the size of uncommitted rows at which the
	// task asks for a commit.
	CacheBytes, DirtyBytes int64
	// Idle is how long the task waits for an empty input at its end before it goes on with the others.
	Idle time.Duration
	// Go runs f beside the task: the calls of asynchronous operators. nil lets them be made inline, when their record is processed. Wake is called from there
	// when a call is back: the task may have something to do.
	Go   func(f func())
	Wake func()
}

// A Task is one running task.
type Task struct {
	cfg     Config
	journal state.Journal
	stores  []state.Store
	byName  map[string]state.Store

	clocks     map[string]*state.Clock
	clockOrder []string
	saved      map[string]int64 // readings that a commit kept, for clocks that are still to be asked for
	streamTime *state.Clock
	commits    *state.Clock
	counters   counters

	queues  []*queue
	byTopic map[string]*queue
	waiting []*queue // with records, in the order they came by them, whose heads are to be decoded
	order   queueHeap

	streamTimers, wallTimers timerHeap
	onCommit                 []func() error
	idles                    map[string]*idle // by topic
	ahead                    *ahead           // nil without asynchronous operators

	head     topology.Raw // what is being decoded
	meta     topology.Metadata
	origin   dlq.Origin // of what no source record caused: the application's first source, at no offset
	cursor   topology.Cursor
	arena    arena.Arena
	ctx      context.Context
	outputs  []topology.Output // of the record in process
	sticky   int32             // where records without a key go
	produced bool              // since the last commit
	broken   error             // the effects of a record left the task in part: it cannot be committed
	wanted   bool              // user code asked for a commit
}

// Open opens the task's stores. The task can be restored, then started.
func Open(cfg Config) (*Task, error) {
	t := &Task{
		cfg: cfg, byName: map[string]state.Store{}, clocks: map[string]*state.Clock{}, saved: map[string]int64{}, byTopic: map[string]*queue{},
		meta: noMetadata(), sticky: cfg.ID.Partition,
	}
	t.counters.journal = &t.journal
	t.origin = firstOrigin(cfg)
	t.ctx = topology.WithMetadata(cfg.Context, &t.meta)
	t.streamTime, t.commits = t.Clock("stream"), t.Clock(commitsClock)
	env := state.Env{Journal: &t.journal, Clock: t.Clock, Time: func() time.Time { return t.meta.Timestamp }, CacheBytes: cfg.CacheBytes}
	for _, sub := range cfg.Subtopologies {
		for _, spec := range sub.Stores() {
			st, err := cfg.DB.Open(spec, env)
			if err != nil {
				return nil, t.errorf("%w", err)
			}
			t.stores = append(t.stores, st)
			t.byName[spec.Info().Name] = st
		}
	}
	return t, nil
}

// firstOrigin lets what a timer sends be told from what a record caused, and gives its dead letters a topic.
func firstOrigin(cfg Config) dlq.Origin {
	subs := append(slices.Clone(cfg.Subtopologies), cfg.Topology.Subtopologies()...)
	for _, s := range subs {
		for _, src := range s.SourceTopics(cfg.Application) {
			if !src.Repartition {
				return dlq.Origin{Topic: src.Name, Partition: -1, Offset: -1}
			}
		}
	}
	return dlq.Origin{Partition: -1, Offset: -1}
}

func noMetadata() topology.Metadata { return topology.Metadata{Partition: -1, Offset: -1} }

// errorf names the task in an error.
func (t *Task) errorf(format string, args ...any) error {
	return fmt.Errorf("task %v: %w", t.cfg.ID, fmt.Errorf(format, args...))
}

// ID is the task's id.
func (t *Task) ID() topology.TaskID { return t.cfg.ID }

// Stores are the task's stores.
func (t *Task) Stores() []state.Store { return t.stores }

// Store returns the store of that name, nil if the task has none.
func (t *Task) StoreNamed(name string) state.Store { return t.byName[name] }

// Start wires the graph. positions are the offsets to go on from, by source topic; topics that the task does not read in its partition are
// missing. clocks is what the last commit's offsets carried, nil if they carried none: they are at least as late as those in the DB.
func (t *Task) Start(positions map[string]int64, clocks []byte) error {
	kept, err := t.cfg.DB.Clocks()
	if err != nil {
		return t.errorf("read clocks: %w", err)
	}
	if err := t.loadClocks(kept, clocks); err != nil {
		return err
	}
	return t.wire(positions)
}

func (t *Task) wire(positions map[string]int64) (err error) {
	t.streamTimers, t.wallTimers, t.queues, t.waiting, t.order, t.onCommit = nil, nil, nil, nil, nil, nil
	t.idles = map[string]*idle{}
	clear(t.byTopic)
	defer func() {
		if v := recover(); v != nil {
			err = t.errorf("set-up panics: %v", v)
		}
	}()
	inputs, err := t.cfg.Topology.Wire(t, t.cfg.Subtopologies...)
	if err != nil {
		return t.errorf("%w", err)
	}
	t.journal.Release()
	for _, in := range inputs {
		pos, ok := positions[in.Topic]
		if !ok {
			continue
		}
		q := &queue{in: in, idle: t.idles[in.Topic], position: pos, committed: pos, fetched: pos, end: pos}
		t.queues = append(t.queues, q)
		t.byTopic[in.Topic] = q
	}
	if t.ahead, err = t.wireAhead(t.ahead); err != nil {
		return t.errorf("%w", err)
	}
	return nil
}

// Rollback takes the task back to its last commit: uncommitted rows, queued records, timers and what processors kept in fields are gone.
// The records must be added again from positions on. clocks is as for Start.
func (t *Task) Rollback(positions map[string]int64, clocks []byte) error {
	t.journal.Undo()
	for _, st := range t.stores {
		st.Reset()
	}
	for _, c := range t.clocks {
		c.Set(state.NoTime)
	}
	t.journal.Release()
	t.counters.rollback()
	t.outputs, t.produced, t.wanted = t.outputs[:0], false, false
	t.broken = nil
	t.meta, t.cursor = noMetadata(), topology.Cursor{}
	return t.Start(positions, clocks)
}
