package topology

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/weirstream/weir/state"
)

// A Port is the outlet of a node while a graph is built: records of K and V leave there. Its methods attach children; where they are
// wrong, Build says so. A Port is a small value; the zero value belongs to no builder.
type Port[K, V any] struct {
	b *Builder
	n *node
}

func (p Port[K, V]) end() *node      { return p.n }
func (p Port[K, V]) owner() *Builder { return p.b }

// Builder is the builder that the port belongs to, nil for the zero Port.
func (p Port[K, V]) Builder() *Builder { return p.b }

// Name is the name of the port's node.
func (p Port[K, V]) Name() string {
	if p.n == nil {
		return ""
	}
	return p.n.name
}

// AddStores lets the node of the port use more stores: what an operator downstream reads through it.
func (p Port[K, V]) AddStores(stores ...state.Spec) {
	if p.n != nil {
		p.n.stores = append(p.n.stores, p.b.present(p.n, stores)...)
	}
}

// OwnStores lets the node of the port keep more stores for its operator: see NodeSpec.Owns.
func (p Port[K, V]) OwnStores(stores ...state.Spec) {
	if p.n != nil {
		stores = p.b.present(p.n, stores)
		p.n.owns, p.n.stores = append(p.n.owns, stores...), append(p.n.stores, stores...)
	}
}

// Attach adds a node that receives records of the port. wire is called once per task, and once by Build, with the receiver of
// all children.
func (p Port[K, V]) Attach[K2, V2 any](
	s NodeSpec, wire func(c *NodeContext, next Processor[K2, V2]) (Processor[K, V], error),
) Port[K2, V2] {
	return p.AttachEach(s, func(c *NodeContext, kids []Processor[K2, V2]) (Processor[K, V], error) {
		return wire(c, join(kids))
	})
}

// AttachEach is Attach for a node that chooses between its children: wire gets their receivers, in the order they were attached.
func (p Port[K, V]) AttachEach[K2, V2 any](
	s NodeSpec, wire func(c *NodeContext, kids []Processor[K2, V2]) (Processor[K, V], error),
) Port[K2, V2] {
	return attach(p.b, s, []*node{p.n}, wire)
}

// Merge adds a node that receives the records of all ports.
func Merge[K, V any](s NodeSpec, ports ...Port[K, V]) Port[K, V] {
	var b *Builder
	parents := make([]*node, 0, len(ports))
	for _, p := range ports {
		if b == nil {
			b = p.b
		}
	}
	for _, p := range ports {
		if p.b == b && p.n != nil {
			parents = append(parents, p.n)
		} else if b != nil {
			b.Report(s.Op, s.Name, s.Pos, errForeign)
		}
	}
	return attach(b, s, parents, func(_ *NodeContext, kids []Processor[K, V]) (Processor[K, V], error) {
		return join(kids), nil
	})
}

var errForeign = errors.New("a handle is empty or belongs to another builder: use those that this builder's methods returned")

func attach[K, V, K2, V2 any](
	b *Builder, s NodeSpec, parents []*node, wire func(c *NodeContext, kids []Processor[K2, V2]) (Processor[K, V], error),
) Port[K2, V2] {
	if b == nil {
		b = &Builder{}
		b.Report(s.Op, s.Name, s.Pos, errForeign)
	}
	live := parents[:0]
	for _, p := range parents {
		if p != nil {
			live = append(live, p)
		}
	}
	n := b.add(ProcessorNode, s, live...)
	n.discard = nowhere[K, V]{}
	n.wire = func(c *NodeContext, kids []any) (any, error) {
		ps, err := receivers[K2, V2](n, kids)
		if err != nil {
			return nil, err
		}
		return wire(c, ps)
	}
	return Port[K2, V2]{b, n}
}

// receivers asserts the type of each child's receiver: the one place where the erased graph gets its types back.
func receivers[K, V any](n *node, kids []any) ([]Processor[K, V], error) {
	out := make([]Processor[K, V], len(kids))
	for i, k := range kids {
		p, ok := k.(Processor[K, V])
		if !ok {
			return nil, fmt.Errorf("node %q sends %v to node %q, which takes something else",
				n.name, reflect.TypeFor[Record[K, V]](), n.children[i].name)
		}
		out[i] = p
	}
	return out, nil
}

// Process adds a processor: see Setup and Node. The stores that it opens must be listed.
func (p Port[K, V]) Process[K2, V2 any](s NodeSpec, setup Setup[K, V, K2, V2]) Port[K2, V2] {
	s.Rejects = true
	var self *node
	port := p.AttachEach(s, func(c *NodeContext, kids []Processor[K2, V2]) (Processor[K, V], error) {
		n := &Node[K2, V2]{nc: c, next: join(kids), children: map[string]Processor[K2, V2]{}, nilKey: NilCheck[K2](), nilValue: NilCheck[V2]()}
		for i, k := range kids {
			n.children[self.children[i].name] = k
		}
		f, err := setup(n)
		if err = errors.Join(append(n.errs, err)...); err != nil {
			return nil, fmt.Errorf("set up node %q: %w", c.Name(), err)
		}
		if f == nil {
			return nil, fmt.Errorf("set up node %q: its set-up returned no function for records", c.Name())
		}
		n.ready = true
		return &process[K, V]{nc: c, f: f}, nil
	})
	self = port.n
	return port
}
