package topology

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/state"
)

// A TaskID names one task: a subtopology at one partition.
type TaskID struct {
	Subtopology int
	Partition   int32
}

// String is the id in the form 1_3, subtopology and partition.
func (id TaskID) String() string { return fmt.Sprintf("%d_%d", id.Subtopology, id.Partition) }

// ParseTaskID reads what String wrote.
func ParseTaskID(s string) (TaskID, error) {
	sub, part, ok := strings.Cut(s, "_")
	a, err1 := strconv.Atoi(sub)
	b, err2 := strconv.ParseInt(part, 10, 32)
	if !ok || err1 != nil || err2 != nil || a < 0 || b < 0 {
		return TaskID{}, fmt.Errorf("parse task id %q: want the form 1_3", s)
	}
	return TaskID{a, int32(b)}, nil
}

// A Plan is a topology on a cluster: its tasks, and the topics that the application needs for itself.
type Plan struct {
	Tasks    []TaskPlan
	Internal []InternalTopic
	// Partitions is the number of partitions of each topic that the application reads or owns.
	Partitions map[string]int32
}

// A TaskPlan is a task with what it reads.
type TaskPlan struct {
	ID TaskID
	// Topics are those of which the task reads the partition of its number.
	Topics []string
}

// An InternalTopic is a topic of the application's own.
type InternalTopic struct {
	Name       string
	Partitions int32
	// Config is the topic's configuration, where it must differ from the broker's defaults.
	Config map[string]string
	// Store is the store that the topic logs; empty for a repartition topic.
	Store string
}

// changelogSlack is how much longer than its store the changelog of windows or versions keeps a row, as in Kafka Streams: clocks of machines differ from stream
// time.
const changelogSlack = 24 * time.Hour

// AnyTime is the configuration of a topic that takes records of any event time, which is that of the records as they were produced. By their own
// default brokers refuse those of more than an hour ahead: one record from a wrong clock would stop the application for good.
func AnyTime() map[string]string {
	return map[string]string{
		"message.timestamp.type": "CreateTime", "message.timestamp.before.max.ms": anyDistance, "message.timestamp.after.max.ms": anyDistance,
	}
}

const anyDistance = "9223372036854775807"

// Plan lays the topology out on a cluster. partitions tells the number of partitions of a topic that the application does not own; ok is
// false if there is no such topic. All that is wrong is returned together.
func (t *Topology) Plan(application string, partitions func(topic string) (n int32, ok bool)) (*Plan, error) {
	if t.HasPatterns() && t.found == nil {
		return nil, errors.New("plan the topology: it reads topics by a pattern, and does not know which there are: call Resolve first")
	}
	counts, err := t.count(application, partitions)
	if err != nil {
		return nil, err
	}
	p := &Plan{Partitions: counts}
	for _, s := range t.subs {
		n := int32(0)
		for _, src := range s.SourceTopics(application) {
			n = max(n, counts[src.Name])
		}
		for i := range n {
			task := TaskPlan{ID: TaskID{s.ID, i}}
			for _, src := range s.SourceTopics(application) {
				if i < counts[src.Name] {
					task.Topics = append(task.Topics, src.Name)
				}
			}
			p.Tasks = append(p.Tasks, task)
		}
		p.addInternal(s, application, n)
	}
	return p, nil
}

func (p *Plan) addInternal(s *Subtopology, application string, tasks int32) {
	for _, src := range s.SourceTopics(application) {
		if src.Repartition {
			config := AnyTime()
			config["cleanup.policy"], config["retention.ms"], config["segment.bytes"] = "delete", "-1", "52428800"
			p.Internal = append(p.Internal, InternalTopic{Name: src.Name, Partitions: p.Partitions[src.Name], Config: config})
		}
	}
	for _, spec := range s.Stores() {
		i := spec.Info()
		if !i.Changelog || i.Source != "" {
			continue
		}
		config := AnyTime()
		config["cleanup.policy"] = "compact"
		switch i.Kind {
		case state.KindWindow, state.KindDuplicates, state.KindSession:
			// The topic is cut off by age, counted from when a row was written: event times may be of any age, as when old records are replayed.
			config = map[string]string{"cleanup.policy": "compact,delete", "message.timestamp.type": "LogAppendTime"}
			config["retention.ms"] = strconv.FormatInt((i.Retention + changelogSlack).Milliseconds(), 10)
			if i.Retention == state.Forever {
				config["cleanup.policy"], config["retention.ms"] = "compact", "-1"
			}
		}
		if i.Kind == state.KindDuplicates {
			config["cleanup.policy"] = "delete" // no key comes twice: there is nothing to compact
		}
		if i.Kind == state.KindVersioned {
			// What compaction leaves is the newest version alone: it may begin when the history is over. That is counted from when a version was written,
			// which says its time in a header: old records that are replayed would be compacted at once, and those of the future never.
			config = map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}
			config["min.compaction.lag.ms"] = strconv.FormatInt((i.Retention + changelogSlack).Milliseconds(), 10)
		}
		if i.Kind == state.KindBuffer || i.Kind == state.KindJoinBuffer {
			// A row's time is in its value or key, and may be in the future, as the end of a window is.
			config = map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}
		}
		name := LogTopic(application, i)
		p.Partitions[name] = tasks
		p.Internal = append(p.Internal, InternalTopic{Name: name, Partitions: tasks, Config: config, Store: i.Name})
	}
}

