package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/topology"
)

// A group is the instance's part in the consumer group. Its methods are the client's callbacks, called one at a time, in this order at each
// rebalance:
//
//	revoked(none)    the generation ends: commit, before the join makes commits impossible
//	join             the join is sent
//	revoked(lost)    only if something was lost: commit under the new generation, close. The partitions are ours until we join again
//	assigned(added)  the join is over, tasks are opened
//	adjust           where to begin in partitions that were added
//
// lost comes instead of revoked where the group has given the member up: nothing may be committed any more.
type group struct {
	app   *App
	ready chan struct{} // is closed when App.consumer is set: the client calls before its maker has it

	member atomic.Pointer[string] // that was last assigned something

	mu      sync.Mutex
	owned   map[topology.TaskID]*owned
	starts  map[topicPartition]int64 // where to begin without a committed offset
	started chan struct{}            // is closed, and made anew, when starts changes
}

// owned is a task that the group has given to this instance.
type owned struct {
	plan    topology.TaskPlan
	worker  *worker
	inputs  []*input
	cancel  context.CancelFunc
	opening chan struct{} // is closed when opening is over
	ready   bool          // runs on its worker
}

func newGroup(a *App) *group {
	return &group{app: a, ready: make(chan struct{}), owned: map[topology.TaskID]*owned{}, starts: map[topicPartition]int64{}, started: make(chan struct{})}
}

func (g *group) join() {
	g.app.joining.Store(true)
	g.app.state.to(Rebalancing)
}

// confirmed is the member id under which the instance was last assigned something, empty if that is over.
func (g *group) confirmed() string {
	if m := g.member.Load(); m != nil {
		return *m
	}
	return ""
}

// present is the member id that the client has now.
func (g *group) present() string {
	<-g.ready
	m, _ := g.app.consumer.GroupMetadata()
	return m
}

// assigned opens the tasks of the partitions that were added.
func (g *group) assigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	a := g.app
	member := g.present()
	g.member.Store(&member)
	a.joining.Store(false)
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.stopping.Load() {
		return
	}
	pause := map[string][]int32{}
	for _, t := range a.plan.Tasks {
		if g.owned[t.ID] != nil || !containsAny(added, t) {
			continue
		}
		o := &owned{plan: t, worker: g.idlest(), opening: make(chan struct{})}
		g.owned[t.ID] = o
		a.mu.Lock()
		for _, topic := range t.Topics {
			in := &input{topic: topic, partition: t.ID.Partition, id: t.ID, worker: o.worker, held: true}
			o.inputs = append(o.inputs, in)
			a.inputs[topicPartition{topic, t.ID.Partition}] = in
			pause[topic] = append(pause[topic], t.ID.Partition)
		}
		a.mu.Unlock()
		var ctx context.Context
		ctx, o.cancel = context.WithCancel(a.ctx)
		go g.open(ctx, o)
	}
	a.consumer.PauseFetchPartitions(pause)
	g.settled()
}

func containsAny(added map[string][]int32, t topology.TaskPlan) bool {
	return slices.ContainsFunc(t.Topics, func(topic string) bool { return slices.Contains(added[topic], t.ID.Partition) })
}

// idlest is the worker with the fewest tasks. REQUIRES: g.mu.
func (g *group) idlest() *worker {
	load := map[*worker]int{}
	for _, o := range g.owned {
		load[o.worker]++
	}
	best := g.app.workers[0]
	for _, w := range g.app.workers {
		if load[w] < load[best] {
			best = w
		}
	}
	return best
}

// settled changes the state to Running if all tasks run. REQUIRES: g.mu.
func (g *group) settled() {
	if g.app.joining.Load() {
		return
	}
	for _, o := range g.owned {
		if !o.ready {
			return
		}
	}
	g.app.state.to(Running)
}

