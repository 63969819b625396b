package topology

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
)

// A Topology is a compiled graph: immutable, and safe for concurrent use. It is all that passes between the words that declare a program
// and the engines that run it.
type Topology struct {
	nodes    []*node
	subs     []*Subtopology
	globals  []*Global
	groups   []copartition
	fallback dlq.Policy
	found    matches
}

// A Subtopology is a part of the graph that runs as a whole: its nodes are connected, or share stores. Repartition topics lie between
// subtopologies. There is one task per subtopology and partition.
type Subtopology struct {
	// ID counts from 0, in the order of the first nodes.
	ID int

	nodes []*node
	found matches
}

// Build compiles the graph. It returns everything that is wrong with it, joined; each fault is a *BuildError. The builder must not be used
// afterwards.
func (b *Builder) Build() (*Topology, error) {
	if b.built {
		return nil, &BuildError{Op: "build", Err: errors.New("the builder was built already: make a new one")}
	}
	b.built = true
	if len(b.nodes) == 0 && len(b.errs) == 0 {
		b.Report("build", "", "", errors.New("the topology is empty: read a topic with Stream or Table; a global table alone runs no task"))
	}
	if err := dlq.Validate(b.fallback); err != nil {
		b.Report("on-error", "", "", err)
	}
	t := &Topology{nodes: b.nodes, groups: b.groups, fallback: b.fallback, globals: b.globals}
	t.connect()
	t.markNullKeys()
	t.markIdle()
	b.checkStores()
	b.checkSourceLogs()
	b.checkAsync()
	b.checkGlobals()
	if len(b.errs) == 0 {
		for _, s := range t.subs {
			if err := trial(t, s); err != nil {
				b.errs = append(b.errs, err)
			}
		}
		b.tryGlobals()
	}
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	return t, nil
}

// Policy decides about failures at nodes that have no policy of their own; nil means dlq.Fail.
func (t *Topology) Policy() dlq.Policy { return t.fallback }

// Subtopologies are the parts that run as tasks.
func (t *Topology) Subtopologies() []*Subtopology { return t.subs }

// Stores are the descriptors of the subtopology's stores, in the order of their first use.
func (s *Subtopology) Stores() []state.Spec {
	var specs []state.Spec
	at := map[string]int{}
	for _, n := range s.nodes {
		for _, sp := range n.stores {
			i, known := at[sp.Info().Name]
			switch {
			case !known:
				at[sp.Info().Name] = len(specs)
				specs = append(specs, sp)
			case sp.Info().Source != "":
				specs[i] = sp // others need not know what it is restored from
			}
		}
	}
	return specs
}

// A SourceTopic is a topic that a subtopology reads.
type SourceTopic struct {
	// Name is the full name of the topic.
	Name string
	// Repartition tells that the topic is the application's own.
	Repartition bool
	// Start says where to begin without a committed offset.
	Start StartFrom
}

// SourceTopics are the topics that the subtopology reads, in the order of its sources.
func (s *Subtopology) SourceTopics(application string) []SourceTopic {
	var topics []SourceTopic
	for _, n := range s.nodes {
		if n.kind == SourceNode {
			for _, name := range s.found.topics(n, application) {
				topics = append(topics, SourceTopic{name, n.topic.internal, n.source.start})
			}
		}
	}
	return topics
}

// SinkTopics are the topics that the whole topology writes by a fixed name and does not own.
func (t *Topology) SinkTopics() []string {
	var topics []string
	seen := map[string]bool{}
	for _, n := range t.nodes {
		if n.kind == SinkNode && !n.topic.internal && n.topic.name != "" && !seen[n.topic.name] {
			seen[n.topic.name] = true
			topics = append(topics, n.topic.name)
		}
	}
	return topics
}

// DeadLetterSources are the topics whose records may be sent to a dead-letter topic: all that the application reads and does not
// own, if any policy or user function may send.
func (t *Topology) DeadLetterSources() []string {
	return t.deadLetterSources(func(n *node) []string { return t.found.topics(n, "") })
}

func (t *Topology) deadLetterSources(of func(source *node) []string) []string {
	sends := maySend(t.fallback)
	for _, n := range t.nodes {
		sends = sends || n.rejects || maySend(n.policy)
	}
	if !sends {
		return nil
	}
	var topics []string
	for _, n := range t.nodes {
		if n.kind == SourceNode && !n.topic.internal {
			topics = append(topics, of(n)...)
		}
	}
	return topics
}

// DeadLetterTopics are the topics that policies send dead letters to by name.
func (t *Topology) DeadLetterTopics() []string {
	var topics []string
	for _, p := range t.policies() {
		for _, name := range dlq.Topics(p) {
			if !slices.Contains(topics, name) {
				topics = append(topics, name)
			}
		}
	}
	return topics
}

// policies are all that may decide about a record.
func (t *Topology) policies() []dlq.Policy {
	all := []dlq.Policy{t.fallback}
	for _, n := range t.nodes {
		all = append(all, n.policy)
	}
	return all
}

