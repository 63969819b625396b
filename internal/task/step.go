package task

import (
	"container/heap"
	"errors"
	"runtime/debug"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// Step processes one record: the one with the smallest timestamp among the heads of the inputs. It returns false if there is none to process
// now. An error means that the task must be rolled back or given up: a record that no policy lets pass, or state that cannot be read.
func (t *Task) Step(now time.Time) (bool, error) {
	q, err := t.choose(now)
	if q == nil || err != nil {
		return false, err
	}
	raw := q.front()
	describe(&t.meta, q, raw, q.in.Timestamp())
	t.streamTime.Advance(q.in.Timestamp().UnixMilli())
	if q.idle != nil {
		q.idle.took(q.in.Timestamp().UnixMilli(), now)
	}
	if err := t.process(q); err != nil {
		err = t.failed(q, err, now)
		t.enqueue(q)
		return true, err
	}
	if err := t.done(); err != nil {
		return true, err
	}
	q.pop()
	t.enqueue(q)
	return true, t.punctuate(topology.StreamTime, time.UnixMilli(t.streamTime.Now()).UTC())
}

// process sends the head of q down the graph.
func (t *Task) process(q *queue) error {
	if q.ahead != nil {
		q.ahead.begin()
		defer q.ahead.end()
	}
	return t.guard(q.in.Process)
}

// choose decodes heads where needed and returns the queue to take from.
func (t *Task) choose(now time.Time) (*queue, error) {
	if t.ahead != nil {
		t.ahead.advance(t.queues)
	}
	waiting := t.waiting[:0]
	for _, q := range t.waiting {
		if err := t.ready(q, now); err != nil {
			return nil, err
		}
		if q.waiting = !q.decoded && q.len() > 0; q.waiting {
			waiting = append(waiting, q)
		}
	}
	t.waiting = waiting
	if len(t.order) == 0 || !t.complete(now) {
		return nil, nil
	}
	q := t.order[0]
	heap.Pop(&t.order)
	return q, nil
}

// ready decodes the head of q, if there is one and it is time, and puts q into the order. Records at fault are decided about here.
func (t *Task) ready(q *queue, now time.Time) error {
	for !q.decoded && q.len() > 0 && !now.Before(q.notBefore) {
		raw := q.front()
		if raw.Control {
			q.pop()
			continue
		}
		if q.ahead != nil && !q.ahead.ready() {
			return nil // as if it were not here yet; the driver is woken
		}
		describe(&t.meta, q, raw, time.UnixMilli(max(raw.TimestampMs, 0)).UTC())
		// The queued record keeps the engine's headers: it is described again when it is processed, or tried again.
		t.head = *raw
		t.head.Headers = t.meta.Headers
		err := t.guard(func() error { return q.in.Decode(&t.head) })
		if err == nil {
			q.decoded, q.notBefore = true, time.Time{}
			heap.Push(&t.order, q)
			return nil
		}
		if err := t.failed(q, err, now); err != nil {
			return err
		}
	}
	return nil
}

// enqueue puts q back behind a record that is done, or lets it wait for the next attempt.
func (t *Task) enqueue(q *queue) {
	for q.len() > 0 && q.front().Control {
		q.pop()
	}
	t.wait(q)
}

// wait lets q wait for its head to be decoded, behind those that wait already: equal timestamps are taken in the order in which
// their queues came by them.
func (t *Task) wait(q *queue) {
	if q.len() > 0 && !q.decoded && !q.waiting {
		q.waiting = true
		t.waiting = append(t.waiting, q)
	}
}

// complete tells whether the task may choose: no input may hold an earlier record that is known to exist and not here. An input that
// waits for its own retry holds nobody up.
func (t *Task) complete(now time.Time) bool {
	if len(t.order) == len(t.queues) {
		return true
	}
	complete, forced := true, false
	for _, q := range t.queues { // all of them: empty inputs are waited for at the same time, not one after the other
		switch {
		case q.decoded || now.Before(q.notBefore):
			q.idleSince = time.Time{}
		case q.fetched < q.end || q.len() > 0: // the head may wait for its calls
			q.idleSince = time.Time{}
			complete = false
		case t.cfg.Idle > 0:
			if q.idleSince.IsZero() {
				q.idleSince = now
			}
			complete = complete && now.Sub(q.idleSince) >= t.cfg.Idle
			forced = true
		}
	}
	if complete && forced {
		t.counters.of(Forced, "", "").Add(1)
	}
	return complete
}

// describe fills m with the record that comes next. Only records of the application's own topics say where they come from: on any other
// topic that header is somebody else's.
func describe(m *topology.Metadata, q *queue, raw *topology.Raw, at time.Time) {
	m.Topic, m.Partition, m.Offset, m.Timestamp, m.Headers = raw.Topic, raw.Partition, raw.Offset, at, raw.Headers
	m.Origin = dlq.Origin{Topic: raw.Topic, Partition: raw.Partition, Offset: raw.Offset}
	if !q.in.Repartition {
		return
	}
	if rest, from, ok := topology.SplitOrigin(raw.Headers); ok {
		m.Headers, m.Origin = rest, from
	}
}

// guard runs user code and turns a panic into the failure of the node at work.
func (t *Task) guard(f func() error) error { return guarded(&t.cursor, &t.journal, t.errorf, f) }

func guarded(cursor *topology.Cursor, journal *state.Journal, errorf func(string, ...any) error, f func() error) (err error) {
	*cursor = topology.Cursor{}
	defer func() {
		if v := recover(); v != nil {
			if cursor.Node == nil {
				err = errorf("panic outside of any node: %v\n%s", v, debug.Stack())
			} else {
				err = cursor.Node.Panicked(v, debug.Stack())
			}
		}
		if broken := journal.Broken(); broken != nil {
			err = broken // whatever user code made of it
		}
	}()
	if err = f(); err == nil && cursor.Fault != nil {
		err = cursor.Fault
	}
	return err
}

// done releases the effects of the record in process.
func (t *Task) done() error {
	t.journal.Release()
	return t.release()
}

// release hands the outputs to the driver.
func (t *Task) release() error {
	for i := range t.outputs {
		if err := t.cfg.Output(t.outputs[i]); err != nil {
			t.broken = t.errorf("produce to topic %q: %w", t.outputs[i].Topic, err)
			return t.broken
		}
		t.produced = true
	}
	clear(t.outputs)
	t.outputs = t.outputs[:0]
	return nil
}

// undo takes the effects of the record in process back.
func (t *Task) undo() {
	t.journal.Undo()
	clear(t.outputs)
	t.outputs = t.outputs[:0]
}

// NextAttempt is the time of the earliest retry that the task waits for; ok is false if it waits for none.
func (t *Task) NextAttempt() (at time.Time, ok bool) {
	for _, q := range t.queues {
		if !q.notBefore.IsZero() && (!ok || q.notBefore.Before(at)) {
			at, ok = q.notBefore, true
		}
	}
	return at, ok
}

// isFault tells a record's failure from the task's.
func isFault(err error) (*topology.Fault, bool) {
	if _, ok := errors.AsType[*state.EngineError](err); ok {
		return nil, false
	}
	return errors.AsType[*topology.Fault](err)
}
