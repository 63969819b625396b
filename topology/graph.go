package topology

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
)

// A NodeKind tells sources, processors and sinks apart.
type NodeKind string

const (
	// SourceNode reads a topic.
	SourceNode NodeKind = "source"
	// ProcessorNode works on records.
	ProcessorNode NodeKind = "processor"
	// SinkNode writes a topic.
	SinkNode NodeKind = "sink"
)

// A node is one node of the graph, without types.
type node struct {
	id      int
	kind    NodeKind
	op      string
	name    string
	pos     string
	topic   topicInfo // of sources and sinks; name is empty for a sink that chooses its topic by record
	stores  []state.Spec
	owns    []state.Spec // those among them that no other operator keeps
	globals []state.Spec // global stores that it reads
	policy  dlq.Policy
	rejects bool // a user function here may send to the dead-letter topic
	// nullKeys tells that the node has a use for records without a key.
	nullKeys bool
	// pure tells that the node only makes records of records: it may run a second time, ahead.
	pure bool

	parents, children []*node

	source *sourceSettings
	// passNullKeys tells, of a sink to a repartition topic, that a node downstream has a use for records without a key.
	passNullKeys bool

	// wire builds the node's receiver for one task: a Processor of the node's input type. kids are the children's receivers.
	wire func(c *NodeContext, kids []any) (any, error)
	// ahead builds the receiver that asks for the node's calls before their records are processed, of an asynchronous node.
	ahead func(c *NodeContext, ask func(Ask)) any
	// discard is a receiver of the node's input type that does nothing.
	discard any
	// input builds the node's Input for a topic, of a source. topic is the name that the serdes are bound to.
	input func(c *NodeContext, topic string, kids []any) (Input, error)
}

// sourceSettings are what a source says beyond its topic.
type sourceSettings struct {
	start  StartFrom
	custom bool // has a timestamp extractor
	// logs names the store that is restored from the topic; empty for none.
	logs string
	// idle is how long the input must be quiet for event time to go on without it; 0 is never.
	idle    time.Duration
	ownIdle bool // the program says so
}

// A StartFrom says where a source begins in a partition that has no committed offset.
type StartFrom uint8

const (
	// Earliest begins at the oldest record.
	Earliest StartFrom = iota
	// Latest begins with what comes.
	Latest
	// NoStart refuses to run without a committed offset.
	NoStart
)

// A BuildError is one fault of a topology.
type BuildError struct {
	// Op is the operator, Name the node, store or topic, Pos the file and line of the user's call.
	Op, Name, Pos string
	Err           error
}

// Error gives the position, the operator and the fault.
func (e *BuildError) Error() string {
	pos := e.Pos
	if pos != "" {
		pos += ": "
	}
	if e.Name == "" {
		return fmt.Sprintf("%s%s: %v", pos, e.Op, e.Err)
	}
	return fmt.Sprintf("%s%s %q: %v", pos, e.Op, e.Name, e.Err)
}

// Unwrap returns the fault.
func (e *BuildError) Unwrap() error { return e.Err }

// A Builder collects a graph. Its methods never fail: what is wrong is reported by Build, all at once. The zero value is ready. It is
// for one goroutine.
type Builder struct {
	nodes    []*node
	globals  []*Global
	names    map[string]*node
	errs     []error
	groups   []copartition
	fallback dlq.Policy
	built    bool
}

// OnError sets the policy for failures at nodes without one of their own, and for records that cannot be decoded. Without it, a failure
// stops the task: dlq.Fail.
func (b *Builder) OnError(p dlq.Policy) { b.fallback = p }

// copartition is a set of nodes whose source topics must have as many partitions as one another.
type copartition struct {
	pos   string
	op    string
	nodes []*node
}

// Report adds a fault to those that Build returns.
func (b *Builder) Report(op, name, pos string, err error) {
	b.errs = append(b.errs, &BuildError{Op: op, Name: name, Pos: pos, Err: err})
}

