package stream_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// parts are handles of every kind, of one builder.
type parts struct {
	b         *stream.Builder
	s         stream.Stream[string, string]
	t         lineTable
	versioned stream.VersionedTable[string, string]
	global    stream.GlobalTable[string, string]
	g         stream.Grouped[string, string]
	gt        stream.GroupedTable[string, string]
	w         stream.TimeWindowed[string, string]
	sessions  stream.SessionWindowed[string, string]
	wt        stream.WindowedTable[string, int64]
	cogrouped stream.Cogrouped[string, string]
	foreign   stream.ForeignJoin[string, string, string, string]
	joined    lineJoin
	windows   state.WindowSpec[string, string]
	session   state.SessionSpec[string, string]
}

func newParts() *parts {
	b, text := stream.NewBuilder(), serde.String()
	p := &parts{
		b: b, s: b.Stream(lines("in")), t: b.Table(lines("table"), lineStore("table")),
		versioned: b.VersionedTable(lines("versions"), state.Versioned("versions", text, text, in(10))),
		global:    b.GlobalTable(lines("everywhere"), lineStore("everywhere")),
		foreign:   stream.NewForeignJoin("foreign", text, text, text, text), joined: state.Join("join", text, text, text),
		windows: state.Window("windows", text, text), session: state.Session("session", text, text),
	}
	p.g = p.s.GroupByKey()
	p.gt = p.t.GroupBy(func(k, v string) (string, string) { return v, k }, through("by-value"))
	p.w, p.sessions = p.g.Window(stream.Tumbling{Size: in(10)}), p.g.SessionWindow(stream.Session{Gap: in(10)})
	p.wt = p.w.Count(windowStore("counted"))
	p.cogrouped = p.g.Cogroup(third)
	return p
}

func first() string { return "" }

func third(_, v, a string) string { return a + v }

func tryThird(_ context.Context, _, v, a string) (string, error) { return a + v, nil }

func names(v string) (string, bool) { return v, true }

func pairNames(_, v string) (string, bool) { return v, true }

