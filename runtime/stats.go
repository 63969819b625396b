package runtime

import (
	"cmp"
	"slices"
	"sync"

	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/topology"
)

// Stats are what an instance has done since it was made. Records of transactions that were aborted do not count.
type Stats struct {
	// Processed is the number of source offsets that this instance has committed, repartition topics included; transaction markers count
	// as well.
	Processed int64
	// Commits and Aborts are those of workers: all tasks of one at a time.
	Commits, Aborts int64
	// Restored is the number of changelog records that were replayed before tasks could run, and Restores the stores that needed any.
	Restored, Restores int64
	// Changelog is the length of those changelogs when tasks were opened: what a restore from nothing would have replayed, about.
	Changelog int64
	// Wiped is the number of stores whose local state could not be continued, and was restored from the start.
	Wiped int64
	// NewTopics are topics that match a pattern and are not read yet, since they came after the start: start the instances anew. They are looked for every
	// minute.
	NewTopics []string
	// Loaded is the number of offsets of global topics that were read before the instance joined its group, transaction markers included.
	Loaded int64
	// Tasks are the tasks that run now.
	Tasks []string
	// Counts are what happened to records, by kind, node and reason.
	Counts []Count
}

// A Count is the reading of one counter. Kinds are "dropped", "dead-letter", "retried" and "forced".
type Count struct {
	Kind, Node, Reason string
	N                  int64
}

// Count is the sum of the counters of that kind and reason; an empty reason counts all.
func (s Stats) Count(kind, reason string) int64 {
	n := int64(0)
	for _, c := range s.Counts {
		if c.Kind == kind && (reason == "" || c.Reason == reason) {
			n += c.N
		}
	}
	return n
}

// stats collects Stats.
type stats struct {
	mu    sync.Mutex
	s     Stats
	at    map[inputKey]int64 // the last committed positions
	gone  map[Count]int64    // of tasks that were closed; N is 0 in the key
	tasks map[topology.TaskID][]task.Count
	// ofGlobals are the counters of the global stores.
	ofGlobals []task.Count
}

type inputKey struct {
	id    topology.TaskID
	topic string
}

func newStats() *stats {
	return &stats{at: map[inputKey]int64{}, gone: map[Count]int64{}, tasks: map[topology.TaskID][]task.Count{}}
}

// started notes a task and where it goes on.
func (s *stats) started(id topology.TaskID, positions map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks[id] = nil
	for topic, at := range positions {
		s.at[inputKey{id, topic}] = at
	}
}

func (s *stats) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Commits++
}

// committed notes a task's part in a commit.
func (s *stats) committed(id topology.TaskID, c *task.Commit, counts []task.Count) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range c.Offsets {
		k := inputKey{id, o.Topic}
		s.s.Processed += o.Offset - s.at[k]
		s.at[k] = o.Offset
	}
	s.tasks[id] = counts
}

func (s *stats) closed(id topology.TaskID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.tasks[id] {
		s.gone[Count{Kind: string(c.Kind), Node: c.Node, Reason: c.Reason}] += c.N
	}
	delete(s.tasks, id)
}

func (s *stats) aborted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Aborts++
}

// opened notes the length of one store's changelog.
func (s *stats) opened(length int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Changelog += length
}

// restored notes the replay of one store's changelog.
func (s *stats) restored(records int64, wiped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if records > 0 {
		s.s.Restored += records
		s.s.Restores++
	}
	if wiped {
		s.s.Wiped++
	}
}

// newTopics notes the topics that are not read yet, and returns those that were not known.
func (s *stats) newTopics(found []string) (fresh []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, topic := range found {
		if !slices.Contains(s.s.NewTopics, topic) {
			fresh = append(fresh, topic)
		}
	}
	s.s.NewTopics = found
	return fresh
}

// loaded notes that the global stores are as their topics.
func (s *stats) loaded(offsets int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Loaded += offsets
}

// globals notes the counters of the global stores.
func (s *stats) globals(counts []task.Count) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ofGlobals = counts
}

func (s *stats) read() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.s
	out.NewTopics = slices.Clone(out.NewTopics)
	sum := map[Count]int64{}
	for k, n := range s.gone {
		sum[k] += n
	}
	for _, c := range s.ofGlobals {
		sum[Count{Kind: string(c.Kind), Node: c.Node, Reason: c.Reason}] += c.N
	}
	for id, counts := range s.tasks {
		out.Tasks = append(out.Tasks, id.String())
		for _, c := range counts {
			sum[Count{Kind: string(c.Kind), Node: c.Node, Reason: c.Reason}] += c.N
		}
	}
	slices.Sort(out.Tasks)
	for k, n := range sum {
		k.N = n
		out.Counts = append(out.Counts, k)
	}
	slices.SortFunc(out.Counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}
