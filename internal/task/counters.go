package task

import "github.com/weirstream/weir/state"

// A CountKind says what a counter counts.
type CountKind string

const (
	// Dropped records went no further at a node, for a reason of the operator's or of a Skip policy.
	Dropped CountKind = "dropped"
	// DeadLetter records went to a dead-letter topic.
	DeadLetter CountKind = "dead-letter"
	// Retried attempts failed and will be made again.
	Retried CountKind = "retried"
	// Forced records were taken although an input that might hold an earlier one was empty for longer than Config.Idle.
	Forced CountKind = "forced"
)

// A Count is the reading of one counter.
type Count struct {
	Kind         CountKind
	Node, Reason string
	N            int64
}

type counterKey struct {
	kind         CountKind
	node, reason string
}

// counters are a task's counters. What they count is part of the commit: a rollback takes it back.
type counters struct {
	journal *state.Journal
	byKey   map[counterKey]*counter
	order   []counterKey
}

type counter struct {
	*state.Counter
	committed int64
}

func (c *counters) of(kind CountKind, node, reason string) *state.Counter {
	k := counterKey{kind, node, reason}
	n := c.byKey[k]
	if n == nil {
		if c.byKey == nil {
			c.byKey = map[counterKey]*counter{}
		}
		n = &counter{Counter: state.NewCounter(c.journal)}
		c.byKey[k] = n
		c.order = append(c.order, k)
	}
	return n.Counter
}

func (c *counters) commit() {
	for _, n := range c.byKey {
		n.committed = n.Value()
	}
}

func (c *counters) rollback() {
	for _, n := range c.byKey {
		n.Set(n.committed)
	}
}

// Counts are the counters as of the last commit.
func (t *Task) Counts() []Count { return t.counters.counts() }

func (c *counters) counts() []Count {
	out := make([]Count, 0, len(c.order))
	for _, k := range c.order {
		if n := c.byKey[k].committed; n != 0 {
			out = append(out, Count{k.kind, k.node, k.reason, n})
		}
	}
	return out
}
