package topology

// AttachAll is Attach for a node that receives the records of several ports: those of one after those of the other, as they come.
func AttachAll[K, V, K2, V2 any](
	s NodeSpec, ports []Port[K, V], wire func(c *NodeContext, next Processor[K2, V2]) (Processor[K, V], error),
) Port[K2, V2] {
	var b *Builder
	parents := make([]*node, 0, len(ports))
	for _, p := range ports {
		if b == nil {
			b = p.b
		}
		if p.b != b || p.n == nil {
			if b != nil {
				b.Report(s.Op, s.Name, s.Pos, errForeign)
			}
			continue
		}
		parents = append(parents, p.n)
	}
	return attach(b, s, parents, func(c *NodeContext, kids []Processor[K2, V2]) (Processor[K, V], error) {
		return wire(c, join(kids))
	})
}