// withoutFunction are calls of which one function is nil, by the method and the parameter.
var withoutFunction = map[string]func(p *parts){
	"Builder.GlobalStore setup":  func(p *parts) { p.b.GlobalStore[string, string](lines("all"), lineStore("all"), nil) },
	"Stream.MapValuesAsync f":    func(p *parts) { p.s.MapValuesAsync[string](nil) },
	"Stream.MapValues f":         func(p *parts) { p.s.MapValues[string](nil) },
	"Stream.MapValuesWithKey f":  func(p *parts) { p.s.MapValuesWithKey[string](nil) },
	"Stream.TryMapValues f":      func(p *parts) { p.s.TryMapValues[string](nil) },
	"Stream.Map f":               func(p *parts) { p.s.Map[string, string](nil) },
	"Stream.TryMap f":            func(p *parts) { p.s.TryMap[string, string](nil) },
	"Stream.FlatMap f":           func(p *parts) { p.s.FlatMap[string, string](nil) },
	"Stream.TryFlatMap f":        func(p *parts) { p.s.TryFlatMap[string, string](nil) },
	"Stream.FlatMapValues f":     func(p *parts) { p.s.FlatMapValues[string](nil) },
	"Stream.TryFlatMapValues f":  func(p *parts) { p.s.TryFlatMapValues[string](nil) },
	"Stream.SelectKey f":         func(p *parts) { p.s.SelectKey[string](nil) },
	"Stream.Filter f":            func(p *parts) { p.s.Filter(nil) },
	"Stream.FilterNot f":         func(p *parts) { p.s.FilterNot(nil) },
	"Stream.TryFilter f":         func(p *parts) { p.s.TryFilter(nil) },
	"Stream.Peek f":              func(p *parts) { p.s.Peek(nil) },
	"Stream.TryPeek f":           func(p *parts) { p.s.TryPeek(nil) },
	"Stream.ForEach f":           func(p *parts) { p.s.ForEach(nil) },
	"Stream.TryForEach f":        func(p *parts) { p.s.TryForEach(nil) },
	"Stream.Split f":             func(p *parts) { p.s.Split(nil) },
	"Stream.Branch predicates":   func(p *parts) { p.s.Branch(hasA, nil) },
	"Stream.GroupBy f":           func(p *parts) { p.s.GroupBy(nil, through("grouped")) },
	"Stream.ToDynamic f":         func(p *parts) { p.s.ToDynamic(nil, lines("format")) },
	"Stream.Process setup":       func(p *parts) { p.s.Process[string, string](nil) },
	"Stream.ProcessValues setup": func(p *parts) { p.s.ProcessValues[string](nil) },
	"Stream.Join f":              func(p *parts) { p.s.Join[string, string](p.s, stream.Between{}, nil, p.joined) },
	"Stream.LeftJoin f": func(p *parts) {
		p.s.LeftJoin[string, string](p.b.Stream(lines("right")), stream.Between{}, nil, p.joined)
	},
	"Stream.OuterJoin f": func(p *parts) {
		p.s.OuterJoin[string, string](p.b.Stream(lines("right")), stream.Between{}, nil, p.joined)
	},
	"Stream.JoinTable f":         func(p *parts) { p.s.JoinTable[string, string](p.t, nil) },
	"Stream.TryJoinTable f":      func(p *parts) { p.s.TryJoinTable[string, string](p.t, nil) },
	"Stream.LeftJoinTable f":     func(p *parts) { p.s.LeftJoinTable[string, string](p.t, nil) },
	"Stream.JoinVersioned f":     func(p *parts) { p.s.JoinVersioned[string, string](p.versioned, nil) },
	"Stream.LeftJoinVersioned f": func(p *parts) { p.s.LeftJoinVersioned[string, string](p.versioned, nil) },
	"Stream.JoinGlobal key":      func(p *parts) { p.s.JoinGlobal(p.global, nil, plus) },
	"Stream.JoinGlobal f":        func(p *parts) { p.s.JoinGlobal[string, string, string](p.global, byValue, nil) },
	"Stream.TryJoinGlobal key":   func(p *parts) { p.s.TryJoinGlobal(p.global, nil, tryThird) },
	"Stream.TryJoinGlobal f":     func(p *parts) { p.s.TryJoinGlobal[string, string, string](p.global, byValue, nil) },
	"Stream.LeftJoinGlobal key":  func(p *parts) { p.s.LeftJoinGlobal(p.global, nil, leftPlus) },
	"Stream.LeftJoinGlobal f":    func(p *parts) { p.s.LeftJoinGlobal[string, string, string](p.global, byValue, nil) },
	"Grouped.Reduce f":           func(p *parts) { p.g.Reduce(nil, lineStore("r")) },
	"Grouped.Aggregate init":     func(p *parts) { p.g.Aggregate(nil, third, lineStore("r")) },
	"Grouped.Aggregate add":      func(p *parts) { p.g.Aggregate(first, nil, lineStore("r")) },
	"Grouped.TryAggregate init":  func(p *parts) { p.g.TryAggregate(nil, tryThird, lineStore("r")) },
	"Grouped.TryAggregate add":   func(p *parts) { p.g.TryAggregate(first, nil, lineStore("r")) },
	"Grouped.Cogroup add":        func(p *parts) { p.g.Cogroup[string](nil).Aggregate(first, lineStore("r")) },
	"Cogrouped.With add":         func(p *parts) { p.cogrouped.With(p.g, nil).Aggregate(first, lineStore("r")) },
	"Cogrouped.Aggregate init":   func(p *parts) { p.cogrouped.Aggregate(nil, lineStore("r")) },
	"TimeWindowedCogroup.Aggregate init": func(p *parts) {
		p.cogrouped.Window(stream.Tumbling{Size: time.Second}).Aggregate(nil, state.Window("r", serde.String(), serde.String()))
	},
	"SessionWindowedCogroup.Aggregate init": func(p *parts) {
		p.cogrouped.SessionWindow(stream.Session{Gap: time.Second}).Aggregate(nil, third, state.Session("r", serde.String(), serde.String()))
	},
	"SessionWindowedCogroup.Aggregate merge": func(p *parts) {
		p.cogrouped.SessionWindow(stream.Session{Gap: time.Second}).Aggregate(first, nil, state.Session("r", serde.String(), serde.String()))
	},
	"TimeWindowed.Reduce f":             func(p *parts) { p.w.Reduce(nil, p.windows) },
	"TimeWindowed.Aggregate init":       func(p *parts) { p.w.Aggregate(nil, third, p.windows) },
	"TimeWindowed.Aggregate add":        func(p *parts) { p.w.Aggregate(first, nil, p.windows) },
	"TimeWindowed.TryAggregate init":    func(p *parts) { p.w.TryAggregate(nil, tryThird, p.windows) },
	"TimeWindowed.TryAggregate add":     func(p *parts) { p.w.TryAggregate(first, nil, p.windows) },
	"SessionWindowed.Reduce f":          func(p *parts) { p.sessions.Reduce(nil, p.session) },
	"SessionWindowed.Aggregate init":    func(p *parts) { p.sessions.Aggregate(nil, third, third, p.session) },
	"SessionWindowed.Aggregate add":     func(p *parts) { p.sessions.Aggregate(first, nil, third, p.session) },
	"SessionWindowed.Aggregate merge":   func(p *parts) { p.sessions.Aggregate(first, third, nil, p.session) },
	"SessionWindowed.TryAggregate init": func(p *parts) { p.sessions.TryAggregate(nil, tryThird, third, p.session) },
	"SessionWindowed.TryAggregate add":  func(p *parts) { p.sessions.TryAggregate(first, nil, third, p.session) },
	"SessionWindowed.TryAggregate merge": func(p *parts) {
		p.sessions.TryAggregate(first, tryThird, nil, p.session)
	},
	"Table.Filter f":                    func(p *parts) { p.t.Filter(nil) },
	"Table.FilterNot f":                 func(p *parts) { p.t.FilterNot(nil) },
	"Table.MapValues f":                 func(p *parts) { p.t.MapValues[string](nil) },
	"Table.MapValuesWithKey f":          func(p *parts) { p.t.MapValuesWithKey[string](nil) },
	"Table.ProcessValues setup":         func(p *parts) { p.t.ProcessValues[string](nil) },
	"Table.GroupBy f":                   func(p *parts) { p.t.GroupBy(nil, through("grouped")) },
	"Table.Join f":                      func(p *parts) { p.t.Join[string, string](p.t, nil) },
	"Table.LeftJoin f":                  func(p *parts) { p.t.LeftJoin[string, string](p.t, nil) },
	"Table.OuterJoin f":                 func(p *parts) { p.t.OuterJoin[string, string](p.t, nil) },
	"Table.JoinForeign fk":              func(p *parts) { p.t.JoinForeign(p.t, nil, plus, p.foreign) },
	"Table.JoinForeign f":               func(p *parts) { p.t.JoinForeign[string, string, string](p.t, names, nil, p.foreign) },
	"Table.JoinForeignWithKey fk":       func(p *parts) { p.t.JoinForeignWithKey(p.t, nil, plus, p.foreign) },
	"Table.JoinForeignWithKey f":        func(p *parts) { p.t.JoinForeignWithKey[string, string, string](p.t, pairNames, nil, p.foreign) },
	"Table.LeftJoinForeign fk":          func(p *parts) { p.t.LeftJoinForeign(p.t, nil, leftPlus, p.foreign) },
	"Table.LeftJoinForeign f":           func(p *parts) { p.t.LeftJoinForeign[string, string, string](p.t, names, nil, p.foreign) },
	"Table.LeftJoinForeignWithKey fk":   func(p *parts) { p.t.LeftJoinForeignWithKey(p.t, nil, leftPlus, p.foreign) },
	"Table.LeftJoinForeignWithKey f":    func(p *parts) { p.t.LeftJoinForeignWithKey[string, string, string](p.t, pairNames, nil, p.foreign) },
	"ForeignJoin.PartitionBy f":         func(p *parts) { p.t.JoinForeign(p.t, names, plus, p.foreign.PartitionBy(nil)) },
	"VersionedTable.Filter f":           func(p *parts) { p.versioned.Filter(nil) },
	"VersionedTable.FilterNot f":        func(p *parts) { p.versioned.FilterNot(nil) },
	"VersionedTable.MapValues f":        func(p *parts) { p.versioned.MapValues[string](nil) },
	"VersionedTable.MapValuesWithKey f": func(p *parts) { p.versioned.MapValuesWithKey[string](nil) },
	"GroupedTable.Reduce add":           func(p *parts) { p.gt.Reduce(nil, plus, lineStore("r")) },
	"GroupedTable.Reduce subtract":      func(p *parts) { p.gt.Reduce(plus, nil, lineStore("r")) },
	"GroupedTable.Aggregate init":       func(p *parts) { p.gt.Aggregate(nil, third, third, lineStore("r")) },
	"GroupedTable.Aggregate add":        func(p *parts) { p.gt.Aggregate(first, nil, third, lineStore("r")) },
	"GroupedTable.Aggregate subtract":   func(p *parts) { p.gt.Aggregate(first, third, nil, lineStore("r")) },
	"GroupedTable.TryAggregate init":    func(p *parts) { p.gt.TryAggregate(nil, tryThird, tryThird, lineStore("r")) },
	"GroupedTable.TryAggregate add":     func(p *parts) { p.gt.TryAggregate(first, nil, tryThird, lineStore("r")) },
	"GroupedTable.TryAggregate subtract": func(p *parts) {
		p.gt.TryAggregate(first, tryThird, nil, lineStore("r"))
	},
	"WindowedTable.Filter f":           func(p *parts) { p.wt.Filter(nil) },
	"WindowedTable.MapValues f":        func(p *parts) { p.wt.MapValues[string](nil) },
	"WindowedTable.MapValuesWithKey f": func(p *parts) { p.wt.MapValuesWithKey[string](nil) },
	"WindowedTable.GroupBy f":          func(p *parts) { p.wt.GroupBy(nil, through("grouped")) },
	"WindowedTable.ToStream key":       func(p *parts) { p.wt.ToStream[string](nil) },
	"TimestampFrom f":                  func(p *parts) { p.b.Stream(lines("more"), stream.TimestampFrom[string, string](nil)) },
	"PartitionBy f":                    func(p *parts) { p.s.To(lines("out"), stream.PartitionBy[string, string](nil)) },
	"PartitionsBy f":                   func(p *parts) { p.s.To(lines("out"), stream.PartitionsBy[string, string](nil)) },
}

