package task

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/arena"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// ahead makes the calls of asynchronous operators before their records are processed. Queued records are sent into a second copy of the paths from the
// sources to these operators, which asks for the calls; they are made on goroutines of the driver, many at once. A record is processed when all its calls
// are back: the operators then find the results, in the order in which they were asked for. Failures, effects and commits are those of any
// record.
//
// Everything here is for the task's goroutine but the mailbox.
type ahead struct {
	cfg    *Config
	ctx    context.Context // of the calls
	cancel context.CancelFunc
	host   *scout
	ops    []*operator
	slots  int // calls that may be on their way, all operators together
	lanes  map[laneKey]*lane

	scouted *window // whose record is in the second copy
	current *plan   // of the record in process

	box *mailbox
	// strays are calls of before the last wiring that are not back yet. No call is made before they are: calls for one key never overlap.
	strays int
}

// An operator is an asynchronous operator in this task.
type operator struct {
	node   string
	atOnce int
	flying int
	ready  []*flight // first in their lanes
}

// A lane holds the calls of one operator for one key and input, in the order they are to be made. Only the first may be on its way. It stays when it
// has failed, until its record is decided about.
type lane struct {
	key     laneKey
	flights []*flight
}

type laneKey struct {
	node, topic string
	key         any
}

// A flight is one call.
type flight struct {
	topology.Ask
	owner *ahead
	op    *operator
	lane  *lane
	plan  *plan
	meta  topology.Metadata
	state flightState
	ready bool // in operator.ready
}

type flightState uint8

const (
	waiting flightState = iota
	flying
	back
	abandoned // behind a call of the same record that failed: it will not be asked about
)

// A plan holds the calls of one record.
type plan struct {
	flights []*flight
	open    int // not back
	next    int // to be asked about
}

// A window is the part of a queue that has been looked at.
type window struct {
	a     *ahead
	q     *queue
	in    topology.Input
	plans []*plan // of the records from the head on
	calls int     // in these plans
	again bool    // the head is to be tried again, with new calls
}

// Records that are looked at ahead of the head, and calls per queue for each that may be on its way: enough to keep all of them busy where some keys
// come often.
const (
	maxScouted   = 1024
	callsPerSlot = 4
)

// wireAhead replaces what the last wiring has left. It returns nil if the task has no asynchronous operator, or a driver that makes no calls.
func (t *Task) wireAhead(last *ahead) (*ahead, error) {
	a := &ahead{cfg: &t.cfg, lanes: map[laneKey]*lane{}, box: &mailbox{wake: t.cfg.Wake}}
	if last != nil {
		last.cancel()
		a.box, a.strays = last.box, last.strays
		for _, op := range last.ops {
			a.strays += op.flying
		}
	}
	if t.cfg.Go == nil {
		return nil, nil
	}
	a.host = newScout(t)
	inputs, err := t.cfg.Topology.WireAhead(a.host, a.ask, t.cfg.Subtopologies...)
	if err != nil || len(inputs) == 0 {
		return nil, err
	}
	a.ctx, a.cancel = context.WithCancel(t.cfg.Context)
	for _, in := range inputs {
		if q := t.byTopic[in.Topic]; q != nil {
			q.ahead = &window{a: a, q: q, in: in.Input}
		}
	}
	return a, nil
}

// Called implements topology.Caller.
func (t *Task) Called(node string) topology.Call {
	if t.ahead == nil || t.ahead.current == nil {
		return nil
	}
	p := t.ahead.current
	for i := p.next; i < len(p.flights); i++ {
		if f := p.flights[i]; f.Node == node {
			p.next = i + 1
			if f.state == back {
				return f.Call
			}
			return nil
		}
	}
	return nil
}

// advance takes calls that are back, looks further ahead and makes the calls that may be made.
func (a *ahead) advance(queues []*queue) {
	a.collect()
	for _, q := range queues {
		if q.ahead != nil {
			q.ahead.look()
		}
	}
	a.start()
}

