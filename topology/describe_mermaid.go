package topology

import (
	"fmt"
	"strings"
)

// Mermaid writes the description as a Mermaid flowchart: a subgraph per subtopology with its nodes, stores as
// cylinders, the cluster's topics as slanted boxes, repartitions as boxes with double sides.
func (d Description) Mermaid() string {
	var w strings.Builder
	w.WriteString("flowchart TD\n")
	g := d.draw()
	for _, c := range g.clusters {
		fmt.Fprintf(&w, "  subgraph %s[\"%s\"]\n", c.id, mermaidText(c.label))
		for _, s := range c.shapes {
			fmt.Fprintf(&w, "    %s\n", s.mermaid())
		}
		w.WriteString("  end\n")
	}
	for _, t := range g.topics {
		fmt.Fprintf(&w, "  %s\n", t.mermaid())
	}
	for _, l := range g.lines {
		arrow := "-->"
		if l.store {
			arrow = "-.-"
		}
		fmt.Fprintf(&w, "  %s %s %s\n", l.from, arrow, l.to)
	}
	return w.String()
}

func (s shape) mermaid() string {
	left, right := "[", "]"
	switch s.kind {
	case storeShape:
		left, right = "[(", ")]"
	case topicShape:
		left, right = "[/", "/]"
	case repartitionShape:
		left, right = "[[", "]]"
	}
	label := make([]string, len(s.label))
	for i, text := range s.label {
		label[i] = mermaidText(text)
	}
	return fmt.Sprintf("%s%s\"%s\"%s", s.id, left, strings.Join(label, "<br/>"), right)
}

// mermaidText escapes what has a meaning inside a quoted label: quotes, the marks of HTML and of Markdown, and the
// number sign of the escapes themselves. Mermaid's escapes are decimal code points.
func mermaidText(text string) string {
	var w strings.Builder
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" ._-[](){},:/", r):
			w.WriteRune(r)
		default:
			fmt.Fprintf(&w, "#%d;", r)
		}
	}
	return w.String()
}
