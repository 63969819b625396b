package topology

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstream/weir/state"
)

// A Global is a store that every instance holds in full, and the topic that fills it: all its partitions, read from the start. The topic is the
// store's log, there is no other. A Global belongs to no subtopology and no task; tasks read what their instance has applied of it.
type Global struct {
	source, filler *node
	spec           state.Spec
}

// Topic is the name of the topic that fills the store.
func (g *Global) Topic() string { return g.source.topic.name }

// Store is the descriptor of the store.
func (g *Global) Store() state.Spec { return g.spec }

// Pos is the file and line of the call that made it.
func (g *Global) Pos() string { return g.filler.pos }

// Globals are the global stores of the topology, in the order they were declared.
func (t *Topology) Globals() []*Global { return t.globals }

// Global adds a global store that is filled from the topic: wire makes the receiver of the topic's records, which come with their own timestamps, of
// whatever time. The node of the spec is that receiver's; its policy decides about records that cannot be decoded, too.
func (b *Builder) Global[K, V any](t Topic[K, V], st state.Spec, s NodeSpec, wire func(c *NodeContext) (Processor[K, V], error)) {
	if s.Name == "" {
		s.Name = st.Info().Name + "-global"
	}
	s.Stores = append(s.Stores, st)
	source := b.node(SourceNode, NodeSpec{Op: "global-source", Name: s.Name + "-source", Pos: s.Pos, Policy: s.Policy})
	source.topic, source.source = t.info(), &sourceSettings{}
	if err := source.topic.validate(); err != nil {
		b.Report(s.Op, t.Name(), s.Pos, err)
	}
	filler := b.node(ProcessorNode, s, source)
	filler.wire = func(c *NodeContext, _ []any) (any, error) { return wire(c) }
	source.input = func(c *NodeContext, topic string, kids []any) (Input, error) {
		next, err := receivers[K, V](source, kids)
		if err != nil {
			return nil, err
		}
		in, err := newInput(c, t.bound(topic), nil, join(next))
		if err != nil {
			return nil, err
		}
		in.anyTime = true
		return in, nil
	}
	b.globals = append(b.globals, &Global{source, filler, st})
}

// Wire builds the receivers of the global store for one instance.
func (g *Global) Wire(h Host) (SourceInput, error) {
	fill := newNodeContext(h, g.filler)
	fill.Enter()
	next, err := g.filler.wire(fill, nil)
	if err == nil {
		source := newNodeContext(h, g.source)
		source.Enter()
		var in Input
		if in, err = g.source.input(source, g.Topic(), []any{next}); err == nil {
			return SourceInput{Topic: g.Topic(), Node: g.source.name, Input: in}, nil
		}
	}
	return SourceInput{}, &BuildError{Op: g.filler.op, Name: g.filler.name, Pos: g.filler.pos, Err: err}
}

// checkGlobals finds stores that are global and not, and readers of global stores that there are none of.
func (b *Builder) checkGlobals() {
	known := map[string]*Global{}
	for _, g := range b.globals {
		i := g.spec.Info()
		if err := i.Validate(); err != nil {
			b.Report(g.filler.op, g.filler.name, g.filler.pos, err)
		}
		if other := known[i.Name]; other != nil {
			b.Report(g.filler.op, g.filler.name, g.filler.pos, fmt.Errorf("global store %q is filled at %s already: a name is for one store", i.Name, other.Pos()))
			continue
		}
		known[i.Name] = g
	}
	for _, n := range b.nodes {
		for _, s := range n.stores {
			if g := known[s.Info().Name]; g != nil {
				b.Report(n.op, n.name, n.pos, fmt.Errorf("store %q is global, declared at %s: tasks only read it; "+
					"list it with Globals and open it with View", s.Info().Name, g.Pos()))
			}
		}
		for _, s := range n.globals {
			i := s.Info()
			switch g := known[i.Name]; {
			case g == nil:
				b.Report(n.op, n.name, n.pos, fmt.Errorf("reads the global store %q, which nothing fills: add a GlobalTable or a GlobalStore with it", i.Name))
			case g.spec.Info() != i:
				o := g.spec.Info()
				b.Report(n.op, n.name, n.pos, fmt.Errorf("reads the global store %q as %s of %s and %s, and it is declared as %s of %s and %s at %s: "+
					"use one descriptor", i.Name, i.Kind, i.KeyType, i.ValueType, o.Kind, o.KeyType, o.ValueType, g.Pos()))
			}
		}
	}
}

// tryGlobals wires the global stores with empty rows, as trial does with subtopologies.
func (b *Builder) tryGlobals() {
	for _, g := range b.globals {
		if err := tried(func(h **trialHost) (err error) {
			if *h, err = newTrialHost([]state.Spec{g.spec}, nil); err == nil {
				_, err = g.Wire(*h)
			} else if fault, ok := errors.AsType[*BuildError](err); ok {
				fault.Pos = g.Pos()
			}
			return err
		}); err != nil {
			b.errs = append(b.errs, err)
		}
	}
}

// ViewStore implements state.Viewer for the global stores that the node declares.
func (c *NodeContext) ViewStore(spec state.Spec) (state.Committed, error) {
	name := spec.Info().Name
	for _, s := range c.node.globals {
		if s.Info().Name == name {
			return c.host.Global(name)
		}
	}
	return state.Committed{}, fmt.Errorf("node %q does not declare that it reads global store %q: list it with Globals", c.node.name, name)
}

// ViewStore implements state.Viewer: descriptors of global stores open themselves with it.
func (n *Node[K2, V2]) ViewStore(spec state.Spec) (state.Committed, error) {
	st, err := n.nc.ViewStore(spec)
	if err != nil {
		n.errs = append(n.errs, err)
	}
	return st, err
}

// A GlobalNode is what the set-up of a processor that fills a global store gets: the store, through its descriptor, and nothing that needs a task. There is
// nobody to forward to, and there are no timers. It is for the goroutine that applies the topic.
type GlobalNode struct {
	nc   *NodeContext
	errs []error
}

// Name is the node's name.
func (n *GlobalNode) Name() string { return n.nc.Name() }

// Metadata tells where the record in process came from.
func (n *GlobalNode) Metadata() Metadata { return *n.nc.Metadata() }

// OpenStore implements state.Opener: the descriptor of the global store opens itself with it.
func (n *GlobalNode) OpenStore(spec state.Spec) (state.Store, error) {
	st, err := n.nc.OpenStore(spec)
	if err != nil {
		n.errs = append(n.errs, err)
	}
	return st, err
}

// A GlobalSetup prepares a processor that fills a global store: it opens the store and returns the function for records. It runs at each start of an
// instance, and once with an empty store while the topology is built.
type GlobalSetup[K, V any] func(n *GlobalNode) (func(ctx context.Context, r Record[K, V]) error, error)

// GlobalFiller makes the wire function of Builder.Global from the set-up of a processor.
func GlobalFiller[K, V any](setup GlobalSetup[K, V]) func(c *NodeContext) (Processor[K, V], error) {
	return func(c *NodeContext) (Processor[K, V], error) {
		if setup == nil {
			return nil, errors.New("there is no set-up")
		}
		n := &GlobalNode{nc: c}
		f, err := setup(n)
		if err = errors.Join(append(n.errs, err)...); err != nil {
			return nil, fmt.Errorf("set up node %q: %w", c.Name(), err)
		}
		if f == nil {
			return nil, fmt.Errorf("set up node %q: its set-up returned no function for records", c.Name())
		}
		return &process[K, V]{nc: c, f: f}, nil
	}
}
