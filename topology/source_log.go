package topology

import (
	"fmt"
	"slices"

	"github.com/weirstream/weir/dlq"
)

// A source log is a topic that serves as the changelog of the store of its table. It is one only where the store holds what the topic holds, at each
// position: a restore reads the topic's bytes without asking anybody. So every record must have gone into the store as it is.

// SourceLogs are the topics of the cluster that stores are restored from. They must be compacted: what is cut off by age would be missing.
func (t *Topology) SourceLogs() []string {
	var topics []string
	for _, n := range t.nodes {
		if n.kind == SourceNode && n.source.logs != "" && !slices.Contains(topics, n.topic.name) {
			topics = append(topics, n.topic.name)
		}
	}
	return topics
}

// checkSourceLogs finds sources of which the store may lack something.
func (b *Builder) checkSourceLogs() {
	for _, n := range b.nodes {
		if n.kind != SourceNode || n.source.logs == "" {
			continue
		}
		report := func(why string) {
			b.Report(n.op, n.name, n.pos, fmt.Errorf("topic %q cannot be the changelog of store %q: %s", n.topic.name, n.source.logs, why))
		}
		if n.source.custom {
			report("TimestampFrom gives its rows other times than the topic's: leave one of the two out")
		}
		if n.source.start != Earliest {
			report("the store does not begin with its oldest record: leave StartFrom out")
		}
		if passes(n.policyOr(b.fallback), dlq.Decode) {
			report("a policy lets records pass that cannot be decoded, and a restore would not: use OnError(dlq.Fail()) here, or a changelog")
		}
		for _, m := range downstream(n)[1:] { // what is undone there is undone in the store
			if p := m.policyOr(b.fallback); m.rejects || passes(p, dlq.Process, dlq.Encode) {
				report(fmt.Sprintf("the %s at %s may set a record aside, and the store would lack it: use OnError(dlq.Fail()) there and no function "+
					"that rejects, or a changelog", m.op, m.pos))
			}
		}
	}
}

func (n *node) policyOr(fallback dlq.Policy) dlq.Policy {
	if n.policy != nil {
		return n.policy
	}
	return fallback
}

// passes tells whether the policy may drop a record of a failure at these stages, or set it aside.
func passes(p dlq.Policy, stages ...dlq.Stage) bool {
	return mayDo(p, stages, dlq.ActionSkip, dlq.ActionSend)
}