// adjust says where to begin in partitions that have no committed offset, and lets the tasks that open know.
func (g *group) adjust(ctx context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	found := map[topicPartition]int64{}
	for topic, parts := range at {
		for p, o := range parts {
			offset := o.EpochOffset().Offset
			if offset < 0 {
				var err error
				if offset, err = g.app.begin(ctx, topic, p); err != nil {
					return nil, err
				}
				parts[p] = kgo.NewOffset().At(offset)
			}
			found[topicPartition{topic, p}] = offset
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for tp, offset := range found {
		g.starts[tp] = offset
	}
	close(g.started)
	g.started = make(chan struct{})
	return at, nil
}

// begin is the first offset to read of a partition that has none committed.
func (a *App) begin(ctx context.Context, topic string, partition int32) (int64, error) {
	start := topology.Earliest
	for _, s := range a.top.Subtopologies() {
		for _, t := range s.SourceTopics(a.cfg.ApplicationID) {
			if t.Name == topic {
				start = t.Start
			}
		}
	}
	list := a.cluster.admin.ListStartOffsets
	switch start {
	case topology.Latest:
		list = a.cluster.admin.ListEndOffsets
	case topology.NoStart:
		err := &TopicError{topic, fmt.Errorf("partition %d has no committed offset, and the source starts from none: set the group's offsets", partition)}
		a.fail(err)
		return 0, err
	}
	listed, err := list(ctx, topic)
	if err != nil {
		return 0, &TopicError{topic, fmt.Errorf("find where partition %d begins: %w", partition, err)}
	}
	o, ok := listed.Lookup(topic, partition)
	if !ok || o.Err != nil {
		return 0, &TopicError{topic, fmt.Errorf("find where partition %d begins: %w", partition, o.Err)}
	}
	return o.Offset, nil
}

// open brings a task to its worker: its state is opened and restored while others run.
func (g *group) open(ctx context.Context, o *owned) {
	defer close(o.opening)
	a := g.app
	r, err := g.openPatiently(ctx, o)
	if err != nil {
		if ctx.Err() == nil {
			a.fail(fmt.Errorf("open task %v: %w", o.plan.ID, err))
		}
		return
	}
	installed := o.worker.post(func() error { o.worker.install(r); return nil })
	select {
	case <-installed.done:
	case <-ctx.Done():
	}
	if installed.withdraw() {
		r.cancel()
		_ = r.db.Close()
		a.dir.released(o.plan.ID)
		return
	}
	<-installed.done
	resume := map[string][]int32{}
	a.mu.Lock()
	for _, in := range o.inputs {
		in.held = false
		resume[in.topic] = append(resume[in.topic], in.partition)
	}
	a.mu.Unlock()
	a.consumer.ResumeFetchPartitions(resume)
	g.mu.Lock()
	defer g.mu.Unlock()
	o.ready = true
	g.settled()
}

// openPatiently opens a task, again and again while it is the cluster that does not answer. Only some tasks of the instance open at a time.
func (g *group) openPatiently(ctx context.Context, o *owned) (*running, error) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		select {
		case g.app.openers <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		r, err := g.app.openTask(ctx, o)
		<-g.app.openers
		if err == nil || ctx.Err() != nil || classify(err) != retry && classify(err) != abort && !errors.Is(err, errAgain) {
			return r, err
		}
		g.app.log.Warn("open a task, trying again", "task", o.plan.ID, "err", err)
		if !sleep(ctx, wait) {
			return nil, ctx.Err()
		}
	}
}

// openTask opens, restores and starts a task.
func (a *App) openTask(ctx context.Context, o *owned) (*running, error) {
	at, err := a.awaitPositions(ctx, o)
	if err != nil {
		return nil, err
	}
	db, err := a.dir.openTask(a.cfg.ApplicationID, o.plan.ID)
	if err != nil {
		return nil, err
	}
	r := &running{id: o.plan.ID, db: db, inputs: o.inputs, ends: map[string]ended{}}
	fail := func(err error) (*running, error) {
		_ = db.Close()
		a.dir.released(o.plan.ID)
		return nil, err
	}
	var taskCtx context.Context
	taskCtx, r.cancel = context.WithCancel(a.ctx)
	share := a.taskShare(o.plan.ID)
	prod := func() *producer { return o.worker.prod }
	r.task, err = task.Open(task.Config{
		ID: o.plan.ID, Application: a.cfg.ApplicationID, Topology: a.top,
		Subtopologies: []*topology.Subtopology{a.top.Subtopologies()[o.plan.ID.Subtopology]},
		DB:            db, Globals: a.globalRows(), Context: taskCtx,
		Output:         func(out topology.Output) error { return prod().produce(&out, false) },
		Changelog:      func(out topology.Output) error { return prod().produce(&out, true) },
		Partitions:     func(topic string) (int32, error) { return a.cluster.partitionsOf(a.ctx, topic) },
		Go:             a.beside.start,
		Wake:           o.worker.poke,
		DeadLetters:    a.cfg.DeadLetters,
		MaxRecordBytes: a.cfg.MaxRecordBytes, Now: time.Now, CacheBytes: share.cache, DirtyBytes: share.dirty, Idle: a.cfg.TaskIdle,
	})
	if err != nil {
		r.cancel()
		return fail(err)
	}
	if err := a.restore(ctx, r, at.offsets); err != nil {
		r.cancel()
		return fail(err)
	}
	if err := r.task.Start(at.offsets, at.clocks); err != nil {
		r.cancel()
		return fail(err)
	}
	return r, nil
}

// positions are where a task goes on.
type positions struct {
	offsets map[string]int64
	clocks  []byte
}

// awaitPositions returns where a task begins, once the client has asked for its offsets.
func (a *App) awaitPositions(ctx context.Context, o *owned) (positions, error) {
	g := a.group
	for {
		g.mu.Lock()
		known, changed := true, g.started
		for _, in := range o.inputs {
			if _, ok := g.starts[topicPartition{in.topic, in.partition}]; !ok {
				known = false
			}
		}
		g.mu.Unlock()
		if known {
			return a.positions(ctx, o.plan.ID, o.inputs)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return positions{}, ctx.Err()
		}
	}
}

// positions reads where a task goes on: the group's offsets, or where it began. The clocks are in the metadata of its first input.
func (a *App) positions(ctx context.Context, id topology.TaskID, inputs []*input) (positions, error) {
	topics := map[string][]int32{}
	for _, in := range inputs {
		topics[in.topic] = []int32{in.partition}
	}
	at, err := a.cluster.committed(ctx, topics)
	if err != nil {
		return positions{}, err
	}
	out := positions{offsets: map[string]int64{}}
	for _, in := range inputs {
		var c kadm.Offset
		c, ok := at[in.topic][in.partition]
		if !ok {
			return positions{}, &TopicError{in.topic, fmt.Errorf("read the committed offset of partition %d: %w", in.partition, kerr.UnknownTopicOrPartition)}
		}
		if c.At < 0 {
			a.group.mu.Lock()
			out.offsets[in.topic] = a.group.starts[topicPartition{in.topic, in.partition}]
			a.group.mu.Unlock()
			continue
		}
		out.offsets[in.topic] = c.At
		if out.clocks == nil {
			out.clocks = task.DecodeMetadata(c.Metadata)
		}
	}
	return out, nil
}

// revoked commits all workers before a join, and gives up tasks that were lost in one. Workers that lose nothing run on.
func (g *group) revoked(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	<-g.ready
	if g.app.stopping.Load() {
		g.awaitStop()
		return
	}
	if len(lost) > 0 {
		g.eachWorker(g.take(lost), (*worker).giveUp)
		return
	}
	// Nothing is lost yet: a worker whose record takes long need not be waited for. It commits after the join.
	var done sync.WaitGroup
	for _, w := range g.app.workers {
		done.Go(func() {
			if c := w.post(func() error { return w.commit(true) }); !g.await(w, c) {
				w.log.Warn("a record takes longer than the group waits before a join: it is committed afterwards")
			} else if c.err != nil {
				g.app.fail(c.err)
			}
		})
	}
	done.Wait()
}

// lost drops the tasks of partitions that others may have by now.
func (g *group) lost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	<-g.ready
	none := ""
	g.member.Store(&none)
	g.app.joining.Store(false)
	if g.app.stopping.Load() {
		g.awaitStop()
		return
	}
	g.eachWorker(g.take(lost), (*worker).lose)
}

