package stream

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A Builder collects a program. Its handles never fail: everything that is wrong is returned by Build. It is for one goroutine.
type Builder struct {
	graph   *topology.Builder
	finish  []func()
	keepers map[string]keeper // of the operators' stores, by name
}

// NewBuilder returns an empty builder.
func NewBuilder() *Builder { return &Builder{graph: &topology.Builder{}} }

// OnError sets the policy for failures at operators without one of their own, and for records that cannot be decoded. Without it, a
// failure stops the task: dlq.Fail.
func (b *Builder) OnError(p dlq.Policy) *Builder {
	b.graph.OnError(p)
	return b
}

// Build compiles the program. It returns everything that is wrong with it, joined, each fault with the file and line of the call. It
// calls the set-up of every processor once, with empty stores.
func (b *Builder) Build() (*topology.Topology, error) {
	if b == nil || b.graph == nil {
		return nil, errors.New("build: the builder is empty: make it with NewBuilder")
	}
	for _, f := range b.finish {
		f()
	}
	b.finish = nil
	return b.graph.Build()
}

func (b *Builder) report(s topology.NodeSpec, err error) { b.graph.Report(s.Op, s.Name, s.Pos, err) }

// later runs f when the program is complete: what a handle turns out to be may depend on calls that follow.
func (b *Builder) later(f func()) { b.finish = append(b.finish, f) }

// Stream reads a topic as a stream of records.
//
// Key, Time: as in the topic; TimestampFrom takes the time from the record. State: none. Errors: a record that cannot be decoded meets the
// policy. Nulls: visible to functions if the value's serde is nullable, else passed on as tombstones.
func (b *Builder) Stream[K, V any](t Topic[K, V], opts ...SourceOption) Stream[K, V] {
	port := b.source(gather("stream", opts, SourceOption.sourceOption), t)
	_, nulls := t.Value().(serde.NullSerde[V])
	return Stream[K, V]{b: b, port: port, nulls: nulls}
}

func (b *Builder) source[K, V any](s settings, t Topic[K, V]) topology.Port[K, V] {
	return b.graph.Source(t, sourceSpec[K, V](b, s))
}

func sourceSpec[K, V any](b *Builder, s settings) topology.SourceSpec[K, V] {
	return topology.SourceSpec[K, V]{
		NodeSpec: s.NodeSpec, Start: s.start, Idle: s.idle, Logs: s.logs,
		Timestamp: typed[func(K, V) time.Time](b, &s, "TimestampFrom", s.timestamp),
	}
}

// Table reads a topic as a table: the last value of each key, kept in the store.
//
// Key, Time: as in the topic; a record that is older than the row it replaces replaces it all the same. State: st. Errors: a record that cannot
// be decoded meets the policy. Nulls: a null value deletes the row; a record without a key is dropped, counted.
func (b *Builder) Table[K, V any](t Topic[K, V], st state.KeyValueSpec[K, V], opts ...SourceTableOption) Table[K, V] {
	s := gather("table", opts, SourceTableOption.sourceTableOption)
	if s.sourceLog {
		if !st.Info().Changelog {
			b.report(s.NodeSpec, errUnlogged)
		}
		st = st.RestoredFrom(t.Name(), t.Key(), t.Value())
		s.logs = st.Info().Name
	}
	port := b.source(s, t)
	out := materialize(b, port, topology.NodeSpec{Op: "table", Name: t.Name() + "-table", Pos: s.Pos}, st)
	out.t.coalesce(s, st.Info().Name, st.Serdes)
	return out
}

// A keeper is the operator that keeps its rows in a store.
type keeper struct {
	topology.NodeSpec
	store state.Info
}

// keep notes that an operator keeps its rows in the stores. A second one that did would take the first one's rows for its own.
func (b *Builder) keep(s topology.NodeSpec, stores ...state.Spec) {
	if b.keepers == nil {
		b.keepers = map[string]keeper{}
	}
	for _, st := range stores {
		i := st.Info()
		switch first, ok := b.keepers[i.Name]; {
		case !ok:
			b.keepers[i.Name] = keeper{s, i}
		case s.Name != "" && s.Name == first.Name || i != first.store: // is reported for that
		default:
			b.report(s, fmt.Errorf("store %q holds the rows of the %s at %s: give this operator a store of its own", i.Name, first.Op, first.Pos))
		}
	}
}

// sameBuilder tells whether two handles belong to one builder, and reports it if they do not.
func sameBuilder(b, other *Builder, s topology.NodeSpec) bool {
	if b == other && b != nil {
		return true
	}
	if b == nil {
		b = other
	}
	if b != nil {
		b.report(s, errors.New("a handle is empty or belongs to another builder: use those that this builder's methods returned"))
	}
	return false
}

// A rekey is the call that changed a stream's key.
type rekey struct{ op, pos string }

// check reports that an operator needs records partitioned by key, and the stream's are not. A nil rekey has nothing to report.
func (r *rekey) check(b *Builder, s topology.NodeSpec, key reflect.Type) {
	if r == nil {
		return
	}
	b.report(s, fmt.Errorf("needs the stream partitioned by its key, which the %s at %s changed: put in between them "+
		"Repartition(stream.NewRepartition(\"...-by-...\", <serde of %v>, <serde of the value>))", r.op, r.pos, key))
}