// ready tells whether the calls of the queue's head are back.
func (w *window) ready() bool {
	if len(w.plans) == 0 || w.again {
		if w.again {
			w.scoutAgain()
		}
		w.look() // the head, if it is new
		w.a.start()
	}
	return len(w.plans) > 0 && w.plans[0].open == 0
}

// begin lets the head's operators ask for its calls, end ends that.
func (w *window) begin() { w.plans[0].next, w.a.current = 0, w.plans[0] }
func (w *window) end()   { w.a.current = nil }

// look sends more records ahead, while there is room. The head always has.
func (w *window) look() {
	for len(w.plans) < w.q.len() {
		if n := len(w.plans); n > 0 && (n >= maxScouted || w.calls >= callsPerSlot*max(w.a.slots, 1)) {
			return
		}
		p := &plan{}
		w.plans = append(w.plans, p)
		if err := w.scout(len(w.plans) - 1); serde.IsUnavailable(err) && len(w.plans) > 1 {
			w.forget(p)
			w.plans = w.plans[:len(w.plans)-1] // until it is the head
			return
		}
	}
}

// scoutAgain makes a new plan for the head.
func (w *window) scoutAgain() {
	old := w.plans[0]
	w.plans[0] = &plan{}
	w.calls -= len(old.flights)
	touched := old.clear()
	_ = w.scout(0)
	w.again = false
	for _, l := range touched {
		w.a.settle(l)
	}
}

// pop moves over the head's plan.
func (w *window) pop() {
	if len(w.plans) == 0 {
		return
	}
	p := w.plans[0]
	w.plans[0], w.plans, w.again = nil, w.plans[1:], false
	w.forget(p)
}

// forget lets the calls behind those of a plan go on.
func (w *window) forget(p *plan) {
	w.calls -= len(p.flights)
	for _, l := range p.clear() {
		w.a.settle(l)
	}
}

// clear takes the plan's calls out of their lanes, and returns those it was in.
func (p *plan) clear() []*lane {
	var touched []*lane
	for _, f := range p.flights {
		if i := slices.Index(f.lane.flights, f); i >= 0 {
			f.lane.flights = slices.Delete(f.lane.flights, i, i+1)
			touched = append(touched, f.lane)
		}
	}
	return touched
}

// scout sends the record of plans[i] into the second copy. What goes wrong there goes wrong again when the record is processed.
func (w *window) scout(i int) (err error) {
	raw := w.q.raws[w.q.head+i]
	if raw.Control {
		return nil
	}
	h := w.a.host
	w.a.scouted, h.at = w, i
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
		h.journal.Release()
		w.a.scouted = nil
	}()
	describe(&h.meta, w.q, &raw, time.UnixMilli(max(raw.TimestampMs, 0)).UTC())
	raw.Headers = h.meta.Headers
	if err := w.in.Decode(&raw); err != nil {
		return err
	}
	h.meta.Timestamp = w.in.Timestamp()
	return w.in.Process()
}

// ask takes a call that the second copy asks for.
func (a *ahead) ask(k topology.Ask) {
	w := a.scouted
	f := &flight{Ask: k, owner: a, op: a.operator(&k), plan: w.plans[a.host.at], meta: a.host.meta}
	f.plan.flights = append(f.plan.flights, f)
	f.plan.open++
	w.calls++
	key := laneKey{node: k.Node, topic: w.q.in.Topic, key: k.Key}
	if source := w.q.raws[w.q.head+a.host.at].Key; k.Key == nil && source != nil {
		key.key = string(source)
	}
	if k.Unordered || key.key == nil {
		f.lane = &lane{}
	} else if f.lane = a.lanes[key]; f.lane == nil {
		f.lane = &lane{key: key}
		a.lanes[key] = f.lane
	}
	at := len(f.lane.flights)
	if w.again { // before those of later records, but for one that is on its way
		at = 0
		for at < len(f.lane.flights) && (f.lane.flights[at].state == flying || f.lane.flights[at].plan == f.plan) {
			at++
		}
	}
	f.lane.flights = slices.Insert(f.lane.flights, at, f)
	a.settle(f.lane)
}

