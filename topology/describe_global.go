package topology

import "fmt"

// A GlobalDescription is one global store.
type GlobalDescription struct {
	// Topic fills the store, by way of the node.
	Topic TopicDescription `json:"topic"`
	Node  NodeDescription  `json:"node"`
	Store StoreDescription `json:"store"`
}

func (g *Global) describe() GlobalDescription {
	d := GlobalDescription{Topic: g.source.topic.describe(), Node: g.filler.describe(), Store: describeStore(g.spec.Info())}
	d.Node.Parents = nil // the source has no more to say than the topic
	d.Store.Changelog = false
	return d
}

// String is the global store on one line.
func (d GlobalDescription) String() string {
	s := d.Store
	place := "on disk"
	if s.InMemory {
		place = "in memory"
	}
	return fmt.Sprintf("%s: %s (%s, %s), %s, filled by %s [%s] from %s", s.Name, s.Kind, s.KeyType, s.ValueType, place, d.Node.Name, d.Node.Op, d.Topic)
}

// drawGlobals adds the global stores, and the topics that fill them, as a cluster of their own.
func (d Description) drawGlobals(out *drawing, nodes, stores map[string]string) {
	if len(d.Globals) == 0 {
		return
	}
	c := cluster{id: "global", label: "Global stores, whole on every instance"}
	for _, g := range d.Globals {
		nodes[g.Node.Name] = fmt.Sprintf("n%d", len(nodes))
		stores[g.Store.Name] = fmt.Sprintf("s%d", len(stores))
		c.shapes = append(c.shapes,
			shape{nodes[g.Node.Name], nodeShape, []string{g.Node.Name, g.Node.Op}},
			shape{stores[g.Store.Name], storeShape, []string{g.Store.Name, g.Store.Kind, g.Store.KeyType, g.Store.ValueType}})
	}
	out.clusters = append(out.clusters, c)
}

// connectGlobals adds the lines from the topics to the global stores.
func (d Description) connectGlobals(out *drawing, nodes, stores map[string]string, topics map[TopicDescription]string) {
	for _, g := range d.Globals {
		topic := NodeDescription{Topic: g.Topic.Name, KeyType: g.Topic.KeyType, ValueType: g.Topic.ValueType}
		id := nodes[g.Node.Name]
		out.lines = append(out.lines, line{from: out.topic(topic, topics), to: id}, line{from: id, to: stores[g.Store.Name], store: true})
	}
}
