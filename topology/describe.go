package topology

import (
	"encoding/json"
	"slices"

	"github.com/weirstream/weir/state"
)

// A Description is a topology as plain data: what a review, a golden test or a drawing shows of it. It depends on the
// program alone: not on the application's id, so that repartitions and stores go by their durable names, and not on
// lines of code. The same program has the same description, in the same order.
//
// String, Mermaid, DOT and JSON write it. A Description belongs to the caller and shares no memory with the topology.
type Description struct {
	Subtopologies []SubtopologyDescription `json:"subtopologies"`
	// Stores are in the order of their first use.
	Stores []StoreDescription `json:"stores"`
	// Globals are the global stores, in the order they were declared.
	Globals []GlobalDescription `json:"globals,omitempty"`
	// Reads and Writes are the topics of the cluster. Sinks that choose their topic by record have none here.
	Reads  []TopicDescription `json:"reads"`
	Writes []TopicDescription `json:"writes"`
	// Repartitions are the topics of the application's own that lie between subtopologies.
	Repartitions []TopicDescription `json:"repartitions"`
	// DeadLetterSources are the topics whose records may become dead letters, patterns too: see Topology.DeadLetterSources.
	DeadLetterSources []string `json:"dead_letter_sources"`
}

// A SubtopologyDescription is a part of the graph that runs as a whole.
type SubtopologyDescription struct {
	ID int `json:"id"`
	// Nodes are in the order they were added: parents before their children.
	Nodes []NodeDescription `json:"nodes"`
	// SourceTopics are in the order of their sources.
	SourceTopics []TopicDescription `json:"source_topics"`
	// Stores are names, in the order of their first use.
	Stores []string `json:"stores"`
}

// A NodeDescription is one node.
type NodeDescription struct {
	Name string `json:"name"`
	// Op is the operator that the node was made by.
	Op   string   `json:"op"`
	Kind NodeKind `json:"kind"`
	// Topic is that of a source or a sink; empty for a sink that chooses its topic by record, and for processors.
	Topic string `json:"topic,omitempty"`
	// Pattern tells that Topic is an expression: the source reads all topics that match.
	Pattern bool `json:"pattern,omitempty"`
	// Repartition tells that the topic is the application's own.
	Repartition bool `json:"repartition,omitempty"`
	// KeyType and ValueType are the Go types of the records of a source or a sink.
	KeyType   string `json:"key_type,omitempty"`
	ValueType string `json:"value_type,omitempty"`
	// Stores, Globals (the global stores that it reads), Parents and Children are names, in the order they were given.
	Stores   []string `json:"stores,omitempty"`
	Globals  []string `json:"globals,omitempty"`
	Parents  []string `json:"parents,omitempty"`
	Children []string `json:"children,omitempty"`
}

// A TopicDescription is one topic.
type TopicDescription struct {
	Name        string `json:"name"`
	Repartition bool   `json:"repartition,omitempty"`
	// Pattern tells that Name is an expression, for all topics that match.
	Pattern   bool   `json:"pattern,omitempty"`
	KeyType   string `json:"key_type"`
	ValueType string `json:"value_type"`
	// Partitions is the number that the program fixes for a repartition, 0 if it does not.
	Partitions int32 `json:"partitions,omitempty"`
}

// A StoreDescription is one store.
type StoreDescription struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	KeyType   string `json:"key_type"`
	ValueType string `json:"value_type"`
	InMemory  bool   `json:"in_memory"`
	Changelog bool   `json:"changelog"`
	// Retention is a duration as time.Duration writes it; empty for stores that keep their rows.
	Retention string `json:"retention,omitempty"`
}

// Describe returns the description of the topology.
func (t *Topology) Describe() Description {
	d := Description{
		Subtopologies: []SubtopologyDescription{}, Stores: []StoreDescription{},
		Reads: []TopicDescription{}, Writes: []TopicDescription{}, Repartitions: []TopicDescription{},
		DeadLetterSources: append([]string{}, t.deadLetterSources(func(n *node) []string { return []string{n.topic.name} })...),
	}
	for _, s := range t.subs {
		d.Subtopologies = append(d.Subtopologies, s.describe())
		for _, spec := range s.Stores() {
			d.Stores = append(d.Stores, describeStore(spec.Info()))
		}
	}
	for _, g := range t.globals {
		d.Globals = append(d.Globals, g.describe())
	}
	for _, n := range t.nodes {
		switch {
		case n.kind == SourceNode && n.topic.internal:
			d.Repartitions = append(d.Repartitions, n.topic.describe())
		case n.kind == SourceNode:
			d.Reads = append(d.Reads, n.topic.describe())
		case n.kind == SinkNode && !n.topic.internal && n.topic.name != "":
			if topic := n.topic.describe(); !slices.Contains(d.Writes, topic) {
				d.Writes = append(d.Writes, topic)
			}
		}
	}
	return d
}

func describeStore(i state.Info) StoreDescription {
	st := StoreDescription{
		Name: i.Name, Kind: string(i.Kind), KeyType: i.KeyType, ValueType: i.ValueType, InMemory: i.InMemory, Changelog: i.Changelog,
	}
	if i.Retention != 0 {
		st.Retention = i.Retention.String()
	}
	return st
}

func (s *Subtopology) describe() SubtopologyDescription {
	d := SubtopologyDescription{
		ID: s.ID, Nodes: []NodeDescription{}, SourceTopics: []TopicDescription{}, Stores: []string{},
	}
	for _, spec := range s.Stores() {
		d.Stores = append(d.Stores, spec.Info().Name)
	}
	for _, n := range s.nodes {
		d.Nodes = append(d.Nodes, n.describe())
		if n.kind == SourceNode {
			d.SourceTopics = append(d.SourceTopics, n.topic.describe())
		}
	}
	return d
}

func (n *node) describe() NodeDescription {
	d := NodeDescription{
		Name: n.name, Op: n.op, Kind: n.kind, Topic: n.topic.name, Repartition: n.topic.internal, Pattern: n.topic.pattern != nil,
		KeyType: n.topic.keyType, ValueType: n.topic.valueType, Parents: names(n.parents), Children: names(n.children),
	}
	for _, spec := range n.stores {
		if name := spec.Info().Name; !slices.Contains(d.Stores, name) {
			d.Stores = append(d.Stores, name)
		}
	}
	for _, spec := range n.globals {
		if name := spec.Info().Name; !slices.Contains(d.Globals, name) {
			d.Globals = append(d.Globals, name)
		}
	}
	return d
}

func names(nodes []*node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.name)
	}
	return out
}

func (t topicInfo) describe() TopicDescription {
	return TopicDescription{
		Name: t.name, Repartition: t.internal, Pattern: t.pattern != nil, KeyType: t.keyType, ValueType: t.valueType, Partitions: t.partitions,
	}
}

// JSON writes the description as indented JSON, with a newline at the end. Field names are stable.
func (d Description) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}
