package topology

import (
	"errors"
	"fmt"
	"slices"

	"github.com/weirstream/weir/state"
)

// A SourceInput is one topic that a task reads, with the Input that decodes and processes its records.
type SourceInput struct {
	// Topic is the full name of the topic.
	Topic string
	// Node is the name of the source node.
	Node string
	// Repartition tells that the topic is the application's own: its records carry their origin.
	Repartition bool
	Input
}

// Wire builds the receivers of some subtopologies for one task. It calls the set-up of every processor.
func (t *Topology) Wire(h Host, subs ...*Subtopology) ([]SourceInput, error) {
	var inputs []SourceInput
	var contexts []*NodeContext
	for _, s := range subs {
		in, cs, err := s.wire(h)
		if err != nil {
			return nil, err
		}
		inputs, contexts = append(inputs, in...), append(contexts, cs...)
	}
	// Timers that are due together fire in the order of the nodes, not in that of the set-ups, which is the opposite.
	slices.SortFunc(contexts, func(a, b *NodeContext) int { return a.node.id - b.node.id })
	for _, c := range contexts {
		c.start()
	}
	for _, c := range contexts {
		if c.node.kind == SourceNode && c.node.source.idle > 0 {
			c.watch(contexts, t.found.topics(c.node, h.Application()))
		}
	}
	return inputs, nil
}

// watch lets the operators below a source go on when one of its topics is quiet.
func (c *NodeContext) watch(contexts []*NodeContext, topics []string) {
	var below []func(now int64) error
	for _, n := range downstream(c.node) {
		for _, o := range contexts {
			if o.node == n {
				below = append(below, o.advance...)
			}
		}
	}
	for _, topic := range topics {
		c.host.OnIdle(topic, c.node.source.idle, func(now int64) error {
			for _, f := range below {
				if err := f(now); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// downstream are the nodes below n in its subtopology, in the order of their ids: parents come first.
func downstream(n *node) []*node {
	out := []*node{n}
	for i := 0; i < len(out); i++ {
		for _, c := range out[i].children {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	slices.SortFunc(out, func(a, b *node) int { return a.id - b.id })
	return out
}

// wire goes from the sinks up: parents have smaller ids than their children.
func (s *Subtopology) wire(h Host) (inputs []SourceInput, contexts []*NodeContext, err error) {
	receivers := map[*node]any{}
	for i := len(s.nodes) - 1; i >= 0; i-- {
		n := s.nodes[i]
		kids := make([]any, len(n.children))
		for j, c := range n.children {
			kids[j] = receivers[c]
		}
		c := newNodeContext(h, n)
		contexts = append(contexts, c)
		c.Enter()
		if n.kind == SourceNode {
			var in []SourceInput
			in, err = s.inputs(c, kids)
			slices.Reverse(in)
			inputs = append(inputs, in...)
		} else {
			receivers[n], err = n.wire(c, kids)
		}
		if err != nil {
			if _, ok := errors.AsType[*BuildError](err); !ok {
				err = &BuildError{Op: n.op, Name: n.name, Pos: n.pos, Err: err}
			}
			return nil, nil, err
		}
	}
	slices.Reverse(inputs)
	return inputs, contexts, nil
}

// inputs are those of one source: one for each topic, with the same receivers.
func (s *Subtopology) inputs(c *NodeContext, kids []any) ([]SourceInput, error) {
	n, application := c.node, c.host.Application()
	topics := s.found.topics(n, application)
	if n.topic.pattern != nil && s.found == nil {
		topics = []string{n.topic.name} // Build tries the links, with no topics yet
	}
	var out []SourceInput
	for _, topic := range topics {
		in, err := n.input(c, topic, kids)
		if err != nil {
			return nil, err
		}
		out = append(out, SourceInput{topic, n.name, n.topic.internal, in})
	}
	return out, nil
}

// trial wires a subtopology with empty stores, to find what only wiring finds: links of the wrong type, undeclared stores, set-ups that fail.
func trial(t *Topology, s *Subtopology) error {
	return tried(func(h **trialHost) (err error) {
		if *h, err = newTrialHost(s.Stores(), t.globals); err == nil {
			_, err = t.Wire(*h, s)
		} else if fault, ok := errors.AsType[*BuildError](err); ok {
			fault.Pos = s.firstUse(fault.Name)
		}
		return err
	})
}

// firstUse is the position of the first node that uses the store.
func (s *Subtopology) firstUse(store string) string {
	for _, n := range s.nodes {
		if slices.ContainsFunc(n.stores, func(st state.Spec) bool { return st.Info().Name == store }) {
			return n.pos
		}
	}
	return ""
}

// tried turns a panic of a set-up into a fault of its node.
func tried(wire func(h **trialHost) error) (err error) {
	var h *trialHost
	defer func() {
		if v := recover(); v != nil {
			n := &node{op: "build"}
			if h != nil && h.cursor.Node != nil {
				n = h.cursor.Node.node
			}
			err = &BuildError{Op: n.op, Name: n.name, Pos: n.pos, Err: fmt.Errorf("set-up panics: %v", v)}
		}
	}()
	return wire(&h)
}
