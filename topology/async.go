package topology

import (
	"context"
	"fmt"
)

// A Call is a call of an asynchronous operator's function, for one record.
type Call interface {
	// Make makes the call and keeps its result. It runs once, on any goroutine, and does not panic.
	Make(ctx context.Context)
	// Failed tells, once Make has returned, that the record will fail here.
	Failed() bool
}

// An Ask is a call that an operator wants to be made ahead of the record that it is for.
type Ask struct {
	Call
	// Node is the operator's name.
	Node string
	// AtOnce is how many calls of the operator may be made at the same time in one task.
	AtOnce int
	// Key orders the calls of records that come from the same partition: those with equal keys are made one after the other. nil stands for the key of the
	// record as it was read from its topic.
	Key any
	// Unordered tells that no order is wanted.
	Unordered bool
}

// A Caller is a Host that makes calls ahead. Operators in one that does not make their calls themselves, when the record comes by.
type Caller interface {
	// Called returns the next call that was made for the record in process at the node of that name, nil if there is none.
	Called(node string) Call
}

// AttachAsync is Attach for an operator whose calls may be made ahead. ahead builds a receiver that asks for the calls of the records it gets, and
// does nothing else. Everything between the operator and its sources must be pure: Build checks that.
func (p Port[K, V]) AttachAsync[V2 any](
	s NodeSpec, wire func(c *NodeContext, next Processor[K, V2]) (Processor[K, V], error),
	ahead func(c *NodeContext, ask func(Ask)) Processor[K, V],
) Port[K, V2] {
	port := p.Attach(s, wire)
	port.n.ahead = func(c *NodeContext, ask func(Ask)) any { return ahead(c, ask) }
	return port
}

// WireAhead builds a second copy of what lies between the sources of some subtopologies and their asynchronous operators. Sending a record into it has no
// effect but that ask gets the calls which the record will need. There are no inputs if there is no such operator. h is not the host that Wire was given:
// its metadata, cursor and counters are for this copy alone.
func (t *Topology) WireAhead(h Host, ask func(Ask), subs ...*Subtopology) ([]SourceInput, error) {
	var inputs []SourceInput
	for _, s := range subs {
		wanted := s.aheadOfCalls()
		receivers := map[*node]any{}
		for i := len(s.nodes) - 1; i >= 0; i-- {
			n := s.nodes[i]
			if !wanted[n] {
				continue
			}
			kids := make([]any, len(n.children))
			for j, child := range n.children {
				if kids[j] = receivers[child]; kids[j] == nil {
					kids[j] = child.discard
				}
			}
			c, err := newNodeContext(h, n), error(nil)
			switch {
			case n.ahead != nil:
				receivers[n] = n.ahead(c, ask)
			case n.kind == SourceNode:
				var in []SourceInput
				in, err = s.inputs(c, kids)
				inputs = append(inputs, in...)
			default:
				receivers[n], err = n.wire(c, kids)
			}
			if err != nil {
				return nil, &BuildError{Op: n.op, Name: n.name, Pos: n.pos, Err: err}
			}
		}
	}
	return inputs, nil
}

// aheadOfCalls are the asynchronous nodes and all that lies upstream of them.
func (s *Subtopology) aheadOfCalls() map[*node]bool {
	wanted := map[*node]bool{}
	for i := len(s.nodes) - 1; i >= 0; i-- { // children before their parents
		n := s.nodes[i]
		if n.ahead != nil || wanted[n] {
			wanted[n] = true
			for _, p := range n.parents {
				wanted[p] = true
			}
		}
	}
	return wanted
}

// checkAsync finds what must not lie between an asynchronous operator and its sources: a second run of it, ahead, would have effects of its own.
func (b *Builder) checkAsync() {
	for _, n := range b.nodes {
		if n.ahead == nil {
			continue
		}
		if other := impureAbove(n); other != nil {
			b.Report(n.op, n.name, n.pos, fmt.Errorf("its calls are made ahead of the records, and the %s at %s cannot run ahead: put a Repartition between "+
				"the two, or use only Filter, FilterNot, Map, MapValues, FlatMap, FlatMapValues, SelectKey, Merge, Split and Branch there", other.op, other.pos))
		}
	}
}

// impureAbove is a node above n that is neither pure nor a source, nil if there is none: the first on the way up.
func impureAbove(n *node) *node {
	seen := map[*node]bool{}
	queue := []*node{n}
	for i := 0; i < len(queue); i++ {
		for _, p := range queue[i].parents {
			switch {
			case seen[p]:
			case p.kind != SourceNode && !p.pure:
				return p
			default:
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	return nil
}
