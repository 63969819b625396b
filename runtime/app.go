package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/wire"
	"github.com/weirstream/weir/topology"
)

// An App is one instance of an application. All methods are safe for concurrent use.
type App struct {
	top   *topology.Topology
	cfg   Config
	log   *slog.Logger
	state stateMachine
	stats *stats
	hook  func(point string) // lets a test end the process at a point of a commit
	// rolledBack tells a test where a task goes on behind an abort; on its worker.
	rolledBack func(id topology.TaskID, positions map[string]int64)
	grace      time.Duration // stopGrace, but in tests
	look       time.Duration // lookInterval, but in tests

	// Of a run.
	ctx      context.Context // of user functions; ends when tasks must stop
	io       context.Context // of requests; ends when nothing is waited for any more
	cluster  *cluster
	dir      *stateDir
	plan     *topology.Plan
	ahead    int64    // bytes that may be fetched ahead of a partition
	globals  *globals // nil without global stores
	consumer *kgo.Client
	workers  []*worker
	group    *group

	joining  atomic.Bool // the group is between a join and its end
	stopping atomic.Bool
	stopped  chan struct{} // is closed when the workers have given up their tasks
	fatal    chan error
	beside   *calls        // of asynchronous operators
	openers  chan struct{} // holds one element for each task that is being opened

	mu         sync.Mutex
	inputs     map[topicPartition]*input
	calls      []func() // for the fetch loop
	cancelPoll context.CancelFunc
}

// New returns an instance that runs the topology. It reports everything that is wrong with the configuration; the cluster is not asked yet.
func New(top *topology.Topology, cfg Config) (*App, error) {
	err := cfg.Validate()
	if top == nil {
		err = errors.Join(errors.New("topology: there is none: build it"), err)
	}
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	a := &App{
		top: top, cfg: cfg, log: cfg.Logger.With("application", cfg.ApplicationID), stats: newStats(), hook: func(string) {},
		rolledBack: func(topology.TaskID, map[string]int64) {},
		inputs:     map[topicPartition]*input{}, fatal: make(chan error, 16), stopped: make(chan struct{}),
		beside: newCalls(), openers: make(chan struct{}, openAtOnce), grace: stopGrace, look: lookInterval,
	}
	a.state.listen = func(from, to State) {
		a.log.Info("state changes", "from", from.String(), "to", to.String())
		if cfg.OnState != nil {
			cfg.OnState(from, to)
		}
	}
	return a, nil
}

// openAtOnce is how many tasks are opened and restored side by side.
const openAtOnce = 4

// State tells where the instance stands.
func (a *App) State() State { return a.state.get() }

// Stats tells what the instance has done.
func (a *App) Stats() Stats { return a.stats.read() }

// Run runs the topology until ctx ends, and returns nil then, or until something fails that no policy absorbs, and returns that. It
// commits what is done, gives its tasks up and leaves nothing running behind. An App runs once.
//
// While no broker answers it waits: a cluster that is down, at the start or later, is waited for.
func (a *App) Run(ctx context.Context) error {
	if !a.state.to(Starting) {
		return fmt.Errorf("run application %q: it has run already: make a new App", a.cfg.ApplicationID)
	}
	err := a.run(ctx)
	a.state.to(Stopping)
	if err != nil {
		a.state.to(Failed)
		return fmt.Errorf("application %q: %w", a.cfg.ApplicationID, err)
	}
	a.state.to(Stopped)
	return nil
}

func (a *App) run(ctx context.Context) (err error) {
	if a.dir, err = openStateDir(a.cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.dir.close()) }()
	taken, err := a.dir.planTakeover(a.top)
	if err != nil {
		return err
	}
	if a.cluster, err = newCluster(a.cfg); err != nil {
		return err
	}
	defer a.cluster.close()
	leftBehind := false
	defer func() { err = errors.Join(err, a.globals.close(leftBehind)) }()
	var endIO context.CancelFunc
	a.io, endIO = context.WithCancel(context.Background())
	defer endIO()
	defer func() {
		for _, w := range a.workers {
			w.prod.close()
		}
	}()
	if err := a.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if err := taken.done(a.log, a.cfg.ApplicationID); err != nil {
		return err
	}
	err = a.work(ctx, endIO)
	if late := a.globals.stop(3 * a.grace); late != nil {
		leftBehind, err = true, errors.Join(err, late)
	}
	return err
}

