package topology

import (
	"fmt"
	"strings"
)

// String writes the description for readers: each subtopology as a tree from its sources down, then stores and
// topics. A node with several parents stands in full below the first of them, and by its name below the others.
func (d Description) String() string {
	var w strings.Builder
	for _, s := range d.Subtopologies {
		fmt.Fprintf(&w, "Subtopology %d\n", s.ID)
		tree := textTree{w: &w, nodes: map[string]NodeDescription{}, done: map[string]bool{}}
		for _, n := range s.Nodes {
			tree.nodes[n.Name] = n
		}
		for _, n := range s.Nodes {
			if len(n.Parents) == 0 {
				tree.write(n, 1)
			}
		}
		w.WriteByte('\n')
	}
	if len(d.Stores) > 0 {
		w.WriteString("Stores\n")
		for _, s := range d.Stores {
			fmt.Fprintf(&w, "  %s\n", s)
		}
		w.WriteByte('\n')
	}
	if len(d.Globals) > 0 {
		w.WriteString("Global stores\n")
		for _, g := range d.Globals {
			fmt.Fprintf(&w, "  %s\n", g)
		}
		w.WriteByte('\n')
	}
	w.WriteString("Topics\n")
	for _, t := range d.Reads {
		fmt.Fprintf(&w, "  reads %s\n", t)
	}
	for _, t := range d.Writes {
		fmt.Fprintf(&w, "  writes %s\n", t)
	}
	for _, t := range d.Repartitions {
		fmt.Fprintf(&w, "  owns %s\n", t)
	}
	for _, t := range d.DeadLetterSources {
		fmt.Fprintf(&w, "  may send dead letters of %s\n", t)
	}
	return w.String()
}

type textTree struct {
	w     *strings.Builder
	nodes map[string]NodeDescription
	done  map[string]bool
}

func (t *textTree) write(n NodeDescription, depth int) {
	indent := strings.Repeat("  ", depth)
	if t.done[n.Name] {
		fmt.Fprintf(t.w, "%s%s, see above\n", indent, n.Name)
		return
	}
	t.done[n.Name] = true
	fmt.Fprintf(t.w, "%s%s\n", indent, n)
	for _, c := range n.Children {
		t.write(t.nodes[c], depth+1)
	}
}

// String is the node on one line, without its neighbours.
func (n NodeDescription) String() string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s [%s]", n.Name, n.Op)
	topic := TopicDescription{Name: n.Topic, Repartition: n.Repartition, Pattern: n.Pattern, KeyType: n.KeyType, ValueType: n.ValueType}
	switch {
	case n.Kind == SourceNode:
		fmt.Fprintf(&w, " from %s", topic)
	case n.Kind == SinkNode && n.Topic == "":
		fmt.Fprintf(&w, " to a topic by record (%s, %s)", n.KeyType, n.ValueType)
	case n.Kind == SinkNode:
		fmt.Fprintf(&w, " to %s", topic)
	}
	switch len(n.Stores) {
	case 0:
	case 1:
		fmt.Fprintf(&w, " with store %s", n.Stores[0])
	default:
		fmt.Fprintf(&w, " with stores %s", strings.Join(n.Stores, ", "))
	}
	if len(n.Globals) > 0 {
		fmt.Fprintf(&w, " reading global %s", strings.Join(n.Globals, ", "))
	}
	return w.String()
}

// String is the topic on one line.
func (t TopicDescription) String() string {
	s := fmt.Sprintf("%s (%s, %s)", t.Name, t.KeyType, t.ValueType)
	if t.Repartition {
		s = "repartition " + s
	}
	if t.Pattern {
		s = "topics like " + s
	}
	if t.Partitions > 0 {
		s += fmt.Sprintf(" in %d partitions", t.Partitions)
	}
	return s
}

// String is the store on one line.
func (s StoreDescription) String() string {
	place, log, kept := "on disk", "changelog", ""
	if s.InMemory {
		place = "in memory"
	}
	if !s.Changelog {
		log = "no changelog"
	}
	if s.Retention != "" {
		kept = ", kept for " + s.Retention
	}
	return fmt.Sprintf("%s: %s (%s, %s), %s, %s%s", s.Name, s.Kind, s.KeyType, s.ValueType, place, log, kept)
}