// maySend tells whether the policy may send a record to a dead-letter topic.
func maySend(p dlq.Policy) bool {
	return mayDo(p, []dlq.Stage{dlq.Decode, dlq.Process, dlq.Encode}, dlq.ActionSend)
}

// mayDo asks the policy about the failures that there can be at the stages, the first and the last: policies are pure.
func mayDo(p dlq.Policy, stages []dlq.Stage, actions ...dlq.Action) bool {
	if p == nil {
		return false
	}
	for _, stage := range stages {
		for _, attempts := range []int{1, 1 << 30} {
			f := &dlq.Failure{Stage: stage, Attempts: attempts, Err: errors.New("a failure")}
			if slices.Contains(actions, dlq.Resolve(p, f).Action) {
				return true
			}
		}
	}
	return false
}

// connect finds the subtopologies: components by edges and by shared stores.
func (t *Topology) connect() {
	root := make([]int, len(t.nodes))
	for i := range root {
		root[i] = i
	}
	var find func(i int) int
	find = func(i int) int {
		if root[i] != i {
			root[i] = find(root[i])
		}
		return root[i]
	}
	union := func(a, b int) {
		a, b = find(a), find(b)
		root[max(a, b)] = min(a, b)
	}
	users := map[string]int{}
	for _, n := range t.nodes {
		for _, c := range n.children {
			union(n.id, c.id)
		}
		for _, s := range n.stores {
			if first, ok := users[s.Info().Name]; ok {
				union(first, n.id)
			} else {
				users[s.Info().Name] = n.id
			}
		}
	}
	byRoot := map[int]*Subtopology{}
	for _, n := range t.nodes {
		s := byRoot[find(n.id)]
		if s == nil {
			s = &Subtopology{ID: len(t.subs)}
			byRoot[find(n.id)] = s
			t.subs = append(t.subs, s)
		}
		s.nodes = append(s.nodes, n)
	}
}

// markNullKeys lets the sinks of repartition topics pass null keys where a node below has a use for them.
func (t *Topology) markNullKeys() {
	for _, n := range t.nodes {
		if n.kind == SinkNode && n.topic.internal {
			n.passNullKeys = slices.ContainsFunc(t.below(n), func(m *node) bool { return m.nullKeys })
		}
	}
}

// markIdle lets repartition topics inherit the idle time of the sources that feed them: the longest, where they have none of their own.
func (t *Topology) markIdle() {
	for range t.subs { // a chain of repartitions is no longer than that
		for _, n := range t.nodes {
			if n.kind != SinkNode || !n.topic.internal {
				continue
			}
			idle := time.Duration(0)
			for _, src := range sources(n) {
				idle = max(idle, src.source.idle)
			}
			for _, src := range t.after(n) {
				if !src.source.ownIdle {
					src.source.idle = max(src.source.idle, idle)
				}
			}
		}
	}
}

// after are the nodes that get what n sends, across repartition topics.
func (t *Topology) after(n *node) []*node {
	if n.kind != SinkNode || !n.topic.internal {
		return n.children
	}
	var out []*node
	for _, s := range t.nodes {
		if s.kind == SourceNode && s.topic.internal && s.topic.name == n.topic.name {
			out = append(out, s)
		}
	}
	return out
}

// checkStores finds descriptors that are wrong, and names used for two different stores.
func (b *Builder) checkStores() {
	first := map[string]state.Info{}
	where := map[string]*node{}
	durable := map[string]string{} // the store of each durable name
	owners := map[string]*node{}
	for _, n := range b.nodes {
		for _, s := range n.owns {
			name := s.Info().Name
			if owner := owners[name]; owner != nil && first[name] == s.Info() {
				b.Report(n.op, n.name, n.pos, fmt.Errorf("store %q is kept by the %s at %s already: each operator keeps a store of its own, "+
					"give this one another name", name, owner.op, owner.pos))
				continue
			}
			owners[name] = n
		}
		for _, s := range n.stores {
			i := s.Info()
			known, ok := first[i.Name]
			if !ok {
				first[i.Name], where[i.Name] = i, n
				if err := i.Validate(); err != nil {
					b.Report(n.op, n.name, n.pos, err)
				}
				if other, ok := durable[i.DurableName()]; ok {
					b.Report(n.op, n.name, n.pos, fmt.Errorf("store %q and the store %q at %s both keep their state under the durable name %q: "+
						"RenamedFrom names a store that is no more", i.Name, other, where[other].pos, i.DurableName()))
				}
				durable[i.DurableName()] = i.Name
				continue
			}
			if known.Source == "" || i.Source == "" {
				known.Source, i.Source = "", ""
			}
			if known != i {
				b.Report(n.op, n.name, n.pos, fmt.Errorf("store %q is declared as %s of %s and %s here and as %s of %s and %s at %s: "+
					"a name is for one store, give the other a name of its own", i.Name, i.Kind, i.KeyType, i.ValueType,
					known.Kind, known.KeyType, known.ValueType, where[i.Name].pos))
			}
		}
	}
}

// below are n and all nodes that get something of what it sends.
func (t *Topology) below(n *node) []*node {
	out := []*node{n}
	for i := 0; i < len(out); i++ {
		for _, c := range t.after(out[i]) {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}