// reportCall reports what is wrong with the call that makes a node, unless another of its nodes did.
func (b *Builder) reportCall(s NodeSpec) {
	if s.Err == nil {
		return
	}
	fault := &BuildError{Op: s.Op, Pos: s.Pos, Err: s.Err}
	if !slices.ContainsFunc(b.errs, func(err error) bool { return err.Error() == fault.Error() }) {
		b.errs = append(b.errs, fault)
	}
}

// present reports descriptors of stores that are nil, and leaves them out.
func (b *Builder) present(n *node, specs []state.Spec) []state.Spec {
	var out []state.Spec
	for _, s := range specs {
		if v := reflect.ValueOf(s); s == nil || v.Kind() == reflect.Pointer && v.IsNil() {
			b.Report(n.op, n.name, n.pos, errors.New("the descriptor of a store is nil: make one with state.KeyValue, for example"))
			continue
		}
		out = append(out, s)
	}
	return out
}

// A NodeSpec says what a node is, apart from what it does.
type NodeSpec struct {
	// Op is the operator's name; Name the node's, generated from Op if empty; Pos the file and line of the user's call.
	Op, Name, Pos string
	// Stores are the stores that the node uses.
	Stores []state.Spec
	// Owns are the stores that the node keeps for its operator, and uses. A store has one operator that owns it, or none; the other nodes of the operator
	// list it in Stores, and so do those that read it.
	Owns []state.Spec
	// Globals are the global stores that the node reads.
	Globals []state.Spec
	// Policy decides about failures of the node, before the builder's.
	Policy dlq.Policy
	// Rejects tells that a user function here may return dlq.Reject.
	Rejects bool
	// NullKeys tells that the node has a use for records without a key: repartition topics upstream carry them.
	NullKeys bool
	// Pure tells that the node does nothing but make records of records, the same of the same: it may run ahead of asynchronous operators, twice
	// per record.
	Pure bool
	// Err is what is wrong with the call that makes the node: Build returns it, once for all nodes of the call.
	Err error
}

func (b *Builder) add(kind NodeKind, s NodeSpec, parents ...*node) *node {
	n := b.node(kind, s, parents...)
	b.nodes = append(b.nodes, n)
	return n
}

// node makes a node that is not in the graph of the tasks yet.
func (b *Builder) node(kind NodeKind, s NodeSpec, parents ...*node) *node {
	if s.Op == "" {
		s.Op = string(kind)
	}
	n := &node{
		id: len(b.nodes), kind: kind, op: s.Op, name: s.Name, pos: s.Pos, policy: s.Policy,
		rejects: s.Rejects, nullKeys: s.NullKeys, pure: s.Pure, parents: parents,
	}
	if n.name == "" {
		n.name = fmt.Sprintf("%s-%d", s.Op, n.id)
	}
	if b.names == nil {
		b.names = map[string]*node{}
	}
	switch other := b.names[n.name]; {
	case !nodeName.MatchString(n.name):
		b.Report(s.Op, n.name, s.Pos, errors.New("a node's name has 1 to 260 of the characters a-z, A-Z, 0-9, '.', '_' and '-'"))
	case other != nil:
		b.Report(s.Op, n.name, s.Pos, fmt.Errorf("the name is taken by the %s at %s", other.op, other.pos))
	}
	b.names[n.name] = n
	if err := dlq.Validate(s.Policy); err != nil {
		b.Report(s.Op, n.name, s.Pos, err)
	}
	b.reportCall(s)
	n.globals = b.present(n, s.Globals)
	n.owns = b.present(n, s.Owns)
	n.stores = append(b.present(n, s.Stores), n.owns...)
	for _, p := range parents {
		p.children = append(p.children, n)
	}
	return n
}

// Copartition demands that the topics which feed the ports have as many partitions as one another: a join looks up a key in the
// partition of the same number. Repartition topics without a number of their own take that of the others.
func (b *Builder) Copartition(op, pos string, ports ...AnyPort) {
	g := copartition{pos: pos, op: op}
	for _, p := range ports {
		if p.owner() != b {
			b.Report(op, "", pos, errForeign)
			return
		}
		g.nodes = append(g.nodes, p.end())
	}
	b.groups = append(b.groups, g)
}

// An AnyPort is a Port of any type.
type AnyPort interface {
	end() *node
	owner() *Builder
}