func TestBuild_RefusesEveryCallWithoutAFunction(t *testing.T) {
	t.Parallel()
	for name, program := range withoutFunction {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParts()
			program(p)
			requireOneFault(t, p.b, "function")
		})
	}
}

// requireOneFault demands one fault, at a call in this file.
func requireOneFault(t *testing.T, b *stream.Builder, want string) {
	t.Helper()
	_, err := b.Build()
	many, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "%v", err)
	require.Len(t, many.Unwrap(), 1, "%v", err)
	fault, ok := errors.AsType[*topology.BuildError](err)
	require.True(t, ok, "%v", err)
	require.Contains(t, fault.Pos, "nothing_test.go:", "%v", err)
	require.ErrorContains(t, err, want)
}

// An operator that is added must be added above.
func TestBuild_HasATestOfEveryFunctionThatAProgramGives(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() {
				continue
			}
			for _, name := range functionsOf(f) {
				require.Contains(t, withoutFunction, name, path)
			}
		}
	}
}

// functionsOf are the parameters of a declaration that are functions, each behind the receiver's and the declaration's name.
func functionsOf(f *ast.FuncDecl) (out []string) {
	name := f.Name.Name
	if f.Recv != nil {
		receiver := f.Recv.List[0].Type
		if p, ok := receiver.(*ast.StarExpr); ok {
			receiver = p.X
		}
		switch g := receiver.(type) {
		case *ast.IndexExpr:
			receiver = g.X
		case *ast.IndexListExpr:
			receiver = g.X
		}
		id, ok := receiver.(*ast.Ident)
		if !ok || !id.IsExported() {
			return nil
		}
		name = id.Name + "." + name
	}
	for _, p := range f.Type.Params.List {
		kind := p.Type
		if many, ok := kind.(*ast.Ellipsis); ok {
			kind = many.Elt
		}
		if _, ok := kind.(*ast.FuncType); !ok {
			continue
		}
		for _, n := range p.Names {
			out = append(out, name+" "+n.Name)
		}
	}
	return out
}

