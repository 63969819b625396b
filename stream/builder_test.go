package stream_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
	"github.com/weirstream/weir/topology"
)

// here is the file and line of its call.
func here() string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("%s:%d", filepath.Base(file), line)
}

// faults returns what Build says about the program.
func faults(t *testing.T, b *stream.Builder) string {
	t.Helper()
	top, err := b.Build()
	require.Error(t, err)
	require.Nil(t, top)
	return err.Error()
}

// requireFault demands exactly one fault, which begins with the position and the operator.
func requireFault(t *testing.T, b *stream.Builder, pos, want string) {
	t.Helper()
	top, err := b.Build()
	require.Nil(t, top)
	many, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "%v", err)
	require.Len(t, many.Unwrap(), 1, "%v", err)
	fault, ok := errors.AsType[*topology.BuildError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, pos, fault.Pos, "%v", err)
	require.Contains(t, err.Error(), pos+": "+want)
}

func byValue(_, v string) string { return v }

func TestBuild_RefusesKeyBasedOperatorsOnAStreamThatChangedItsKey(t *testing.T) {
	t.Parallel()
	table := func(b *stream.Builder) lineTable { return b.Table(lines("table"), lineStore("table")) }
	type op struct {
		name string
		use  func(b *stream.Builder, s lineStream) string
	}
	uses := []op{
		{"group-by-key", func(_ *stream.Builder, s lineStream) string { s.GroupByKey(); return here() }},
		{"to-table", func(_ *stream.Builder, s lineStream) string { s.ToTable(lineStore("last")); return here() }},
		{"join-table", func(b *stream.Builder, s lineStream) string { s.JoinTable(table(b), plus); return here() }},
		{"left-join-table", func(b *stream.Builder, s lineStream) string { s.LeftJoinTable(table(b), leftPlus); return here() }},
		{"join-table", func(b *stream.Builder, s lineStream) string {
			s.TryJoinTable(table(b), func(context.Context, string, string, string) (string, error) { return "", nil })
			return fmt.Sprintf("builder_test.go:%d", lineOf(here())-1)
		}},
	}
	pass := func(n *lineNode) (lineFunc, error) {
		return func(context.Context, lineRecord) error { return nil }, nil
	}
	pair := func(k, v string) (string, string) { return v, k }
	pairs := func(k, v string) iter.Seq2[string, string] { return func(func(string, string) bool) {} }
	changes := []struct {
		name   string
		change func(s lineStream) (lineStream, string)
	}{
		{"select-key", func(s lineStream) (lineStream, string) { return s.SelectKey(byValue), here() }},
		{"map", func(s lineStream) (lineStream, string) { return s.Map(pair), here() }},
		{"flat-map", func(s lineStream) (lineStream, string) { return s.FlatMap(pairs), here() }},
		{"process", func(s lineStream) (lineStream, string) { return s.Process(pass), here() }},
		{"to-stream", func(s lineStream) (lineStream, string) {
			w := s.GroupByKey().Window(stream.Tumbling{Size: time.Second}).Reduce(plus, state.Window("w", serde.String(), serde.String()))
			return w.ToStream(func(w stream.Windowed[string]) string { return w.Key }), here()
		}},
	}
	for _, change := range changes {
		for _, use := range uses {
			t.Run(change.name+" before "+use.name, func(t *testing.T) {
				t.Parallel()
				b := stream.NewBuilder()
				s, changed := change.change(b.Stream(lines("in")))
				// Operators in between pass the mark on.
				s = s.Filter(hasA).MapValues(func(v string) string { return v }).FlatMapValues(func(v string) []string { return nil })
				yes, no := s.Split(hasA)
				pos := use.use(b, no.Merge(yes))
				requireFault(t, b, pos, use.name)
				fault := faults(t, rebuild(func(b *stream.Builder) {
					s, _ := change.change(b.Stream(lines("in")))
					use.use(b, s)
				}))
				require.Contains(t, fault, "which the "+change.name+" at "+changed+" changed")
				require.Contains(t, fault, `put in between them Repartition(stream.NewRepartition("...-by-...", <serde of string>, <serde of the value>))`)
			})
		}
	}
}

