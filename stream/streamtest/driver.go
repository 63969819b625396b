package streamtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A Driver runs one topology.
type Driver struct {
	tb  testing.TB
	top *topology.Topology
	cfg config

	now     time.Time
	log     *log
	globals *globals
	tasks   []*instance
	ctx     context.Context
	cancel  context.CancelFunc
	failed  error
}

type config struct {
	application string
	partitions  map[string]int32
	start       time.Time
	manual      bool
	oneTask     bool
	deadLetters dlq.Naming
	cacheBytes  int64
}

// An Option changes a Driver.
type Option func(*config)

// Application sets the application's id, "test" otherwise.
func Application(id string) Option { return func(c *config) { c.application = id } }

// Partitions gives a topic n partitions instead of one. Topics that are to be found by a pattern must be declared with it.
func Partitions(topic string, n int32) Option { return func(c *config) { c.partitions[topic] = n } }

// StartAt sets the wall clock, 1970 otherwise. Only the test moves it.
func StartAt(t time.Time) Option { return func(c *config) { c.start = t } }

// ManualCommit leaves commits to the test: see Commit, Crash and Restart.
func ManualCommit() Option { return func(c *config) { c.manual = true } }

// DeadLetters names the dead-letter topic of a source topic: "<topic>.dlq" otherwise.
func DeadLetters(name dlq.Naming) Option { return func(c *config) { c.deadLetters = name } }

// OneTask runs all subtopologies as a single task, with one choice among all inputs and one stream time, as Kafka Streams' own test
// driver does. It is for comparisons with that driver; production never does so.
func OneTask() Option { return func(c *config) { c.oneTask = true } }

// CacheBytes bounds the clean rows that each store keeps above its engine, 1 MiB otherwise; 0 makes every read after a commit go to the
// engine.
func CacheBytes(n int64) Option { return func(c *config) { c.cacheBytes = n } }

// New starts the topology. The driver is closed when the test ends.
func New(tb testing.TB, top *topology.Topology, opts ...Option) *Driver {
	tb.Helper()
	c := config{application: "test", partitions: map[string]int32{}, start: time.UnixMilli(0).UTC(), cacheBytes: 1 << 20}
	for _, o := range opts {
		o(&c)
	}
	d := &Driver{tb: tb, cfg: c, now: c.start}
	d.ctx, d.cancel = context.WithCancel(tb.Context())
	d.log = newLog(c.partitions)
	top, err := top.Resolve(c.application, c.deadLetters, slices.Collect(maps.Keys(c.partitions)))
	if err != nil {
		tb.Fatalf("start the topology: %v", err)
	}
	d.top = top
	plan, err := top.Plan(c.application, func(topic string) (int32, bool) { return d.log.partitionsOf(topic), true })
	if err != nil {
		tb.Fatalf("start the topology: %v", err)
	}
	for topic, n := range plan.Partitions {
		d.log.partitions[topic] = n
	}
	d.place(plan)
	d.globals = &globals{d: d}
	if err := d.open(); err != nil {
		tb.Fatalf("start the topology: %v", err)
	}
	tb.Cleanup(d.close)
	return d
}

// open starts the application from what is committed: global stores first.
func (d *Driver) open() error {
	if err := d.globals.open(); err != nil {
		return err
	}
	for _, in := range d.tasks {
		if err := in.open(); err != nil {
			return err
		}
	}
	return nil
}

// place decides which tasks there are.
func (d *Driver) place(plan *topology.Plan) {
	subs := d.top.Subtopologies()
	if d.cfg.oneTask {
		in := &instance{d: d, subs: subs}
		for _, s := range subs {
			for _, src := range s.SourceTopics(d.cfg.application) {
				in.topics = append(in.topics, src.Name)
			}
		}
		d.tasks = []*instance{in}
		return
	}
	for _, t := range plan.Tasks {
		d.tasks = append(d.tasks, &instance{
			d: d, id: t.ID, subs: []*topology.Subtopology{subs[t.ID.Subtopology]}, topics: t.Topics,
		})
	}
}

// An instance is one task with what outlives it.
type instance struct {
	d      *Driver
	id     topology.TaskID
	subs   []*topology.Subtopology
	topics []string

	disk      state.Engine     // outlives a crash
	committed map[string]int64 // positions
	clocks    []byte
	task      *task.Task
	db        *state.DB
}