// prepare waits for a broker, checks the cluster, loads the global stores and makes the workers' producers.
func (a *App) prepare(ctx context.Context) error {
	if err := a.cluster.await(ctx); err != nil {
		return err
	}
	var err error
	for {
		var top *topology.Topology
		if top, err = a.cluster.resolve(ctx, a.top); err == nil {
			if a.plan, err = a.cluster.prepare(ctx, top); err == nil {
				a.top = top
			}
		}
		if err == nil || classify(err) != retry {
			break
		}
		a.log.Warn("check the cluster, trying again", "err", err)
		if !sleep(ctx, 500*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	if err != nil {
		return err
	}
	a.cluster.reportLeftBehind(ctx, a.top, a.plan)
	a.dir.memTable, a.ahead = a.memTableBytes(), a.aheadBytes()
	if err := a.loadGlobals(ctx); err != nil {
		return err
	}
	for i := range a.cfg.Workers {
		w := newWorker(a, i)
		if w.prod, err = newProducer(ctx, a.io, a.cfg, i, a.dir.processID); err != nil {
			return err
		}
		a.workers = append(a.workers, w)
	}
	return nil
}

// work joins the group and runs until ctx ends or something fails.
func (a *App) work(ctx context.Context, endIO context.CancelFunc) error {
	taskCtx, endTasks := context.WithCancelCause(context.Background())
	defer endTasks(nil)
	a.ctx = taskCtx
	a.group = newGroup(a)
	var err error
	if a.consumer, err = a.newConsumer(); err != nil {
		return err
	}
	close(a.group.ready)
	a.state.to(Rebalancing)

	loops, endLoops := context.WithCancel(context.Background())
	defer endLoops()
	for _, w := range a.workers {
		go w.run(loops)
	}
	fetching, endFetching := context.WithCancel(context.Background())
	defer endFetching()
	var fetched sync.WaitGroup
	fetched.Go(func() {
		if err := a.fetch(fetching); err != nil {
			a.fail(err)
		}
	})
	fetched.Go(func() { a.keepHouse(fetching) })
	if a.globals != nil {
		a.globals.follow(fetching)
	}

	var failure error
	select {
	case <-ctx.Done():
	case failure = <-a.fatal:
	}
	a.state.to(Stopping)
	a.stopping.Store(true)
	endFetching()
	fetched.Wait()
	err = a.stop(failure == nil, endTasks, endIO)
	close(a.stopped)
	endLoops()
	a.consumer.Close()
	for _, w := range a.workers {
		if !w.void.Load() {
			<-w.over // one that hangs in a user function is left behind
		}
	}
	endTasks(nil)
	return errors.Join(failure, err, a.beside.wait(a.grace))
}

// stopGrace is how long a worker may take to finish the record in process before user functions are interrupted, and then how long it may take to
// come to an end, and to commit, before it is left behind.
const stopGrace = 15 * time.Second

// stop commits and closes all tasks. After a failure nothing is committed: what was not committed by then is processed again.
func (a *App) stop(clean bool, endTasks context.CancelCauseFunc, endIO context.CancelFunc) error {
	a.group.cancelOpening()
	interrupt := time.AfterFunc(a.grace, func() { endTasks(errors.New("the application stops")) })
	defer interrupt.Stop()
	giveUp := time.AfterFunc(2*a.grace, endIO)
	defer giveUp.Stop()
	errs := make([]error, len(a.workers))
	var stopped sync.WaitGroup
	for i, w := range a.workers {
		stopped.Go(func() {
			c := w.post(func() error { return w.stop(clean) })
			select {
			case <-c.done:
			case <-time.After(3 * a.grace):
				if c.withdraw() {
					w.void.Store(true)
					errs[i] = fmt.Errorf("worker %d does not stop: a user function blocks and does not heed its context; it is left behind", w.index)
					return
				}
				<-c.done
			}
			errs[i] = c.err
		})
	}
	stopped.Wait()
	return errors.Join(errs...)
}

// stop ends the worker's tasks.
func (w *worker) stop(clean bool) error {
	var err error
	if clean && !w.failed {
		err = w.commit(true)
	}
	if w.prod.open {
		ctx, cancel := context.WithTimeout(w.app.io, w.app.cfg.RequestTimeout)
		defer cancel()
		if err := w.prod.abort(ctx); err != nil {
			w.log.Warn("abort at the end: the broker will, by timeout or when the next producer takes the id", "err", err)
		}
	}
	for len(w.tasks) > 0 {
		r := w.tasks[0]
		w.remove(r, clean && err == nil && !r.task.Uncommitted())
	}
	return err
}

// fail stops the application.
func (a *App) fail(err error) {
	if errors.Is(err, errInterrupted) {
		return
	}
	select {
	case a.fatal <- err:
	default:
		a.log.Error("another failure while the application stops", "err", err)
	}
}

func (a *App) newConsumer() (*kgo.Client, error) {
	topics := sourceTopics(a.top, a.cfg.ApplicationID)
	manifest := a.top.Manifest()
	encoded, err := manifest.Encode()
	if err != nil {
		return nil, err
	}
	b := &balancer{
		self:     wire.Subscription{ProcessID: a.dir.processID, Workers: uint32(a.cfg.Workers), Manifest: encoded},
		manifest: manifest, tasks: a.plan.Tasks, onJoin: a.group.join, onRefused: a.fail, member: a.group.present,
	}
	if a.top.HasPatterns() {
		b.tasksWith = a.tasksWith
	}
	c, err := kgo.NewClient(append(a.cfg.options("consumer"),
		kgo.ConsumerGroup(a.cfg.ApplicationID), kgo.ConsumeTopics(topics...), kgo.Balancers(b), kgo.DisableAutoCommit(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(a.cfg.SessionTimeout), kgo.RebalanceTimeout(a.cfg.RebalanceTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, a.cfg.SessionTimeout/3)),
		kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(2<<20), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.OnPartitionsAssigned(a.group.assigned), kgo.OnPartitionsRevoked(a.group.revoked), kgo.OnPartitionsLost(a.group.lost),
		kgo.AdjustFetchOffsetsFn(a.group.adjust),
	)...)
	if err != nil {
		return nil, fmt.Errorf("make a consumer: %w", err)
	}
	return c, nil
}
