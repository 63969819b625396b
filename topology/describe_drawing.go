package topology

import (
	"fmt"
	"slices"
)

// A drawing is a description as shapes and lines, before it takes the syntax of a format. Shapes have ids of their
// own, so that no name or type can be mistaken for syntax; names and types stand in labels only.
type drawing struct {
	clusters []cluster
	topics   []shape
	lines    []line
}

// A cluster is one subtopology, or the global stores.
type cluster struct {
	id, label string
	shapes    []shape
}

type shape struct {
	id   string
	kind shapeKind
	// label has one entry per line.
	label []string
}

type shapeKind uint8

const (
	nodeShape shapeKind = iota
	storeShape
	topicShape
	repartitionShape
)

// A line goes from one shape to another. Those to stores have no direction.
type line struct {
	from, to string
	store    bool
}

// draw turns the description into shapes. Nodes are n0, n1, ..., stores s0, s1, ..., topics t0, t1, ...
func (d Description) draw() drawing {
	var out drawing
	nodes, stores := map[string]string{}, map[string]string{}
	for _, s := range d.Subtopologies {
		c := cluster{id: fmt.Sprintf("sub%d", s.ID), label: fmt.Sprintf("Subtopology %d", s.ID)}
		for _, n := range s.Nodes {
			nodes[n.Name] = fmt.Sprintf("n%d", len(nodes))
			c.shapes = append(c.shapes, shape{nodes[n.Name], nodeShape, []string{n.Name, n.Op}})
		}
		for _, name := range s.Stores {
			stores[name] = fmt.Sprintf("s%d", len(stores))
			c.shapes = append(c.shapes, shape{stores[name], storeShape, d.storeLabel(name)})
		}
		out.clusters = append(out.clusters, c)
	}
	d.drawGlobals(&out, nodes, stores)
	topics := map[TopicDescription]string{}
	for _, s := range d.Subtopologies {
		for _, n := range s.Nodes {
			out.connect(n, nodes, stores, topics)
		}
	}
	d.connectGlobals(&out, nodes, stores, topics)
	return out
}

func (d Description) storeLabel(name string) []string {
	for _, s := range d.Stores {
		if s.Name == name {
			return []string{s.Name, s.Kind, s.KeyType, s.ValueType}
		}
	}
	return []string{name}
}

func (d *drawing) connect(n NodeDescription, nodes, stores map[string]string, topics map[TopicDescription]string) {
	id := nodes[n.Name]
	switch n.Kind {
	case SourceNode:
		d.lines = append(d.lines, line{from: d.topic(n, topics), to: id})
	case SinkNode:
		d.lines = append(d.lines, line{from: id, to: d.topic(n, topics)})
	}
	for _, c := range n.Children {
		d.lines = append(d.lines, line{from: id, to: nodes[c]})
	}
	for _, s := range slices.Concat(n.Stores, n.Globals) {
		d.lines = append(d.lines, line{from: id, to: stores[s], store: true})
	}
}

// topic returns the id of the shape of the node's topic. Each topic has one, whoever reads and writes it.
func (d *drawing) topic(n NodeDescription, topics map[TopicDescription]string) string {
	key := TopicDescription{Name: n.Topic, Repartition: n.Repartition, Pattern: n.Pattern}
	if id := topics[key]; id != "" && n.Topic != "" {
		return id
	}
	s := shape{id: fmt.Sprintf("t%d", len(d.topics)), kind: topicShape, label: []string{n.Topic, n.KeyType, n.ValueType}}
	switch {
	case n.Repartition:
		s.kind = repartitionShape
	case n.Pattern:
		s.label[0] = "topics like " + n.Topic
	case n.Topic == "":
		s.label[0] = "by record"
	}
	d.topics = append(d.topics, s)
	topics[key] = s.id
	return s.id
}