func TestBuild_TakesOptionsThatAreEmpty(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	s := b.Stream(lines("in"), stream.Source{}, stream.Idle{}, stream.Common{}, nil, (*stream.Source)(nil))
	s.SelectKey(byValue, stream.KeyChange{}, stream.Common{}, nil).
		Repartition(through("by"), stream.Partitioner{}, stream.Idle{}, nil).
		MapValuesAsync(func(_ context.Context, _, v string) (string, error) { return v, nil }, stream.Async{}, nil).
		ToTable(lineStore("last"), stream.Result{}, nil).
		ToStream(stream.Common{}, nil).
		To(lines("out"), stream.Partitioner{}, stream.Multicast{}, nil)
	b.Table(lines("table"), lineStore("table"), stream.Source{}, stream.Result{}, stream.Idle{}, nil)
	versioned := b.VersionedTable(lines("versions"), state.Versioned("versions", serde.String(), serde.String(), in(10)), stream.Source{})
	s.JoinVersioned(versioned, plus, stream.Wait{}, nil)
	s.ProcessValues(func(n *stream.ValueNode[string, string]) (lineFunc, error) {
		return func(context.Context, lineRecord) error { return nil }, nil
	}, stream.KeyChange{}, nil)
	_, err := b.Build()
	require.NoError(t, err)
}