// count finds the number of partitions of every source topic. A repartition topic without a number of its own takes that of the topics it
// is joined with, else the largest of those that feed it.
func (t *Topology) count(application string, partitions func(topic string) (n int32, ok bool)) (map[string]int32, error) {
	counts, fixed := map[string]int32{}, map[string]bool{}
	var errs []error
	for _, n := range t.nodes {
		if n.kind != SourceNode {
			continue
		}
		for _, topic := range t.found.topics(n, application) {
			if n.topic.internal {
				counts[topic], fixed[topic] = n.topic.partitions, n.topic.partitions > 0
				continue
			}
			c, ok := partitions(topic)
			if !ok {
				errs = append(errs, fmt.Errorf("topic %q does not exist: create it, the application at %s reads it", topic, n.pos))
			}
			counts[topic], fixed[topic] = c, true
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for range len(t.nodes) + 1 {
		for _, n := range t.nodes {
			if n.kind == SourceNode && n.topic.internal && !fixed[RepartitionTopic(application, n.topic.name)] {
				t.derive(application, n, counts, fixed)
			}
		}
	}
	return counts, t.checkGroups(application, counts)
}

func (t *Topology) derive(application string, n *node, counts map[string]int32, fixed map[string]bool) {
	topic := RepartitionTopic(application, n.topic.name)
	most := counts[topic]
	for _, sink := range t.nodes {
		if sink.kind == SinkNode && sink.topic.internal && sink.topic.name == n.topic.name {
			for _, src := range sources(sink) {
				for _, from := range t.found.topics(src, application) {
					most = max(most, counts[from])
				}
			}
		}
	}
	for _, other := range t.partners(application, topic) {
		if fixed[other] {
			most = counts[other]
			break
		}
		most = max(most, counts[other])
	}
	counts[topic] = most
}

// partners are the topics that must have as many partitions as topic: those it is joined with, and those that these are joined with.
func (t *Topology) partners(application, topic string) []string {
	out := []string{topic}
	for i := 0; i < len(out); i++ {
		for _, g := range t.groups {
			topics := t.topicsOf(g, application)
			if !slices.Contains(topics, out[i]) {
				continue
			}
			for _, other := range topics {
				if !slices.Contains(out, other) {
					out = append(out, other)
				}
			}
		}
	}
	return out
}

func (t *Topology) checkGroups(application string, counts map[string]int32) error {
	var errs []error
	for _, g := range t.groups {
		topics := t.topicsOf(g, application)
		var list []string
		same := true
		for _, name := range topics {
			list = append(list, fmt.Sprintf("%q has %d", name, counts[name]))
			same = same && counts[name] == counts[topics[0]]
		}
		if !same {
			errs = append(errs, fmt.Errorf("%s: %s: topics are not co-partitioned: %s: a key must be in the partition of the same number in each; "+
				"put a Repartition before the %s", g.pos, g.op, strings.Join(list, ", "), g.op))
		}
	}
	return errors.Join(errs...)
}

// topicsOf are the topics that feed the group, without repeats.
func (t *Topology) topicsOf(g copartition, application string) []string {
	var topics []string
	for _, n := range g.nodes {
		for _, src := range sources(n) {
			for _, name := range t.found.topics(src, application) {
				if !slices.Contains(topics, name) {
					topics = append(topics, name)
				}
			}
		}
	}
	return topics
}

// sources are the source nodes above n, in the same subtopology.
func sources(n *node) []*node {
	var out []*node
	seen := map[*node]bool{}
	var climb func(n *node)
	climb = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		if n.kind == SourceNode {
			out = append(out, n)
		}
		for _, p := range n.parents {
			climb(p)
		}
	}
	climb(n)
	return out
}
