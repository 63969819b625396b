package topology

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// Signature identifies what instances of one application must agree about: subtopologies with their source topics, repartitions and stores,
// and the global stores. What the operators do, and how they are named, does not change it.
func (t *Topology) Signature() string {
	h := sha256.New()
	for _, s := range t.subs {
		fmt.Fprintf(h, "subtopology %d\n", s.ID)
		var lines []string
		for _, n := range s.nodes {
			if n.kind == SourceNode && n.topic.pattern != nil {
				lines = append(lines, fmt.Sprintf("pattern %q", n.topic.name)) // whatever it matches
				continue
			}
			for _, topic := range s.found.topics(n, "") {
				lines = append(lines, fmt.Sprintf("source %q %v", topic, n.topic.internal))
			}
		}
		for _, st := range s.Stores() {
			i := st.Info()
			lines = append(lines, fmt.Sprintf("store %q %s %s %s %v", i.DurableName(), i.Kind, i.KeyType, i.ValueType, i.Changelog))
		}
		slices.Sort(lines)
		for _, l := range lines {
			fmt.Fprintln(h, l)
		}
	}
	for _, g := range t.globals {
		i := g.spec.Info()
		fmt.Fprintf(h, "global %q from %q %s %s %s\n", i.DurableName(), g.Topic(), i.Kind, i.KeyType, i.ValueType)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
