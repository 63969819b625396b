package task

import (
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/topology"
)

// unavailableDelay is how long a partition waits when a serde's service cannot be reached.
const unavailableDelay = time.Second

// failed is the one place where a record's failure meets its policy. The record is the head of q. Its effects are undone first; then it is
// dropped, sent to the dead-letter topic or left for a retry, and nil is returned; or the task fails with it.
func (t *Task) failed(q *queue, err error, now time.Time) error {
	t.undo()
	raw := q.front()
	if t.cfg.Context.Err() != nil {
		return t.at(raw, err) // interrupted: it is no failure of the record, and no policy is asked
	}
	fault, ok := isFault(err)
	if !ok {
		return t.at(raw, err)
	}
	if serde.IsUnavailable(err) {
		t.counters.of(Retried, fault.Node, "unavailable").Add(1)
		t.retry(q, now.Add(unavailableDelay))
		return nil
	}
	f := fault.Failure
	f.Attempts = q.attempts + 1
	policy := fault.Policy
	if policy == nil {
		policy = t.cfg.Topology.Policy()
	}
	d := dlq.Resolve(policy, &f)
	if held := t.cursor.Held; held != nil && d.Action != dlq.ActionRetry {
		return t.at(raw, fmt.Errorf("send what node %q has held back: no policy applies, for the record in process did not cause it: %w", held.Name(), &f))
	}
	switch d.Action {
	case dlq.ActionRetry:
		t.counters.of(Retried, f.Node, string(f.Stage)).Add(1)
		q.attempts++
		t.retry(q, now.Add(d.Delay))
		return nil
	case dlq.ActionSkip:
		t.counters.of(Dropped, f.Node, "failed").Add(1)
	case dlq.ActionSend:
		if err := t.sendLetter(raw, &f, d, now); err != nil {
			t.undo()
			return t.at(raw, err)
		}
		t.counters.of(DeadLetter, f.Node, d.Reason).Add(1)
	default:
		return t.at(raw, &f)
	}
	if err := t.done(); err != nil {
		return err
	}
	q.pop()
	return nil
}

// retry leaves the head where it is, for a while.
func (t *Task) retry(q *queue, at time.Time) {
	t.journal.Release()
	q.decoded, q.notBefore = false, at
	if q.ahead != nil {
		q.ahead.again = true
	}
}

func (t *Task) at(raw *topology.Raw, err error) error {
	return &RecordError{Task: t.cfg.ID, Topic: raw.Topic, Partition: raw.Partition, Offset: raw.Offset, Err: err}
}

// A RecordError says at which record a task failed.
type RecordError struct {
	Task      topology.TaskID
	Topic     string
	Partition int32
	Offset    int64
	Err       error
}

// Error names task, topic, partition and offset.
func (e *RecordError) Error() string {
	return fmt.Sprintf("task %v: topic %q partition %d offset %d: %v", e.Task, e.Topic, e.Partition, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// sendLetter emits the dead letter of the record in process: its bytes as they are, its headers, and what happened. It goes to the dead-letter
// topic of the topic where the record entered the application.
func (t *Task) sendLetter(raw *topology.Raw, f *dlq.Failure, d dlq.Decision, now time.Time) error {
	topic := d.Topic
	if topic == "" {
		var err error
		if topic, err = t.cfg.DeadLetters.Topic(t.meta.Origin.Topic); err != nil {
			return fmt.Errorf("name the dead-letter topic: %w; the record's failure was: %v", err, f)
		}
	}
	n, err := t.cfg.Partitions(topic)
	if err != nil {
		return fmt.Errorf("send the record to dead-letter topic %q: %w; its failure was: %v", topic, err, f)
	}
	letter := dlq.NewLetter(f, d, t.cfg.Application, t.meta.Origin, now)
	p := t.Sticky(n)
	if raw.Key != nil {
		p = topology.PartitionFor(raw.Key, n)
	}
	o := topology.Output{
		Topic: topic, Partition: p, Key: raw.Key, Value: raw.Value, Timestamp: time.UnixMilli(max(raw.TimestampMs, 0)).UTC(),
		Headers: letter.AppendHeaders(slices.Clip(t.meta.Headers)),
	}
	if err = t.Emit(o); err != nil {
		letter.LimitMessage(0)
		o.Headers = letter.AppendHeaders(slices.Clip(t.meta.Headers))
		err = t.Emit(o)
	}
	if err != nil {
		return fmt.Errorf("send the record to dead-letter topic %q: %w; its failure was: %v", topic, err, f)
	}
	return nil
}
