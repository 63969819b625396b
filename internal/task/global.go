package task

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A GlobalConfig is what the global stores of an instance need of their driver.
type GlobalConfig struct {
	Application string
	Topology    *topology.Topology
	// DB holds the stores. The driver closes it, when no task reads them any more.
	DB *state.DB
	// Context ends when the instance must stop; user functions get it.
	Context context.Context
	// DirtyBytes is the size of uncommitted rows at which a commit is due.
	DirtyBytes int64
}

// A Global applies the topics of the global stores to the stores, for one instance: every record of every partition. As a task it is a deterministic
// machine without goroutines or a clock:
//
//	g, err := task.OpenGlobal(config)   opens and wires
//	g.Begin(i, partition, offset)       where to go on, from the checkpoint
//	g.Add(topic, partition, raws)       queues what a consumer delivered
//	g.Step(now)                         one record, applied whole or not at all
//	g.Commit(checkpoint)                rows and positions, in one batch: now tasks see them
//
// Partitions are independent of one another. A Global is for one goroutine, but for Committed.
type Global struct {
	cfg       GlobalConfig
	journal   state.Journal
	counters  counters
	stores    []*globalStore
	committed map[string]state.Committed // by store; does not change

	queues []*globalQueue
	turn   int          // the globalQueue to look at first
	head   topology.Raw // what is being decoded
	meta   topology.Metadata
	ctx    context.Context
	host   globalHost
}

// A globalStore is one global store with the input that fills it.
type globalStore struct {
	topic string
	store state.Store
	in    topology.SourceInput
}

// A globalQueue is one partition of a topic on its way into one store.
type globalQueue struct {
	queue
	to        *globalStore
	partition int32
}

// OpenGlobal opens the global stores of the topology and wires what fills them.
func OpenGlobal(cfg GlobalConfig) (g *Global, err error) {
	g = &Global{cfg: cfg, committed: map[string]state.Committed{}, meta: noMetadata()}
	g.counters.journal = &g.journal
	g.ctx = topology.WithMetadata(cfg.Context, &g.meta)
	g.host = globalHost{g: g}
	defer func() {
		if v := recover(); v != nil {
			err = g.errorf("set-up panics: %v", v)
		}
	}()
	env := state.Env{Journal: &g.journal, Clock: g.host.Clock, Time: func() time.Time { return g.meta.Timestamp }}
	for _, top := range cfg.Topology.Globals() {
		st, err := cfg.DB.Open(top.Store(), env)
		if err != nil {
			return nil, g.errorf("%w", err)
		}
		info := st.Info()
		if g.committed[info.Name], err = cfg.DB.Committed(info); err != nil {
			return nil, g.errorf("%w", err)
		}
		s := &globalStore{topic: top.Topic(), store: st}
		g.stores = append(g.stores, s)
		if s.in, err = top.Wire(&g.host); err != nil {
			return nil, g.errorf("%w", err)
		}
	}
	g.journal.Release()
	return g, nil
}

func (g *Global) errorf(format string, args ...any) error {
	return fmt.Errorf("global stores: %w", fmt.Errorf(format, args...))
}

// Committed returns the committed rows of a store. It is safe for concurrent use.
func (g *Global) Committed(store string) (state.Committed, error) {
	c, ok := g.committed[store]
	if !ok {
		return c, fmt.Errorf("global store %q is not declared", store)
	}
	return c, nil
}

// Begin sets where a partition of the topic of the i-th global store goes on: with the record at the offset, or the next there is.
func (g *Global) Begin(i int, partition int32, offset int64) {
	s := g.stores[i]
	l := &globalQueue{to: s, partition: partition}
	l.in, l.position, l.committed, l.fetched, l.epoch = s.in, offset, offset, offset, -1
	g.queues = append(g.queues, l)
}

// Add queues records of a partition, in offset order. What a store has already is passed over.
func (g *Global) Add(topic string, partition int32, raws []topology.Raw) {
	for _, l := range g.queues {
		if l.to.topic == topic && l.partition == partition {
			l.add(raws)
		}
	}
}

// Position is the offset up to which a partition is applied to all stores that it fills; ok is false if none has begun.
func (g *Global) Position(topic string, partition int32) (at int64, ok bool) {
	for _, l := range g.queues {
		if l.to.topic == topic && l.partition == partition && (!ok || l.position < at) {
			at, ok = l.position, true
		}
	}
	return at, ok
}

// Step applies one record. It returns false if there is none to apply now. An error means that the instance must end: a record that no policy lets
// pass, or state that cannot be read.
func (g *Global) Step(now time.Time) (bool, error) {
	for range g.queues {
		l := g.queues[g.turn]
		for l.len() > 0 && l.front().Control {
			l.pop()
		}
		if l.len() > 0 && !now.Before(l.notBefore) {
			return true, g.apply(l, now)
		}
		g.turn = (g.turn + 1) % len(g.queues)
	}
	return false, nil
}

