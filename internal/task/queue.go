package task

import (
	"time"

	"github.com/weirstream/weir/topology"
)

// A queue holds the records of one input partition that are fetched and not done. Only the head is decoded.
type queue struct {
	in   topology.SourceInput
	idle *idle // nil for an input that is never idle
	// ahead is nil for an input without asynchronous operators behind it.
	ahead *window
	raws  []topology.Raw
	head  int

	decoded   bool  // the head is in the input
	waiting   bool  // for its head to be decoded: in Task.waiting
	position  int64 // the offset to commit: everything below is done
	epoch     int32 // leader epoch of the last record done
	committed int64 // the position of the last commit
	fetched   int64 // the offset after the last one added
	end       int64 // the last stable offset, as far as known

	attempts  int       // failed ones of the head
	notBefore time.Time // of the next attempt
	idleSince time.Time // empty since, with nothing known to come
}

func (q *queue) len() int { return len(q.raws) - q.head }

func (q *queue) front() *topology.Raw { return &q.raws[q.head] }

// pop moves over the head.
func (q *queue) pop() {
	r := q.front()
	q.position, q.epoch = r.Offset+1, r.LeaderEpoch
	*r = topology.Raw{}
	if q.ahead != nil {
		q.ahead.pop()
	}
	q.head++
	q.decoded, q.attempts, q.notBefore = false, 0, time.Time{}
	if q.head == len(q.raws) {
		q.raws, q.head = q.raws[:0], 0
	}
}

// Add queues records of one topic, at the task's partition, in offset order. Records below the position are dropped: a consumer may deliver
// them again.
func (t *Task) Add(topic string, raws []topology.Raw) {
	if q := t.byTopic[topic]; q != nil {
		q.add(raws)
		t.wait(q)
	}
}

func (q *queue) add(raws []topology.Raw) {
	if q.head > 1024 && q.head > len(q.raws)/2 {
		n := copy(q.raws, q.raws[q.head:])
		clear(q.raws[n:])
		q.raws, q.head = q.raws[:n], 0
	}
	for i := range raws {
		if raws[i].Offset < q.fetched {
			continue
		}
		q.raws = append(q.raws, raws[i])
		q.fetched = raws[i].Offset + 1
	}
	q.end = max(q.end, q.fetched)
}

// SetEnd tells the last stable offset of an input: while records are known to come, the task waits for them.
func (t *Task) SetEnd(topic string, offset int64) {
	if q := t.byTopic[topic]; q != nil {
		q.end = max(q.end, offset)
	}
}

// Buffered is the number of queued records of a topic.
func (t *Task) Buffered(topic string) int {
	if q := t.byTopic[topic]; q != nil {
		return q.len()
	}
	return 0
}

// Positions are the offsets up to which each input is done.
func (t *Task) Positions() map[string]int64 {
	m := make(map[string]int64, len(t.queues))
	for _, q := range t.queues {
		m[q.in.Topic] = q.position
	}
	return m
}

// queueHeap orders the queues with a decoded head by its timestamp, with the mechanics of container/heap, which are those of Java's
// PriorityQueue: equal timestamps come out in the same order as in Kafka Streams.
type queueHeap []*queue

func (h queueHeap) Len() int           { return len(h) }
func (h queueHeap) Less(i, j int) bool { return h[i].in.Timestamp().Before(h[j].in.Timestamp()) }
func (h queueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *queueHeap) Push(x any)        { *h = append(*h, x.(*queue)) }

func (h *queueHeap) Pop() any {
	old := *h
	q := old[len(old)-1]
	*h = old[:len(old)-1]
	return q
}
