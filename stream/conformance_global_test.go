package stream_test

import "github.com/weirstream/weir/stream"

// globalTable reads a topic as a global table.
func (in *interpreter) globalTable(n *conformanceNode) {
	in.globals[n.ID] = in.b.GlobalTable(textTopic(n.Topic), in.keyValue())
}

// streamGlobalJoin looks the table up under the first character of the stream's value.
func (in *interpreter) streamGlobalJoin(n *conformanceNode) {
	s, t := in.stream(n), in.globals[n.In[1]]
	if n.Kind == "inner" {
		in.put(n, s.JoinGlobal(t, firstOf, joined), s.rekeyed)
	} else {
		in.put(n, s.LeftJoinGlobal(t, firstOf, leftJoined), s.rekeyed)
	}
}

type textGlobals = map[string]stream.GlobalTable[text, text]
