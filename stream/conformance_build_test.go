package stream_test

import (
	"strconv"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// A conformanceNode is one operator of a case. In names earlier nodes.
type conformanceNode struct {
	ID, Op                                   string
	In                                       []string
	Topic, Fn, By, Window, Emit, Kind, Clock string
	Size, Advance, Every, History            int64
	Before, After                            int64
	Grace                                    *int64
	Limit, Max                               int64
}

// operator is the word that the node needs.
func (n *conformanceNode) operator() string {
	switch {
	case n.Op == "window-aggregate" && n.Emit == "suppress":
		return "suppress " + n.Window
	case n.Op == "window-aggregate":
		return n.Op + " " + n.Window
	case n.Op == "stream-table-join" && n.Grace != nil:
		return n.Op + " versioned"
	}
	return n.Op
}

// An interpreter builds the topology of a case with the words of package stream.
type interpreter struct {
	b       *stream.Builder
	streams map[string]flow
	tables  map[string]stream.Table[text, text]
	globals textGlobals
	named   int

	versioned map[string]stream.VersionedTable[text, text]
}

// A flow is a stream that knows whether an operator changed its key: Kafka Streams inserts a repartition topic where an
// operator needs the key of such a stream.
type flow struct {
	stream.Stream[text, text]
	rekeyed bool
}

func newInterpreter() *interpreter {
	return &interpreter{
		b: stream.NewBuilder(), streams: map[string]flow{}, tables: map[string]stream.Table[text, text]{},
		globals:   textGlobals{},
		versioned: map[string]stream.VersionedTable[text, text]{},
	}
}

// operators are the words that the interpreter knows.
var operators = map[string]func(in *interpreter, n *conformanceNode){
	"stream": func(in *interpreter, n *conformanceNode) { in.put(n, in.b.Stream(textTopic(n.Topic)), false) },
	"table": func(in *interpreter, n *conformanceNode) {
		in.tables[n.ID] = in.b.Table(textTopic(n.Topic), in.keyValue())
	},
	"to": func(in *interpreter, n *conformanceNode) { in.stream(n).To(textTopic(n.Topic)) },

	"filter":          keepsKey(func(s flow, n *conformanceNode) textStream { return s.Filter(predicates[n.Fn]) }),
	"filter-not":      keepsKey(func(s flow, n *conformanceNode) textStream { return s.FilterNot(predicates[n.Fn]) }),
	"map-values":      keepsKey(func(s flow, n *conformanceNode) textStream { return s.MapValues(mapper(n.Fn)) }),
	"flat-map-values": keepsKey(func(s flow, _ *conformanceNode) textStream { return s.FlatMapValues(letters) }),
	"map":             changesKey(func(s flow) textStream { return s.Map(mapPair) }),
	"select-key":      changesKey(func(s flow) textStream { return s.SelectKey(firstOf) }),
	"flat-map":        changesKey(func(s flow) textStream { return s.FlatMap(letterPairs) }),
	"merge":           (*interpreter).merge,
	"branch":          (*interpreter).branch,
	"repartition": func(in *interpreter, n *conformanceNode) {
		in.put(n, in.stream(n).Repartition(in.repartition()), false)
	},
	"dedup":     (*interpreter).dedup,
	"punctuate": (*interpreter).punctuate,

	"to-table":  func(in *interpreter, n *conformanceNode) { in.tables[n.ID] = in.keyed(n).ToTable(in.keyValue()) },
	"to-stream": func(in *interpreter, n *conformanceNode) { in.put(n, in.table(n).ToStream(), false) },
	"table-filter": func(in *interpreter, n *conformanceNode) {
		in.tables[n.ID] = in.table(n).Filter(predicates[n.Fn]).Materialize(in.keyValue())
	},
	"table-filter-unmaterialized": func(in *interpreter, n *conformanceNode) {
		in.tables[n.ID] = in.table(n).Filter(predicates[n.Fn])
	},
	"table-map-values": func(in *interpreter, n *conformanceNode) {
		in.tables[n.ID] = in.table(n).MapValues(mapper(n.Fn)).Materialize(in.keyValue())
	},
	"table-map-values-unmaterialized": func(in *interpreter, n *conformanceNode) {
		in.tables[n.ID] = in.table(n).MapValues(mapper(n.Fn))
	},

	"aggregate":                 (*interpreter).aggregate,
	"cogroup":                   (*interpreter).cogroup,
	"window-aggregate tumbling": (*interpreter).windowAggregate,
	"window-aggregate hopping":  (*interpreter).windowAggregate,
	"window-aggregate sliding":  (*interpreter).slidingAggregate,
	"window-aggregate session":  (*interpreter).sessionAggregate,
	"stream-table-join":         (*interpreter).streamTableJoin,
	"global-table":              (*interpreter).globalTable,
	"stream-global-join":        (*interpreter).streamGlobalJoin,
	"stream-stream-join":        (*interpreter).streamStreamJoin,
	"table-table-join":          (*interpreter).tableTableJoin,
	"table-aggregate":           (*interpreter).tableAggregate,

	"stream-table-join versioned": (*interpreter).versionedJoin,
	"versioned-table":             (*interpreter).versionedTable,

	"suppress tumbling":   (*interpreter).windowAggregate,
	"suppress hopping":    (*interpreter).windowAggregate,
	"suppress session":    (*interpreter).sessionAggregate,
	"suppress sliding":    (*interpreter).slidingAggregate,
	"suppress-time-limit": (*interpreter).suppressTimeLimit,
	"foreign-key-join":    (*interpreter).foreignKeyJoin,
}

type textStream = stream.Stream[text, text]

func keepsKey(f func(s flow, n *conformanceNode) textStream) func(*interpreter, *conformanceNode) {
	return func(in *interpreter, n *conformanceNode) {
		s := in.stream(n)
		in.put(n, f(s, n), s.rekeyed)
	}
}

func changesKey(f func(s flow) textStream) func(*interpreter, *conformanceNode) {
	return func(in *interpreter, n *conformanceNode) { in.put(n, f(in.stream(n)), true) }
}

func textTopic(name string) stream.Topic[text, text] { return stream.NewTopic(name, texts, texts) }

func (in *interpreter) put(n *conformanceNode, s textStream, rekeyed bool) {
	in.streams[n.ID] = flow{s, rekeyed}
}

func (in *interpreter) stream(n *conformanceNode) flow { return in.streams[n.In[0]] }

func (in *interpreter) table(n *conformanceNode) stream.Table[text, text] { return in.tables[n.In[0]] }

// keyed is the node's stream, partitioned by its key.
func (in *interpreter) keyed(n *conformanceNode) textStream {
	s := in.stream(n)
	if s.rekeyed {
		return s.Repartition(in.repartition())
	}
	return s.Stream
}

func (in *interpreter) name(prefix string) string {
	in.named++
	return prefix + "-" + strconv.Itoa(in.named)
}

func (in *interpreter) repartition() stream.Repartition[text, text] {
	return stream.NewRepartition(in.name("by"), texts, texts)
}

func (in *interpreter) keyValue() state.KeyValueSpec[text, text] {
	return state.KeyValue(in.name("store"), texts, texts)
}

func (in *interpreter) merge(n *conformanceNode) {
	a, b := in.streams[n.In[0]], in.streams[n.In[1]]
	in.put(n, a.Merge(b.Stream), a.rekeyed || b.rekeyed)
}

// branch makes two nodes: the records that match, and under another name the rest.
func (in *interpreter) branch(n *conformanceNode) {
	s := in.stream(n)
	yes, no := s.Split(predicates[n.Fn])
	in.put(n, yes, s.rekeyed)
	in.streams[n.ID+"-rest"] = flow{no, s.rekeyed}
}
