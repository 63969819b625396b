package topology

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
)

// A TopicPattern stands for all topics of the cluster whose names match an expression, and whose records have the same serdes.
type TopicPattern[K, V any] struct {
	topic Topic[K, V] // its name is the expression
	re    *regexp.Regexp
	err   error
}

// NewTopicPattern describes topics by a regular expression, which must match a name from its beginning to its end. Its faults are reported by Build.
func NewTopicPattern[K, V any](expression string, key serde.Serde[K], value serde.Serde[V]) TopicPattern[K, V] {
	p := TopicPattern[K, V]{topic: NewTopic(expression, key, value)}
	p.re, p.err = regexp.Compile("^(?:" + expression + ")$")
	return p
}

// Expression is the regular expression.
func (p TopicPattern[K, V]) Expression() string { return p.topic.name }

// Key is the serde of the records' keys.
func (p TopicPattern[K, V]) Key() serde.Serde[K] { return p.topic.key }

// Value is the serde of the records' values.
func (p TopicPattern[K, V]) Value() serde.Serde[V] { return p.topic.value }

func (p TopicPattern[K, V]) info() topicInfo {
	i := p.topic.info()
	i.pattern = p.re
	return i
}

// SourcePattern adds a node that reads all topics that match: those that Topology.Resolve finds. Two sources of the same pattern and types are one
// node.
func (b *Builder) SourcePattern[K, V any](p TopicPattern[K, V], s SourceSpec[K, V]) Port[K, V] {
	switch {
	case p.topic.name == "":
		b.Report(s.Op, s.Name, s.Pos, errors.New("the pattern's descriptor is empty: make it with NewTopicPattern"))
	case p.err != nil:
		b.Report(s.Op, s.Name, s.Pos, fmt.Errorf("topic pattern %q: %w", p.topic.name, p.err))
	case !p.topic.info().valid:
		b.Report(s.Op, s.Name, s.Pos, fmt.Errorf("topic pattern %q has no serde for its key or its value", p.topic.name))
	default:
		return source(b, p.info(), p.topic, s)
	}
	return attach(b, NodeSpec{Op: s.Op, Pos: s.Pos}, nil, func(_ *NodeContext, kids []Processor[K, V]) (Processor[K, V], error) {
		return join(kids), nil // so that what follows is checked as well
	})
}

// matches are the topics that the pattern sources of a topology read, nil before Resolve.
type matches map[*node][]string

// topics are the full names of the topics that a source reads.
func (m matches) topics(n *node, application string) []string {
	switch {
	case n.topic.pattern != nil:
		return m[n]
	case n.topic.internal:
		return []string{RepartitionTopic(application, n.topic.name)}
	}
	return []string{n.topic.name}
}

// Resolve returns the topology with the topics that its pattern sources read among those that exist. Never read by a pattern are the internal
// topics of the application, dead-letter topics, and topics that the topology writes by name: it would feed itself. It is an error if a pattern matches
// nothing, or if a topic is read by two sources. A topology without patterns is returned as it is.
func (t *Topology) Resolve(application string, deadLetters dlq.Naming, existing []string) (*Topology, error) {
	if !t.HasPatterns() {
		return t, nil
	}
	names := slices.Clone(existing)
	slices.Sort(names)
	names = slices.Compact(names)
	barred := t.barred(application, deadLetters, names)
	out := &Topology{nodes: t.nodes, globals: t.globals, groups: t.groups, fallback: t.fallback, found: matches{}}
	readers := map[string]*node{}
	for _, n := range t.nodes {
		if n.kind == SourceNode && n.topic.pattern == nil && !n.topic.internal {
			readers[n.topic.name] = n
		}
	}
	var errs []error
	for _, n := range t.nodes {
		if n.topic.pattern == nil {
			continue
		}
		for _, name := range names {
			if barred(name) || !n.topic.pattern.MatchString(name) {
				continue
			}
			if other := readers[name]; other != nil {
				errs = append(errs, fmt.Errorf("%s: topic %q matches the pattern %q and is read by the %s at %s: one source must read it, change the pattern",
					n.pos, name, n.topic.name, other.op, other.pos))
			}
			readers[name] = n
			out.found[n] = append(out.found[n], name)
		}
		if out.found[n] == nil {
			errs = append(errs, fmt.Errorf("%s: no topic matches the pattern %q: create one before the start", n.pos, n.topic.name))
		}
	}
	for _, s := range t.subs {
		out.subs = append(out.subs, &Subtopology{ID: s.ID, nodes: s.nodes, found: out.found})
	}
	return out, errors.Join(errs...)
}

// HasPatterns tells whether the topology reads topics by a pattern: then Resolve must come before Plan and Wire.
func (t *Topology) HasPatterns() bool {
	return slices.ContainsFunc(t.nodes, func(n *node) bool { return n.topic.pattern != nil })
}

// barred tells which topics no pattern reads.
func (t *Topology) barred(application string, deadLetters dlq.Naming, names []string) func(name string) bool {
	no := map[string]bool{}
	for _, name := range slices.Concat(t.SinkTopics(), t.DeadLetterTopics()) {
		no[name] = true
	}
	for _, name := range names {
		if letters, err := deadLetters.Topic(name); err == nil {
			no[letters] = true
		}
	}
	return func(name string) bool {
		return IsInternalTopic(application, name) || no[name] || deadLetters == nil && strings.HasSuffix(name, dlq.TopicFor(""))
	}
}

// bound is the topic under the name of one of those that a source reads.
func (t Topic[K, V]) bound(name string) Topic[K, V] {
	t.name = name
	return t
}