func lineOf(pos string) (line int) {
	_, _ = fmt.Sscanf(pos, "builder_test.go:%d", &line)
	return line
}

func rebuild(program func(b *stream.Builder)) *stream.Builder {
	b := stream.NewBuilder()
	program(b)
	return b
}

func TestBuild_AcceptsAStreamThatFoundItsPartitionsAgain(t *testing.T) {
	t.Parallel()
	for name, program := range map[string]func(s lineStream, table lineTable){
		"a repartition": func(s lineStream, _ lineTable) {
			s.SelectKey(byValue).Repartition(through("r")).GroupByKey().Count(numberStore("n"))
		},
		"values alone": func(s lineStream, _ lineTable) {
			s.MapValues(func(v string) string { return v }).ToTable(lineStore("n"))
		},
		"a group by a key":   func(s lineStream, _ lineTable) { s.GroupBy(byValue, through("r")).Count(numberStore("n")) },
		"a join keeps it":    func(s lineStream, table lineTable) { s.JoinTable(table, plus).GroupByKey().Count(numberStore("n")) },
		"a table's updates":  func(_ lineStream, table lineTable) { table.ToStream().GroupByKey().Count(numberStore("n")) },
		"no need of the key": func(s lineStream, _ lineTable) { s.SelectKey(byValue).Merge(s).To(lines("out")) },
		"process values": func(s lineStream, _ lineTable) {
			s.ProcessValues(func(*stream.ValueNode[string, string]) (lineFunc, error) {
				return func(context.Context, lineRecord) error { return nil }, nil
			}).ToTable(lineStore("n"))
		},
	} {
		b := stream.NewBuilder()
		program(b.Stream(lines("in")), b.Table(lines("table"), lineStore("table")))
		_, err := b.Build()
		require.NoError(t, err, name)
	}
}

func TestBuild_RefusesAMergeThatIsNotPartitionedAsAWhole(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	s := b.Stream(lines("in"))
	rekeyed, changed := s.SelectKey(byValue), here()
	s.Merge(rekeyed).GroupByKey()
	requireFault(t, b, fmt.Sprintf("builder_test.go:%d", lineOf(changed)+1), "group-by-key")
}

func TestStart_RefusesTopicsThatAreNotPartitionedAlike(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.Table(lines("table"), lineStore("table"))
	b.Stream(lines("in")).JoinTable(table, plus)
	pos := fmt.Sprintf("builder_test.go:%d", lineOf(here())-1)
	top, err := b.Build()
	require.NoError(t, err, "the partitions are the cluster's")
	fault := fails(t, func(tb testing.TB) {
		streamtest.New(tb, top, streamtest.Partitions("in", 2), streamtest.Partitions("table", 3))
	})
	require.Contains(t, fault, pos+`: join-table: topics are not co-partitioned: "in" has 2, "table" has 3`)
}

// fails returns what the function fails its test with.
func fails(t *testing.T, f func(tb testing.TB)) string {
	t.Helper()
	s := &stand{TB: t}
	func() {
		defer func() {
			if v := recover(); v != nil && v != (stopped{}) {
				panic(v)
			}
		}()
		f(s)
	}()
	require.NotEmpty(t, s.said, "it passes")
	return s.said
}

// A stand is a test of its own, that may fail.
type stand struct {
	testing.TB
	said string
}

type stopped struct{}

func (s *stand) Fatalf(format string, args ...any) {
	s.said += fmt.Sprintf(format, args...)
	panic(stopped{})
}