func (a *ahead) operator(k *topology.Ask) *operator {
	for _, op := range a.ops {
		if op.node == k.Node {
			return op
		}
	}
	op := &operator{node: k.Node, atOnce: k.AtOnce}
	a.ops = append(a.ops, op)
	a.slots += op.atOnce
	return op
}

// settle lets the lane's first call be made, or forgets an empty lane.
func (a *ahead) settle(l *lane) {
	if len(l.flights) == 0 {
		if a.lanes[l.key] == l {
			delete(a.lanes, l.key)
		}
		return
	}
	if f := l.flights[0]; f.state == waiting && !f.ready {
		f.ready = true
		f.op.ready = append(f.op.ready, f)
	}
}

// start makes the calls that may be made.
func (a *ahead) start() {
	if a.strays > 0 || a.ctx.Err() != nil {
		return
	}
	for _, op := range a.ops {
		for op.flying < op.atOnce && len(op.ready) > 0 {
			f := op.ready[0]
			op.ready[0], op.ready = nil, op.ready[1:]
			f.ready = false
			if len(f.lane.flights) == 0 || f.lane.flights[0] != f {
				continue // another one has come before it
			}
			f.state = flying
			op.flying++
			ctx := topology.WithMetadata(a.ctx, &f.meta)
			a.cfg.Go(func() {
				defer a.box.put(f)
				f.Make(ctx)
			})
		}
	}
}

// collect takes the calls that are back.
func (a *ahead) collect() {
	for _, f := range a.box.take() {
		if f.owner != a {
			a.strays--
			continue
		}
		f.op.flying--
		f.state = back
		f.plan.open--
		l := f.lane
		if !f.Failed() {
			l.flights = slices.DeleteFunc(l.flights, func(x *flight) bool { return x == f })
			a.settle(l)
			continue
		}
		l.flights = slices.DeleteFunc(l.flights, func(x *flight) bool {
			if x.plan != f.plan || x.state != waiting {
				return false
			}
			x.state = abandoned
			x.plan.open--
			return true
		})
	}
}

// A mailbox takes the calls that are back, from any goroutine.
type mailbox struct {
	wake    func()
	some    atomic.Bool
	mu      sync.Mutex
	flights []*flight
}

func (b *mailbox) put(f *flight) {
	b.mu.Lock()
	b.flights = append(b.flights, f)
	b.some.Store(true)
	b.mu.Unlock()
	if b.wake != nil {
		b.wake()
	}
}

func (b *mailbox) take() []*flight {
	if !b.some.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.flights
	b.flights = nil
	b.some.Store(false)
	return out
}

// A scout is the host of the second copy. Nodes that have effects are not in it.
type scout struct {
	topology.Host
	ctx     context.Context
	meta    topology.Metadata
	cursor  topology.Cursor
	arena   arena.Arena
	journal state.Journal
	at      int // which of the window's plans is being made
}

func newScout(t *Task) *scout {
	h := &scout{Host: t}
	h.ctx = topology.WithMetadata(t.cfg.Context, &h.meta)
	return h
}

func (h *scout) Context() context.Context           { return h.ctx }
func (h *scout) Metadata() *topology.Metadata       { return &h.meta }
func (h *scout) Cursor() *topology.Cursor           { return &h.cursor }
func (h *scout) Arena() *arena.Arena                { return &h.arena }
func (h *scout) Clock(string) *state.Clock          { return state.NewClock(&h.journal) }
func (h *scout) Counter(_, _ string) *state.Counter { return state.NewCounter(&h.journal) }
func (h *scout) Emit(topology.Output) error         { return nil }
func (h *scout) RequestCommit()                     {}
func (h *scout) OnCommit(func() error)              {}
func (h *scout) Store(name string) (state.Store, error) {
	return nil, fmt.Errorf("store %q is not for what runs ahead", name)
}
func (h *scout) OnIdle(string, time.Duration, func(int64) error) {}

func (h *scout) Schedule(string, topology.ClockType, time.Duration, func(time.Time) error) {}