// take forgets the tasks that own any of the partitions, and ends the opening of those that do not run yet. It returns them by worker.
func (g *group) take(lost map[string][]int32) map[*worker][]topology.TaskID {
	a := g.app
	g.mu.Lock()
	var gone []*owned
	for id, o := range g.owned {
		if containsAny(lost, o.plan) {
			gone = append(gone, o)
			delete(g.owned, id)
		}
	}
	a.mu.Lock()
	for _, o := range gone {
		for _, in := range o.inputs {
			in.gone = true
			tp := topicPartition{in.topic, in.partition}
			delete(a.inputs, tp)
			delete(g.starts, tp)
		}
	}
	a.mu.Unlock()
	g.mu.Unlock()
	ids := map[*worker][]topology.TaskID{}
	for _, o := range gone {
		o.cancel()
		<-o.opening
		ids[o.worker] = append(ids[o.worker], o.plan.ID)
	}
	return ids
}

// eachWorker runs f at a record boundary of each worker, side by side, and waits for it. A worker that does not come to one is not waited for for
// ever: the group would give the member up. It may commit nothing any more, and the instance stops.
func (g *group) eachWorker(ids map[*worker][]topology.TaskID, f func(w *worker, ids []topology.TaskID) error) {
	var done sync.WaitGroup
	for w, mine := range ids {
		done.Go(func() {
			c := w.post(func() error { return f(w, mine) })
			var err error
			if g.await(w, c) {
				err = c.err
			} else {
				w.void.Store(true)
				err = fmt.Errorf("worker %d does not come to a record's end: a user function blocks for longer than the group waits", w.index)
			}
			if err != nil && !errors.Is(err, errEnded) {
				g.app.fail(err)
			}
		})
	}
	done.Wait()
}

// await waits for a call: for a user function half as long as the group does, for the cluster as long as it takes. The group may give this member up
// meanwhile; then nothing that it has not committed counts. It returns false, and the call will not run, if the worker did not come to it.
func (g *group) await(w *worker, c *call) bool {
	patience := min(g.app.cfg.RebalanceTimeout/2, 20*time.Second)
	for {
		select {
		case <-c.done:
			return true
		case <-time.After(patience):
			if !w.busy.Load() && c.withdraw() {
				return false
			}
			w.log.Warn("the group waits for a worker, which waits for the cluster")
		}
	}
}

// awaitStop waits until the workers of an instance that stops have given up their tasks. Those that do not in time may commit nothing any more.
func (g *group) awaitStop() {
	select {
	case <-g.app.stopped:
	case <-time.After(min(g.app.cfg.RebalanceTimeout/2, 20*time.Second)):
		for _, w := range g.app.workers {
			w.void.Store(true)
		}
	}
}

// cancelOpening ends the opening of tasks that do not run yet.
func (g *group) cancelOpening() {
	g.mu.Lock()
	all := make([]*owned, 0, len(g.owned))
	for _, o := range g.owned {
		all = append(all, o)
	}
	g.mu.Unlock()
	for _, o := range all {
		o.cancel()
		<-o.opening
	}
}
