package streamtest

import (
	"slices"

	"github.com/weirstream/weir/topology"
)

// A log is the cluster of a test: topics in memory. Records are visible when the task that produced them commits.
type log struct {
	partitions map[string]int32
	topics     map[string][]*partition
	tail       map[*instance][]*record // produced and not committed
}

type partition struct {
	records []*record
	stable  int // what is below it is committed or aborted, and handed out
	read    int // by an Output
}

type record struct {
	topology.Raw
	from      *instance
	committed bool
	aborted   bool
}

func newLog(partitions map[string]int32) *log {
	return &log{partitions: partitions, topics: map[string][]*partition{}, tail: map[*instance][]*record{}}
}

func (l *log) partitionsOf(topic string) int32 {
	if n := l.partitions[topic]; n > 0 {
		return n
	}
	return 1
}

func (l *log) partition(topic string, p int32) *partition {
	ps := l.topics[topic]
	for int32(len(ps)) <= p {
		ps = append(ps, &partition{})
	}
	l.topics[topic] = ps
	return ps[p]
}

// append adds what a task produced.
func (l *log) append(in *instance, o topology.Output) {
	r := l.add(o)
	r.from = in
	l.tail[in] = append(l.tail[in], r)
}

// add adds a record to the end of its partition.
func (l *log) add(o topology.Output) *record {
	p := l.partition(o.Topic, o.Partition)
	r := &record{Raw: topology.Raw{
		Topic: o.Topic, Partition: o.Partition, Offset: int64(len(p.records)), LeaderEpoch: -1, Key: slices.Clone(o.Key),
		Value: slices.Clone(o.Value), TimestampMs: o.Timestamp.UnixMilli(), Headers: slices.Clone(o.Headers),
	}}
	p.records = append(p.records, r)
	return r
}

// commit makes what the task produced visible, to outputs and to the tasks that read it.
func (l *log) commit(in *instance) {
	l.decide(in, func(r *record) { r.committed = true })
}

// abort drops what the task produced since its last commit.
func (l *log) abort(in *instance) {
	l.decide(in, func(r *record) { r.aborted = true })
}

func (l *log) decide(in *instance, mark func(r *record)) {
	tail := l.tail[in]
	delete(l.tail, in)
	for _, r := range tail {
		mark(r)
	}
	for _, r := range tail {
		l.settle(in.d, r.Topic, r.Partition)
	}
}

// settle gives the tasks the records of a partition that they may read now: in order, and none behind one that is not decided yet, as Kafka
// gives them to a consumer of committed records.
func (l *log) settle(d *Driver, topic string, n int32) {
	p := l.partition(topic, n)
	for ; p.stable < len(p.records); p.stable++ {
		r := p.records[p.stable]
		if !r.committed && !r.aborted {
			return
		}
		for _, to := range d.tasks {
			if r.committed && to.task != nil && to.reads(topic, n) {
				to.task.Add(topic, []topology.Raw{r.Raw})
			}
		}
	}
}

func (in *instance) reads(topic string, p int32) bool {
	return p == in.id.Partition && slices.Contains(in.topics, topic)
}
