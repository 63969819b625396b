package topology

import (
	"fmt"
	"strings"
)

// DOT writes the description for Graphviz: a cluster per subtopology with its nodes, stores as cylinders, the
// cluster's topics as slanted boxes, repartitions as boxes with double sides.
func (d Description) DOT() string {
	var w strings.Builder
	w.WriteString("digraph topology {\n  node [shape=box];\n")
	g := d.draw()
	for _, c := range g.clusters {
		// Graphviz draws a frame around subgraphs of such names only.
		fmt.Fprintf(&w, "  subgraph cluster_%s {\n    label=\"%s\";\n", c.id, dotText(c.label))
		for _, s := range c.shapes {
			fmt.Fprintf(&w, "    %s;\n", s.dot())
		}
		w.WriteString("  }\n")
	}
	for _, t := range g.topics {
		fmt.Fprintf(&w, "  %s;\n", t.dot())
	}
	for _, l := range g.lines {
		style := ""
		if l.store {
			style = " [dir=none, style=dashed]"
		}
		fmt.Fprintf(&w, "  %s -> %s%s;\n", l.from, l.to, style)
	}
	w.WriteString("}\n")
	return w.String()
}

func (s shape) dot() string {
	attribute := ""
	switch s.kind {
	case storeShape:
		attribute = ", shape=cylinder"
	case topicShape:
		attribute = ", shape=parallelogram"
	case repartitionShape:
		attribute = ", shape=box, peripheries=2"
	}
	label := make([]string, len(s.label))
	for i, text := range s.label {
		label[i] = dotText(text)
	}
	return fmt.Sprintf("%s [label=\"%s\"%s]", s.id, strings.Join(label, `\n`), attribute)
}

// dotText escapes what has a meaning inside a quoted label: quotes, the backslash, which begins Graphviz's own
// escapes, and the ampersand, which begins those of HTML.
func dotText(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;", "\n", `\n`).Replace(text)
}
