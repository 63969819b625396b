package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A worker is a goroutine that runs some of the instance's tasks and commits them together, with a producer of its own. Everything below but
// the inbox belongs to that goroutine; others reach it with do, which runs at a record boundary.
type worker struct {
	app   *App
	index int
	log   *slog.Logger
	prod  *producer

	mu      sync.Mutex
	inbox   []delivery
	calls   []*call
	ended   bool        // calls are not answered any more
	pending atomic.Bool // there are calls
	wake    chan struct{}
	over    chan struct{} // is closed when run has returned
	busy    atomic.Bool   // a commit or a rollback is on its way
	void    atomic.Bool   // the instance has stopped waiting for this worker: it may commit nothing any more

	failed bool // nothing more is processed or committed
	// careful is set by an abort, until two commits come shortly after one another: each record is committed by itself, so that one which takes longer
	// than a transaction may has at least its own.
	careful bool
	tasks   []*running

	lastApplied time.Time
	lastCommit  time.Time
	lastFlush   time.Time
}

// A delivery is what one fetch returned for one partition.
type delivery struct {
	in    *input
	epoch int64
	raws  []topology.Raw
	end   int64 // last stable offset
}

// running is a task on its worker.
type running struct {
	id     topology.TaskID
	task   *task.Task
	db     *state.DB
	inputs []*input
	cancel context.CancelFunc
	epoch  int64 // deliveries of another one are of before a rollback
	// ends are how far each store has applied its changelog. Every commit writes them all, also those that have not moved: a checkpoint must not
	// grow old while the store is up to date.
	ends map[string]ended
}

func newWorker(a *App, index int) *worker {
	return &worker{app: a, index: index, log: a.log.With("worker", index), wake: make(chan struct{}, 1), over: make(chan struct{})}
}

// deliver hands over records. It never blocks: what is queued is bounded by pausing partitions.
func (w *worker) deliver(d delivery) {
	w.mu.Lock()
	w.inbox = append(w.inbox, d)
	w.mu.Unlock()
	w.poke()
}

// A call is a function for the worker to run between two records.
type call struct {
	f       func() error
	claimed atomic.Bool // by the worker, to run it, or by the caller, to take it back
	done    chan struct{}
	err     error // of f; errEnded if it did not run. For those who have seen done closed
}

// errEnded answers a call that a worker has not run before it ended.
var errEnded = errors.New("the worker has ended")

// post lets f run on the worker's goroutine, between two records. The call's done is closed when it has run, or when the worker has ended without.
func (w *worker) post(f func() error) *call {
	c := &call{f: f, done: make(chan struct{}), err: errEnded}
	w.mu.Lock()
	if w.ended {
		close(c.done)
	} else {
		w.calls = append(w.calls, c)
		w.pending.Store(true)
	}
	w.mu.Unlock()
	w.poke()
	return c
}

// withdraw takes a call back. It returns false if the worker runs it already, or has.
func (c *call) withdraw() bool { return c.claimed.CompareAndSwap(false, true) }

// run is for the worker.
func (c *call) run() {
	if c.claimed.CompareAndSwap(false, true) {
		c.err = c.f()
	}
	close(c.done)
}

func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// A task has its turn until so many records, or so much time, have passed; then the others have theirs, and calls and commits are looked at. Time
// is looked at every few records.
const (
	stepsPerTurn = 256
	stepsPerLook = 4
	timePerTurn  = 20 * time.Millisecond
)

// run is the worker's loop. It ends with ctx. After an error, which stops the application, it processes nothing more but still answers calls: the
// group and the stop wait for that.
func (w *worker) run(ctx context.Context) {
	w.lastCommit, w.lastFlush = time.Now(), time.Now()
	defer close(w.over)
	defer w.end()
	defer func() {
		for len(w.tasks) > 0 { // only of a worker that was left behind
			w.remove(w.tasks[0], false)
		}
	}()
	interrupted := false
	for ctx.Err() == nil {
		w.receive()
		did, err := false, error(nil)
		if !w.failed && !interrupted {
			if did, err = w.turn(); err == nil && ctx.Err() == nil && w.due(time.Now()) {
				err = w.commit(false)
			}
		}
		switch {
		case errors.Is(err, errInterrupted):
			interrupted = true // what was done before may still be committed
		case err != nil:
			w.failed = true
			w.app.fail(err)
		}
		if !did {
			w.wait(ctx)
		}
	}
}

// end lets go of those who wait for calls.
func (w *worker) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, c := range w.calls {
		close(c.done)
	}
	w.calls = nil
}

// receive runs calls and queues deliveries.
func (w *worker) receive() {
	w.mu.Lock()
	inbox, calls := w.inbox, w.calls
	w.inbox, w.calls = nil, nil
	w.pending.Store(false)
	w.mu.Unlock()
	for _, d := range inbox {
		r := w.taskOf(d.in.id)
		if r == nil || d.epoch != r.epoch || !slices.Contains(r.inputs, d.in) {
			d.in.buffered.Add(-int64(len(d.raws)))
			continue
		}
		r.task.Add(d.in.topic, d.raws)
		r.task.SetEnd(d.in.topic, d.end)
		queued := int64(r.task.Buffered(d.in.topic))
		if twice := d.in.queued + int64(len(d.raws)) - queued; twice > 0 {
			d.in.buffered.Add(-twice)
			w.log.Warn("records came that were there already: the log may have been cut off and grown again", "topic", d.in.topic,
				"partition", d.in.partition, "from", d.raws[0].Offset, "records", twice)
		}
		d.in.queued = queued
	}
	for _, c := range calls {
		c.run()
	}
}

