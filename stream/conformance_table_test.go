package stream_test

import (
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func (in *interpreter) tableTableJoin(n *conformanceNode) {
	l, r := in.tables[n.In[0]], in.tables[n.In[1]]
	var t stream.Table[text, text]
	switch n.Kind {
	case "inner":
		t = l.Join(r, joined)
	case "left":
		t = l.LeftJoin(r, leftJoined)
	default:
		t = l.OuterJoin(r, func(l, r stream.Opt[text]) text { return joined(l.Value, r.Value) })
	}
	in.tables[n.ID] = t.Materialize(in.keyValue())
}

func (in *interpreter) tableAggregate(n *conformanceNode) {
	g := in.table(n).GroupBy(func(k, v text) (text, text) { return firstOf(k, v), v }, in.repartition())
	sign := func(s string) func(a, v text) text {
		return func(a, v text) text { return textOf(show(a) + s + show(v)) }
	}
	plus, minus := sign("+"), sign("-")
	switch n.Fn {
	case "count":
		in.tables[n.ID] = g.Count(state.KeyValue(in.name("store"), texts, serde.Int64())).MapValues(number)
	case "reduce":
		in.tables[n.ID] = g.Reduce(plus, minus, in.keyValue())
	default:
		in.tables[n.ID] = g.Aggregate(zeroText, func(_, v, a text) text { return plus(a, v) },
			func(_, v, a text) text { return minus(a, v) }, in.keyValue())
	}
}