func TestBuild_RefusesWindowsThatAreNone(t *testing.T) {
	t.Parallel()
	second := time.Second
	for _, test := range []struct {
		windows stream.TimeWindows
		want    string
	}{
		{stream.Tumbling{}, "Size is 0s"},
		{stream.Tumbling{Size: -second}, "Size is -1s"},
		{stream.Tumbling{Size: time.Microsecond}, "use whole milliseconds"},
		{stream.Tumbling{Size: second, Grace: -second}, "Grace is -1s"},
		{stream.Tumbling{Size: second, Grace: 1}, "Grace is 1ns"},
		{stream.Hopping{Size: second}, "Advance is 0s"},
		{stream.Hopping{Size: second, Advance: -second}, "Advance is -1s"},
		{stream.Hopping{Size: second, Advance: 2 * second}, "Advance is 2s: use whole milliseconds; Size above 0, Advance above 0 and at most Size"},
		{nil, "no windows: use Tumbling, Hopping, Sliding or Unlimited"},
	} {
		b := stream.NewBuilder()
		g := b.Stream(lines("in")).GroupByKey()
		w, pos := g.Window(test.windows), here()
		w.Count(windowStore("windows")).To(stream.NewTopic("out", serde.TimeWindowed(serde.String(), second), decimal()))
		fault := faults(t, b)
		require.Contains(t, fault, pos+": window: ")
		require.Contains(t, fault, test.want)
	}
}

func TestBuild_RefusesEmissionsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, emit := range [][]stream.Emit{{stream.OnClose, stream.OnUpdate}, {77}} {
		b := stream.NewBuilder()
		g := b.Stream(lines("in")).GroupByKey()
		w, pos := g.Window(stream.Tumbling{Size: time.Second}, emit...), here()
		w.Count(windowStore("windows"))
		require.Contains(t, faults(t, b), pos+": window: use one of OnUpdate, OnClose and OnCloseWithinRetention")
	}
}

func TestBuild_RefusesARetentionBelowSizeAndGrace(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	w := b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: time.Minute, Grace: time.Second})
	_, pos := w.Count(windowStore("windows").Retention(time.Minute)), here()
	requireFault(t, b, pos, `window-count "windows": store "windows" keeps windows for 1m0s: their size and grace take 1m1s`)
}

func TestBuild_RefusesHandlesOfAnotherBuilder(t *testing.T) {
	t.Parallel()
	other := stream.NewBuilder()
	foreign, foreignTable := other.Stream(lines("in")), other.Table(lines("table"), lineStore("table"))
	const want = "a handle is empty or belongs to another builder"
	for _, use := range []func(s lineStream) string{
		func(s lineStream) string { s.Merge(foreign).To(lines("out")); return here() + ": merge: " },
		func(s lineStream) string { s.Merge(lineStream{}).To(lines("out")); return here() + ": merge: " },
		func(s lineStream) string {
			joined, pos := s.JoinTable(foreignTable, plus), here()
			joined.To(lines("out"))
			return pos + ": join-table: "
		},
		func(s lineStream) string {
			joined, pos := s.LeftJoinTable(lineTable{}, leftPlus), here()
			joined.To(lines("out"))
			return pos + ": left-join-table: "
		},
	} {
		b := stream.NewBuilder()
		pos := use(b.Stream(lines("in")))
		require.Contains(t, faults(t, b), pos+want)
	}
}