// open starts the task from what is committed.
func (in *instance) open() error {
	if in.disk == nil {
		in.disk = state.NewMemory()
		in.committed = map[string]int64{}
	}
	for _, topic := range in.topics {
		if _, ok := in.committed[topic]; !ok {
			in.committed[topic] = 0
		}
	}
	d := in.d
	var err error
	if in.db, err = state.NewDB(keep{in.disk}, state.NewMemory()); err != nil {
		return err
	}
	var globals func(store string) (state.Committed, error)
	if d.globals.task != nil {
		globals = d.globals.task.Committed
	}
	in.task, err = task.Open(task.Config{
		ID: in.id, Application: d.cfg.application, Topology: d.top, Subtopologies: in.subs, DB: in.db, Globals: globals, Context: d.ctx,
		Output:      func(o topology.Output) error { d.log.append(in, o); return nil },
		Changelog:   func(o topology.Output) error { d.log.append(in, o); return nil },
		Partitions:  func(topic string) (int32, error) { return d.log.partitionsOf(topic), nil },
		DeadLetters: d.cfg.deadLetters,
		Now:         func() time.Time { return d.now }, CacheBytes: d.cfg.cacheBytes,
	})
	if err != nil {
		return err
	}
	if err := in.restore(); err != nil {
		return err
	}
	if err := in.task.Start(in.committed, in.clocks); err != nil {
		return err
	}
	for _, topic := range in.topics {
		in.feed(topic, in.committed[topic])
	}
	return nil
}

// restore replays the committed tail of each changelog that a store lacks.
func (in *instance) restore() error {
	r := in.task.Restore()
	ends := map[string]state.Checkpoint{}
	for _, st := range in.task.Stores() {
		info := st.Info()
		if !info.Changelog {
			continue
		}
		cp, _, err := in.db.Checkpoint(info)
		if err != nil {
			return err
		}
		topic := topology.LogTopic(in.d.cfg.application, info)
		p := in.d.log.partition(topic, in.id.Partition)
		end := int64(len(p.records))
		if info.Source != "" {
			end = in.committed[topic]
		}
		for i := range p.records {
			if rec := p.records[i]; rec.Offset >= cp.Offset && rec.Offset < end && rec.committed {
				if err := r.Add(st, &rec.Raw); err != nil {
					return err
				}
			}
		}
		ends[info.DurableName()] = state.Checkpoint{Offset: end, LeaderEpoch: -1, AppliedAt: in.d.now}
	}
	return r.Apply(ends)
}

// feed queues what the task may read from an offset on.
func (in *instance) feed(topic string, from int64) {
	p := in.d.log.partition(topic, in.id.Partition)
	for i := from; i < int64(p.stable); i++ {
		if p.records[i].committed {
			in.task.Add(topic, []topology.Raw{p.records[i].Raw})
		}
	}
}

// keep is an engine that outlives the DB on it.
type keep struct{ state.Engine }

func (keep) Close() error { return nil }

// Err is what the topology failed with: nil while it runs.
func (d *Driver) Err() error { return d.failed }

// run processes until nothing is left to do, and commits unless that is the test's.
func (d *Driver) run() error {
	for progress := true; progress && d.failed == nil; {
		progress = false
		for _, in := range d.tasks {
			for {
				did, err := in.task.Step(d.now)
				if err != nil {
					d.failed = err
					return err
				}
				if !did {
					break
				}
				progress = true
				if d.cfg.manual {
					continue
				}
				if err := in.commit(); err != nil {
					d.failed = err
					return err
				}
			}
		}
	}
	if d.failed == nil && !d.cfg.manual {
		d.failed = d.commitAll()
	}
	return d.failed
}

func (d *Driver) commitAll() error {
	for _, in := range d.tasks {
		if err := in.commit(); err != nil {
			return err
		}
	}
	return nil
}

// commit makes what the task did permanent: the transaction of production, without its failures.
func (in *instance) commit() error {
	if !in.task.Uncommitted() {
		return nil
	}
	c, err := in.task.Prepare()
	if err != nil {
		return err
	}
	in.d.log.commit(in)
	for i, o := range c.Offsets {
		in.committed[o.Topic] = o.Offset
		if i == 0 {
			in.clocks = task.DecodeMetadata(o.Metadata)
		}
	}
	if err := in.task.Committed(c, func(store state.Info) (state.Checkpoint, bool) {
		topic := topology.LogTopic(in.d.cfg.application, store)
		end := int64(len(in.d.log.partition(topic, in.id.Partition).records))
		if store.Source != "" {
			end = in.committed[topic]
		}
		return state.Checkpoint{Offset: end, LeaderEpoch: -1, AppliedAt: in.d.now}, true
	}); err != nil {
		return err
	}
	return in.d.globals.apply()
}

