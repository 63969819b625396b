package stream_test

import (
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func (in *interpreter) versionedTable(n *conformanceNode) {
	in.versioned[n.ID] = in.b.VersionedTable(textTopic(n.Topic), state.Versioned(in.name("versioned"), texts, texts, millis(n.History)))
}

func (in *interpreter) versionedJoin(n *conformanceNode) {
	s, t := in.keyed(n), in.versioned[n.In[1]]
	var opts []stream.VersionedJoinOption
	if n.Grace != nil {
		opts = append(opts, stream.Grace(millis(*n.Grace), state.JoinBuffer(in.name("joined"), texts, texts)))
	}
	if n.Kind == "inner" {
		in.put(n, s.JoinVersioned(t, joined, opts...), false)
	} else {
		in.put(n, s.LeftJoinVersioned(t, leftJoined, opts...), false)
	}
}