func TestBuild_TakesEmptyHandlesWithoutAPanic(t *testing.T) {
	t.Parallel()
	var s lineStream
	var table lineTable
	s.Filter(hasA).MapValues(func(v string) string { return v }).SelectKey(byValue).Repartition(through("r")).To(lines("out"))
	s.ToDynamic(byValue, lines("out"))
	s.ForEach(func(string, string) {})
	s.Merge(s)
	s.Split(hasA)
	branches, _ := s.Branch(hasA, hasA)
	require.Len(t, branches, 2)
	s.Process(func(n *lineNode) (lineFunc, error) { return nil, nil })
	s.ProcessValues(func(*stream.ValueNode[string, string]) (lineFunc, error) { return nil, nil })
	s.JoinTable(table, plus)
	s.ToTable(lineStore("last")).Filter(hasA).FilterNot(hasA).MapValues(func(v string) string { return v }).ToStream().To(lines("out"))
	table.MapValuesWithKey(byValue).Materialize(lineStore("last"))
	g := s.GroupByKey()
	g.Count(numberStore("counts"))
	w := g.Window(stream.Tumbling{Size: time.Second}).Count(windowStore("windows"))
	w.Filter(func(stream.Windowed[string], int64) bool { return true }).
		MapValuesWithKey(func(_ stream.Windowed[string], n int64) int64 { return n }).ToStream(windowLabel).To(numbers("out"))
	w.To(stream.NewTopic("out", serde.TimeWindowed(serde.String(), time.Second), decimal()))
	s.GroupBy(byValue, through("r")).Reduce(plus, lineStore("reduced"))
	_, err := stream.NewBuilder().Build()
	require.ErrorContains(t, err, "the topology is empty")
	_, err = (&stream.Builder{}).Build()
	require.ErrorContains(t, err, "make it with NewBuilder")
	_, err = (*stream.Builder)(nil).Build()
	require.ErrorContains(t, err, "make it with NewBuilder")
}

func TestBuild_RefusesOptionsOfOtherTypes(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	_, pos := b.Stream(lines("in"), stream.TimestampFrom(func(int64, string) time.Time { return at(0) })), here()
	requireFault(t, b, pos, "stream: TimestampFrom is given a func(int64, string) time.Time here: it must be a func(string, string) time.Time")

	b = stream.NewBuilder()
	s := b.Stream(lines("in"))
	s.To(lines("out"), stream.PartitionBy(func(string, int64, int32) int32 { return 0 }))
	pos = fmt.Sprintf("builder_test.go:%d", lineOf(here())-1)
	requireFault(t, b, pos, "to: PartitionBy is given a func(string, int64, int32) int32 here: it must be a func(string, string, int32) int32")
}

func TestBuild_RefusesStoresThatAreNotDeclared(t *testing.T) {
	t.Parallel()
	last := lineStore("last")
	setup := func(n *lineNode) (lineFunc, error) {
		last.Open(n)
		return func(context.Context, lineRecord) error { return nil }, nil
	}
	b := stream.NewBuilder()
	s := b.Stream(lines("in"))
	_, pos := s.Process(setup, stream.Named("forgetful")), here()
	requireFault(t, b, pos, `process "forgetful": set up node "forgetful": node "forgetful" does not declare store "last": list it with the node's stores`)

	b = stream.NewBuilder()
	s = b.Stream(lines("in"))
	_, pos = s.Process(setup, stream.Named("confused"), stream.Stores(numberStore("last"))), here()
	requireFault(t, b, pos, `process "confused": set up node "confused": node "confused" opens store "last" as key-value of string and string, `+
		`and declares it as key-value of string and int64`)
}

func TestBuild_RefusesSetUpsThatFail(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, lineRecord) error { return nil }
	for _, test := range []struct {
		name, want string
		setup      func(n *lineNode) (lineFunc, error)
	}{
		{"with an error", "no set-up today", func(*lineNode) (lineFunc, error) { return nothing, errors.New("no set-up today") }},
		{"without a function", "its set-up returned no function", func(*lineNode) (lineFunc, error) { return nil, nil }},
		{"with a panic", "set-up panics: kaboom", func(*lineNode) (lineFunc, error) { panic("kaboom") }},
		{"with a timer that is too fast", "a timer of 1", func(n *lineNode) (lineFunc, error) {
			n.EveryWallTime(time.Microsecond, func(time.Time) error { return nil })
			return nothing, nil
		}},
		{"without the child", `has no child "nobody"`, func(n *lineNode) (lineFunc, error) { n.Child("nobody"); return nothing, nil }},
		{"with a record", "forwards a record while it is set up", func(n *lineNode) (lineFunc, error) {
			return nothing, n.Forward(lineRecord{Timestamp: at(1)})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			s := b.Stream(lines("in"))
			_, pos := s.Process(test.setup), here()
			requireFault(t, b, pos, "process")
			require.Contains(t, faults(t, rebuild(func(b *stream.Builder) { b.Stream(lines("in")).Process(test.setup) })), test.want)
		})
	}
}