// Commit commits all tasks, and then runs those that read what became visible: their results wait for the next Commit. It is of use with
// ManualCommit.
func (d *Driver) Commit() {
	d.tb.Helper()
	if d.failed == nil {
		d.failed = d.commitAll()
	}
	if d.failed == nil {
		d.failed = d.run()
	}
	if d.failed != nil {
		d.tb.Fatalf("commit: %v", d.failed)
	}
}

// Crash ends the application as kill -9 would: what is not committed is lost, outputs and dead letters too, and nothing runs until Restart.
func (d *Driver) Crash() {
	d.tb.Helper()
	if len(d.tasks) > 0 && d.tasks[0].task == nil {
		d.tb.Fatalf("crash: the application has crashed already: call Restart")
	}
	for _, in := range d.tasks {
		d.log.abort(in)
		in.task, in.db = nil, nil
	}
	d.globals.crash()
	d.cancel()
	d.failed = nil
}

// Restart starts the application again, from what was committed before a Crash, and runs it. Stores in memory are restored from
// their changelogs.
func (d *Driver) Restart() {
	d.tb.Helper()
	d.ctx, d.cancel = context.WithCancel(d.tb.Context())
	if err := d.open(); err != nil {
		d.tb.Fatalf("restart: %v", err)
	}
	if err := d.run(); err != nil {
		d.tb.Fatalf("restart: %v", err)
	}
}

// LoseDisk removes the local state of a crashed application, as a new machine would: Restart restores it from the changelogs.
func (d *Driver) LoseDisk() {
	d.tb.Helper()
	for _, in := range d.tasks {
		if in.task != nil {
			d.tb.Fatalf("lose the disk: the application runs: call Crash first")
		}
		in.disk = state.NewMemory()
	}
	d.globals.disk = nil
}

// Now is the wall clock.
func (d *Driver) Now() time.Time { return d.now }

// Advance moves the wall clock by dur: timers of wall time that are due run once, waiting retries are made.
func (d *Driver) Advance(dur time.Duration) {
	d.tb.Helper()
	if err := d.TryAdvance(dur); err != nil {
		d.tb.Fatalf("advance wall time: %v", err)
	}
}

// TryAdvance is Advance that returns the error that the topology fails with.
func (d *Driver) TryAdvance(dur time.Duration) error {
	d.tb.Helper()
	if err := d.running(); err != nil {
		return err
	}
	d.now = d.now.Add(dur)
	for _, in := range d.tasks {
		if err := in.task.Tick(d.now); err != nil {
			d.failed = err
			return err
		}
		if d.cfg.manual {
			continue
		}
		if err := in.commit(); err != nil {
			d.failed = err
			return err
		}
	}
	if err := d.globals.apply(); err != nil { // what waited for another attempt
		d.failed = err
		return err
	}
	return d.run()
}

func (d *Driver) running() error {
	if d.failed != nil {
		return fmt.Errorf("the topology has failed: %w", d.failed)
	}
	if len(d.tasks) > 0 && d.tasks[0].task == nil {
		return fmt.Errorf("the application has crashed: call Restart")
	}
	return nil
}

func (d *Driver) close() {
	d.cancel()
	for _, in := range d.tasks {
		if in.db != nil {
			_ = in.db.Close()
		}
	}
	if d.globals.db != nil {
		_ = d.globals.db.Close()
	}
}

// Count is the sum of the counters of that kind and reason, over all nodes and tasks, as of the last commit. An empty reason counts all. Kinds
// are "dropped", "dead-letter" and "retried".
func (d *Driver) Count(kind, reason string) int64 {
	counts := d.globals.counts()
	for _, in := range d.tasks {
		if in.task != nil {
			counts = append(counts, in.task.Counts()...)
		}
	}
	n := int64(0)
	for _, c := range counts {
		if string(c.Kind) == kind && (reason == "" || c.Reason == reason) {
			n += c.N
		}
	}
	return n
}

// Dropped is Count of the records that were dropped for that reason, such as "null-key", "null-value", "late", "skipped" and "failed".
func (d *Driver) Dropped(reason string) int64 { return d.Count("dropped", reason) }

// Topics are the names of all topics that hold records, internal ones too, sorted.
func (d *Driver) Topics() []string {
	var names []string
	for name := range d.log.topics {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