func (g *Global) apply(l *globalQueue, now time.Time) error {
	raw := l.front()
	g.meta = topology.Metadata{
		Topic: raw.Topic, Partition: raw.Partition, Offset: raw.Offset, Timestamp: time.UnixMilli(raw.TimestampMs).UTC(), Headers: raw.Headers,
		Origin: dlq.Origin{Topic: raw.Topic, Partition: raw.Partition, Offset: raw.Offset},
	}
	g.head = *raw
	if err := guarded(&g.host.cursor, &g.journal, g.errorf, func() error {
		if err := l.in.Decode(&g.head); err != nil {
			return err
		}
		return l.in.Process()
	}); err != nil {
		return g.failed(l, err, now)
	}
	g.journal.Release()
	l.pop()
	return nil
}

// failed is Task.failed for records of global topics. There are no dead letters of them: every instance would write one of its own.
func (g *Global) failed(l *globalQueue, err error, now time.Time) error {
	g.journal.Undo()
	fault, ok := isFault(err)
	if !ok || g.cfg.Context.Err() != nil {
		return g.at(l, err)
	}
	later := func(d time.Duration, reason string) {
		g.counters.of(Retried, fault.Node, reason).Add(1)
		g.journal.Release()
		l.notBefore = now.Add(d)
	}
	if serde.IsUnavailable(err) {
		later(unavailableDelay, "unavailable")
		return nil
	}
	f := fault.Failure
	f.Attempts = l.attempts + 1
	policy := fault.Policy
	if policy == nil {
		policy = g.cfg.Topology.Policy()
	}
	switch d := dlq.Resolve(policy, &f); d.Action {
	case dlq.ActionRetry:
		l.attempts++
		later(d.Delay, string(f.Stage))
		return nil
	case dlq.ActionSkip, dlq.ActionSend:
		g.counters.of(Dropped, f.Node, "failed").Add(1)
	default:
		return g.at(l, &f)
	}
	g.journal.Release()
	l.pop()
	return nil
}

// at names the record in process.
func (g *Global) at(l *globalQueue, err error) error {
	raw := l.front()
	return fmt.Errorf("global store %q: topic %q partition %d offset %d: %w", l.to.store.Info().Name, raw.Topic, raw.Partition, raw.Offset, err)
}

// NextAttempt is the time of the earliest retry; ok is false if there is none to wait for.
func (g *Global) NextAttempt() (at time.Time, ok bool) {
	for _, l := range g.queues {
		if !l.notBefore.IsZero() && (!ok || l.notBefore.Before(at)) {
			at, ok = l.notBefore, true
		}
	}
	return at, ok
}

// CommitDue tells that the uncommitted rows have reached their share of memory.
func (g *Global) CommitDue() bool {
	total := int64(0)
	for _, s := range g.stores {
		_, n := s.store.Pending()
		total += n
	}
	return g.cfg.DirtyBytes > 0 && total > g.cfg.DirtyBytes
}

// Commit makes what was applied visible to tasks, and notes how far that is: checkpoint makes the checkpoint of a partition, of its position. Nothing
// happens if no position has moved, unless all is asked for.
func (g *Global) Commit(all bool, checkpoint func(topic string, partition int32, offset int64, epoch int32) state.Checkpoint) (err error) {
	var moved []*globalQueue
	for _, l := range g.queues {
		if all || l.position != l.committed {
			moved = append(moved, l)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	defer func() {
		if v := recover(); v != nil { // a serde, at the encoding of a row
			err = g.errorf("commit: panic: %v\n%s", v, debug.Stack())
		}
	}()
	c := g.cfg.DB.Begin()
	for _, s := range g.stores {
		err = errors.Join(err, c.Prepare(s.store, nil))
	}
	for _, l := range moved {
		err = errors.Join(err, c.SavePartitionCheckpoint(l.to.store.Info(), l.partition, checkpoint(l.to.topic, l.partition, l.position, l.epoch)))
	}
	if err != nil {
		c.Discard()
		return g.errorf("commit: %w", err)
	}
	if err := c.Apply(); err != nil {
		return g.errorf("%w", err)
	}
	for _, s := range g.stores {
		if err := s.store.Committed(); err != nil {
			return g.errorf("commit: %w", err)
		}
	}
	for _, l := range moved {
		l.committed = l.position
	}
	g.counters.commit()
	return nil
}

// Counts are the counters as of the last commit.
func (g *Global) Counts() []Count { return g.counters.counts() }