func (w *worker) taskOf(id topology.TaskID) *running {
	for _, r := range w.tasks {
		if r.id == id {
			return r
		}
	}
	return nil
}

// turn lets each task process some records and run its timers. It tells whether any did.
func (w *worker) turn() (did bool, err error) {
	for _, r := range w.tasks {
		if w.held() {
			return did, nil
		}
		n, err := w.turnOf(r)
		if err != nil {
			return did, w.failure(r, err)
		}
		if n > 0 {
			did = true
			w.app.release(r)
		}
		if w.pending.Load() || w.careful && n > 0 {
			return true, nil
		}
	}
	return did, nil
}

// turnOf returns how many records the task has processed.
func (w *worker) turnOf(r *running) (n int, err error) {
	now := time.Now()
	if err := r.task.Tick(now); err != nil {
		return 0, err
	}
	for until := now.Add(timePerTurn); n < stepsPerTurn; n++ {
		if n%stepsPerLook == stepsPerLook-1 {
			if now = time.Now(); now.After(until) || w.pending.Load() {
				return n, nil
			}
		}
		did, err := r.task.Step(now)
		if err != nil || !did {
			return n, err
		}
		if w.careful {
			return n + 1, nil
		}
	}
	return n, nil
}

// held tells that no more may be done before a commit that waits for the group: the open transaction is so old that the broker would give it up, or
// what is uncommitted has its share of memory.
func (w *worker) held() bool {
	if w.overdue() {
		return true
	}
	return w.app.joining.Load() && slices.ContainsFunc(w.tasks, func(r *running) bool { return r.task.CommitWanted() })
}

// overdue tells that the open transaction is so old that no more may be added before it ends: a commit waits for the group, and the broker would give the
// transaction up.
func (w *worker) overdue() bool {
	return w.prod.open && w.prod.id != "" && time.Since(w.prod.since) > w.app.cfg.TransactionTimeout/2
}

// failure gives the error of a task up to the application. A record that was interrupted because the task must stop is no failure of its own: it
// is processed again by whoever has the task next.
func (w *worker) failure(r *running, err error) error {
	if w.app.ctx.Err() != nil {
		w.log.Info("a record was interrupted by the stop, it will be processed again", "task", r.id, "err", err)
		return fmt.Errorf("task %v: %w", r.id, errInterrupted)
	}
	return err
}

// errInterrupted stops a worker whose record was interrupted. The application is stopping already.
var errInterrupted = errors.New("interrupted by the stop of the application")

// due tells whether it is time to commit.
func (w *worker) due(now time.Time) bool {
	if w.careful || now.Sub(w.lastCommit) >= w.app.cfg.CommitInterval {
		return true
	}
	return slices.ContainsFunc(w.tasks, func(r *running) bool { return r.task.CommitWanted() })
}

// wait sleeps until there is something to do: a delivery, a call, a commit, a timer or a retry.
func (w *worker) wait(ctx context.Context) {
	now := time.Now()
	until := now.Add(time.Second)
	if slices.ContainsFunc(w.tasks, func(r *running) bool { return r.task.Uncommitted() }) {
		until = w.lastCommit.Add(w.app.cfg.CommitInterval)
		if w.app.joining.Load() {
			until = now.Add(20 * time.Millisecond) // the commit waits for the group
		}
	}
	for _, r := range w.tasks {
		if at, ok := r.task.NextTimer(); ok && at.Before(until) {
			until = at
		}
		if at, ok := r.task.NextAttempt(); ok && at.Before(until) {
			until = at
		}
	}
	if w.app.cfg.TaskIdle > 0 {
		until = minTime(until, now.Add(10*time.Millisecond))
	}
	t := time.NewTimer(max(until.Sub(now), time.Millisecond))
	defer t.Stop()
	select {
	case <-w.wake:
	case <-t.C:
	case <-ctx.Done():
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// install takes over a task that is ready to run.
func (w *worker) install(r *running) {
	w.tasks = append(w.tasks, r)
	w.app.stats.started(r.id, r.task.Positions())
	slices.SortFunc(w.tasks, func(a, b *running) int {
		return int(a.id.Partition-b.id.Partition)*1000 + a.id.Subtopology - b.id.Subtopology
	})
}

// remove closes a task's state and forgets it. What it has not committed is lost. current tells that its state is as the group has it, now.
func (w *worker) remove(r *running, current bool) {
	w.tasks = slices.DeleteFunc(w.tasks, func(x *running) bool { return x == r })
	r.cancel()
	w.app.stats.closed(r.id)
	if current {
		w.app.confirm(r)
	}
	if err := r.db.Close(); err != nil {
		w.log.Warn("close state of a task: what it lacks is restored from the changelog", "task", r.id, "err", err)
	}
	w.app.dir.released(r.id)
}

// giveUp commits the worker's tasks and removes those with these ids. Under a join, what cannot be committed is aborted: it will be processed again by the
// next owner.
func (w *worker) giveUp(ids []topology.TaskID) error {
	err := w.commit(true)
	for _, id := range ids {
		if r := w.taskOf(id); r != nil {
			w.remove(r, err == nil && !r.task.Uncommitted())
		}
	}
	return err
}

// lose removes tasks without a commit: the group has given them to others already.
func (w *worker) lose(ids []topology.TaskID) error {
	for _, id := range ids {
		if r := w.taskOf(id); r != nil {
			w.remove(r, false)
		}
	}
	if w.failed {
		return nil
	}
	return w.abort(errors.New("the group has taken partitions away"))
}
