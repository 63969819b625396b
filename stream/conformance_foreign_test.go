package stream_test

import "github.com/weirstream/weir/stream"

// foreignKeyJoin takes the first character of the left value for the foreign key.
func (in *interpreter) foreignKeyJoin(n *conformanceNode) {
	l, r := in.tables[n.In[0]], in.tables[n.In[1]]
	fk := func(v text) (text, bool) { return firstOf(nil, v), true } // a nil one is none
	via := stream.NewForeignJoin(in.name("foreign"), texts, texts, texts, texts)
	if n.Kind == "inner" {
		in.tables[n.ID] = l.JoinForeign(r, fk, joined, via).Materialize(in.keyValue())
	} else {
		in.tables[n.ID] = l.LeftJoinForeign(r, fk, leftJoined, via).Materialize(in.keyValue())
	}
}