func TestBuild_RefusesDescriptorsThatAreNotThere(t *testing.T) {
	t.Parallel()
	setup := func(n *stream.Node[string, string]) (lineFunc, error) {
		return func(context.Context, lineRecord) error { return nil }, nil
	}
	text, none := serde.String(), serde.Serde[string](nil)
	for name, c := range map[string]struct {
		program func(p *parts)
		want    string
	}{
		"a store of a processor":        {func(p *parts) { p.s.Process(setup, stream.Stores(nil)) }, "the descriptor of a store is nil"},
		"a pointer to one":              {func(p *parts) { p.s.Process(setup, stream.Stores((*state.KeyValueSpec[string, string])(nil))) }, "descriptor of a store is nil"},
		"a global store of a processor": {func(p *parts) { p.s.Process(setup, stream.Globals(nil)) }, "the descriptor of a store is nil"},
		"an empty store":                {func(p *parts) { p.s.ToTable(state.KeyValueSpec[string, string]{}, stream.Named("t")) }, `store name ""`},
		"a store without a serde":       {func(p *parts) { p.s.ToTable(state.KeyValue("a", text, none)) }, `store "a" has no serde`},
		"a coalescing one":              {func(p *parts) { p.s.ToTable(state.KeyValue("a", none, text), stream.Coalesce()) }, `store "a" has no serde`},
		"windows without a serde":       {func(p *parts) { p.w.Reduce(plus, state.Window("a", none, text)) }, `store "a" has no serde`},
		"sessions without a serde":      {func(p *parts) { p.sessions.Reduce(plus, state.Session("a", text, none)) }, `store "a" has no serde`},
		"coalescing sessions":           {func(p *parts) { p.sessions.Reduce(plus, state.Session("a", none, text), stream.Coalesce()) }, `store "a" has no serde`},
		"versions without a serde":      {func(p *parts) { p.s.ToVersionedTable(state.Versioned("a", text, none, in(10))) }, `store "a" has no serde`},
		"a join buffer without a serde": {func(p *parts) {
			p.s.JoinVersioned(p.versioned, plus, stream.Grace(in(5), state.JoinBuffer("a", text, none)))
		}, `store "a"`},
		"an empty join buffer": {func(p *parts) {
			p.s.JoinVersioned(p.versioned, plus, stream.Grace(in(5), state.JoinBufferSpec[string, string]{}))
		}, `has no serde`},
		"a join without a serde": {func(p *parts) {
			p.s.LeftJoin(p.b.Stream(lines("right")), stream.Between{}, leftPlus, state.Join("a", text, text, none))
		}, `"a-`},
		"a buffer without a serde":       {func(p *parts) { p.t.Suppress(state.Buffer("a", text, none), stream.UntilTimeLimit{}) }, `"a" has no serde`},
		"a buffer without a key's serde": {func(p *parts) { p.t.Suppress(state.Buffer("a", none, text), stream.UntilTimeLimit{}) }, `"a" has no serde`},
		"a windowed one":                 {func(p *parts) { p.wt.Suppress(state.Buffer("a", none, decimal()), stream.UntilWindowCloses{}) }, `"a" has no serde`},
		"a source without a serde":       {func(p *parts) { p.b.Stream(stream.NewTopic("a", text, none)) }, `topic "a" has no serde`},
		"a sink without a serde":         {func(p *parts) { p.s.To(stream.NewTopic("a", none, text)) }, `topic "a" has no serde`},
		"a repartition without a serde":  {func(p *parts) { p.s.Repartition(stream.NewRepartition("a", none, text)) }, `"a" has no serde`},
		"a grouping without a serde": {func(p *parts) {
			p.t.GroupBy(func(k, v string) (string, string) { return v, k }, stream.NewRepartition("a", text, none))
		}, `"a" has no serde`},
		"a foreign join without a serde": {func(p *parts) { p.t.JoinForeign(p.t, names, plus, stream.NewForeignJoin("a", text, none, text, text)) }, "no serde"},
		"a global table without a serde": {func(p *parts) { p.b.GlobalTable(lines("all"), state.KeyValue("a", text, none)) }, `store "a" has no serde`},
		"a table without versions":       {func(p *parts) { p.s.JoinVersioned(stream.VersionedTable[string, string]{Table: p.t}, plus) }, "the table has no versions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParts()
			c.program(p)
			for line := range strings.Lines(faults(t, p.b)) { // both ends of a repartition complain
				require.Contains(t, line, "nothing_test.go:")
				require.Contains(t, line, c.want)
			}
		})
	}
}