func TestBuild_RefusesOneStoreNameForTwoStores(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	g := b.Stream(lines("in")).GroupByKey()
	_, first := g.Count(numberStore("same")), here()
	_, second := g.Reduce(plus, lineStore("same"), stream.Named("other")), here()
	requireFault(t, b, second, `reduce "other": store "same" is declared as key-value of string and string here and as key-value of string and int64 at `+
		first+": a name is for one store, give the other a name of its own")
}

func TestBuild_RefusesOneAggregationTwice(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	g := b.Stream(lines("in")).GroupByKey()
	_, first := g.Count(numberStore("counts")), here()
	_, second := g.Count(numberStore("counts")), here()
	text := faults(t, b)
	require.Contains(t, text, second+`: count "counts": the name is taken by the count at `+first)
	require.Contains(t, text, second+`: count "counts": store "counts" is kept by the count at `+first+" already: each operator keeps a store of its own")
}

func TestMaterialize_RefusesASecondStore(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.Table(lines("in"), lineStore("table"))
	_, one := table.Materialize(lineStore("again")), here()
	derived := table.Filter(hasA).Materialize(lineStore("kept"))
	_, two := derived.Materialize(lineStore("kept-2")), here()
	counts := b.Stream(lines("events")).GroupByKey().Count(numberStore("counts"))
	_, three := counts.Materialize(numberStore("counts-2")), here()
	fault := faults(t, b)
	require.Contains(t, fault, one+`: materialize "in-table": the table has the store "table" already`)
	require.Contains(t, fault, two+`: materialize`)
	require.Contains(t, fault, `the table has the store "kept" already`)
	require.Contains(t, fault, three+`: materialize "counts": the table has the store "counts" already`)
}

func TestBuild_RefusesPoliciesThatAreNotValid(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Retry(-1, dlq.Constant(time.Second)))
	s := b.Stream(lines("in"))
	_, pos := s.Filter(hasA, stream.OnError(dlq.SendTo("no/topic"))), here()
	fault := faults(t, b)
	require.Contains(t, fault, "on-error: retry a record: want 0 retries or more, got -1")
	require.Contains(t, fault, pos+": filter")
}

func TestBuild_RefusesTopicsAndNamesThatAreNotValid(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	_, empty := b.Stream(stream.Topic[string, string]{}), here()
	_, slash := b.Stream(lines("a/b")), here()
	in := b.Stream(lines("in"))
	_, names := in.Filter(hasA, stream.Named("no good")), here()
	_, twice := in.Filter(hasA, stream.Named("good")).Filter(hasA, stream.Named("good")), here()
	in.To(stream.NewTopic[string, string]("out", nil, nil))
	out := fmt.Sprintf("builder_test.go:%d", lineOf(here())-1)
	fault := faults(t, b)
	for _, want := range []string{
		empty + `: stream: the topic's descriptor is empty`, slash + `: stream "a/b": topic name "a/b"`,
		names + `: filter "no good": a node's name has`, twice + `: filter "good": the name is taken by the filter at ` + twice,
		out + `: to "out": topic "out" has no serde`,
	} {
		require.Contains(t, fault, want)
	}
}

func TestBuild_FindsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	s := b.Stream(lines("in"))
	s.SelectKey(byValue).GroupByKey().Count(numberStore("counts"))
	s.GroupByKey().Window(stream.Tumbling{}).Count(windowStore("windows"))
	s.Merge(lineStream{})
	s.ToTable(lineStore("table")).Materialize(lineStore("again"))
	b.Stream(lines("in-2"), stream.TimestampFrom(func(int64, int64) time.Time { return at(0) }))
	_, err := b.Build()
	require.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), 5, "%v", err)
}

func TestBuild_BuildsOnce(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).To(lines("out"))
	_, err := b.Build()
	require.NoError(t, err)
	_, err = b.Build()
	require.ErrorContains(t, err, "the builder was built already")
}