func TestBuild_RefusesAStoreThatTwoOperatorsKeep(t *testing.T) {
	t.Parallel()
	another := func(p *parts) stream.Stream[string, string] { return p.b.Stream(lines("right")) }
	for name, program := range map[string]func(p *parts, name stream.Common){
		"counts":   func(p *parts, name stream.Common) { p.g.Count(numberStore("a"), name) },
		"tables":   func(p *parts, name stream.Common) { p.s.ToTable(lineStore("a"), name) },
		"windows":  func(p *parts, name stream.Common) { p.w.Count(windowStore("a"), name) },
		"sessions": func(p *parts, name stream.Common) { p.sessions.Reduce(plus, p.session, name) },
		"groups":   func(p *parts, name stream.Common) { p.gt.Reduce(plus, plus, lineStore("a"), name) },
		"buffers": func(p *parts, name stream.Common) {
			p.t.Suppress(state.Buffer("a", serde.String(), serde.String()), stream.UntilTimeLimit{}, name)
		},
		"versions": func(p *parts, name stream.Common) {
			p.s.ToVersionedTable(state.Versioned("a", serde.String(), serde.String(), in(10)), name)
		},
		"cogroups": func(p *parts, name stream.Common) {
			p.cogrouped.With(another(p).GroupByKey(), third).Aggregate(first, lineStore("a"), name)
		},
		"self joins": func(p *parts, name stream.Common) { p.s.Join(p.s, stream.Between{}, plus, p.joined, name) },
		"joins": func(p *parts, name stream.Common) {
			p.s.LeftJoin(another(p), stream.Between{}, leftPlus, p.joined, name)
		},
		"join buffers": func(p *parts, name stream.Common) {
			p.s.JoinVersioned(p.versioned, plus, stream.Grace(in(5), state.JoinBuffer("a", serde.String(), serde.String())), name)
		},
		"materialized": func(p *parts, name stream.Common) { p.t.Filter(hasA, name).Materialize(lineStore("a")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			once := newParts()
			program(once, stream.Named("one"))
			_, err := once.b.Build()
			require.NoError(t, err)
			p := newParts()
			program(p, stream.Named("one"))
			program(p, stream.Named("two"))
			_, err = p.b.Build()
			require.ErrorContains(t, err, "already: each operator keeps a store of its own")
			require.NotContains(t, err.Error(), "a name is for one store")
		})
	}
}

func TestBuild_LetsProcessorsUseAStoreThatAnOperatorKeeps(t *testing.T) {
	t.Parallel()
	p := newParts()
	p.s.ToTable(lineStore("last"))
	for range 2 {
		p.s.Process(func(n *stream.Node[string, string]) (lineFunc, error) {
			lineStore("last").Open(n)
			return func(context.Context, lineRecord) error { return nil }, nil
		}, stream.Stores(lineStore("last")))
	}
	_, err := p.b.Build()
	require.NoError(t, err)
}

func TestBuild_RefusesATimerWithoutAFunction(t *testing.T) {
	t.Parallel()
	p := newParts()
	p.s.Process(func(n *stream.Node[string, string]) (lineFunc, error) {
		n.EveryWallTime(in(5), nil)
		return func(context.Context, lineRecord) error { return nil }, nil
	})
	requireOneFault(t, p.b, "a timer has no function")
}
