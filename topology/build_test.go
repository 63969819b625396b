package topology_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// process adds a processor that only its set-up matters of.
func process(p topology.Port[string, string], s topology.NodeSpec, setup func(n *topology.Node[string, string]) error) {
	p.Process(s, func(n *topology.Node[string, string]) (
		func(context.Context, topology.Record[string, string]) error, error,
	) {
		return func(context.Context, topology.Record[string, string]) error { return nil }, setup(n)
	})
}

type panicPolicy struct{}

func (panicPolicy) Decide(*dlq.Failure) dlq.Decision { panic("no decision") }
func (panicPolicy) Validate() error                  { panic("no verdict") }

type panicSerde struct{ serde.Serde[string] }

func (panicSerde) Bind(string, serde.Role) (serde.Serde[string], error) { panic("no registry") }

func TestBuild_FindsFaults(t *testing.T) {
	t.Parallel()
	seen := state.KeyValue("seen", serde.String(), serde.String())
	numbers := state.KeyValue("seen", serde.String(), serde.Int64())
	tests := []struct {
		name    string
		program func(b *topology.Builder)
		want    []string
	}{
		{"nothing", func(*topology.Builder) {}, []string{"build: the topology is empty"}},
		{"a name used twice", func(b *topology.Builder) {
			p := read(b, text("in"))
			pass(p, topology.NodeSpec{Op: "map", Name: "same", Pos: "first.go:1"})
			pass(p, topology.NodeSpec{Op: "filter", Name: "same", Pos: "second.go:2"})
		}, []string{`second.go:2: filter "same": the name is taken by the map at first.go:1`}},
		{"a node's name", func(b *topology.Builder) {
			pass(read(b, text("in")), node("map", "a b"))
		}, []string{`map "a b": a node's name has`}},
		{"a topic's name", func(b *topology.Builder) {
			b.Source(text("a/b"), topology.SourceSpec[string, string]{NodeSpec: node("stream", "in")})
		}, []string{`in.go:1: stream "a/b": topic name "a/b"`}},
		{"an empty topic", func(b *topology.Builder) {
			b.Source(topology.Topic[string, string]{}, topology.SourceSpec[string, string]{NodeSpec: node("stream", "in")})
		}, []string{"the topic's descriptor is empty"}},
		{"a topic without a serde", func(b *topology.Builder) {
			write(read(b, text("in")), topology.NewTopic[string, string]("out", serde.String(), nil))
		}, []string{`topic "out" has no serde`}},
		{"a repartition's name", func(b *topology.Builder) {
			read(b, text("in")).Through(rekey("-r"), via("repartition", "r"))
		}, []string{`repartition name "-r"`}},
		{"a negative number of partitions", func(b *topology.Builder) {
			read(b, text("in")).Through(rekey("r").Partitions(-2), via("repartition", "r"))
		}, []string{`repartition "r": -2 partitions`}},
		{"a repartition used twice", func(b *topology.Builder) {
			p := read(b, text("in"))
			p.Through(rekey("r"), topology.RepartitionSpec[string, string]{NodeSpec: topology.NodeSpec{Pos: "first.go:1"}})
			p.Through(rekey("r"), topology.RepartitionSpec[string, string]{NodeSpec: topology.NodeSpec{Pos: "second.go:2"}})
		}, []string{`second.go:2: repartition-source "r": the repartition is used already at first.go:1`}},
		{"a store's name", func(b *topology.Builder) {
			pass(read(b, text("in")), node("map", "m", state.KeyValue("a b", serde.String(), serde.String())))
		}, []string{`m.go:1: map "m": store name "a b"`}},
		{"a window store without a retention", func(b *topology.Builder) {
			pass(read(b, text("in")), node("map", "m", state.Window("w", serde.String(), serde.String())))
		}, []string{`window store "w": retention is 0s`}},
		{"one name of two stores", func(b *topology.Builder) {
			p := read(b, text("in"))
			pass(p, node("map", "one", seen))
			pass(p, node("map", "two", numbers))
		}, []string{
			`two.go:1: map "two": store "seen" is declared as key-value of string and int64 here`, "string and string at one.go:1",
		}},
		{"a store without a serde", func(b *topology.Builder) {
			pass(read(b, text("in")), node("map", "m", state.KeyValue[string, string]("s", serde.String(), nil)))
		}, []string{`store "s" has no serde`}},
		{"a handle of another builder", func(b *topology.Builder) {
			topology.Merge(node("merge", "m"), read(b, text("in")), read(&topology.Builder{}, text("in")))
		}, []string{`m.go:1: merge "m": a handle is empty or belongs to another builder`}},
		{"an empty handle last", func(b *topology.Builder) {
			topology.Merge(node("merge", "m"), read(b, text("in")), topology.Port[string, string]{})
		}, []string{`merge "m": a handle is empty`}},
		{"an empty handle first", func(b *topology.Builder) {
			topology.Merge(node("merge", "m"), topology.Port[string, string]{}, read(b, text("in")))
		}, []string{`merge "m": a handle is empty`}},
		{"a foreign handle in a join", func(b *topology.Builder) {
			b.Copartition("join", "join.go:1", read(b, text("in")), read(&topology.Builder{}, text("other")))
		}, []string{"join.go:1: join: a handle is empty or belongs to another builder"}},
		{"an empty handle in a join", func(b *topology.Builder) {
			b.Copartition("join", "join.go:1", read(b, text("in")), topology.Port[string, string]{})
		}, []string{"join.go:1: join: a handle is empty"}},
		{"a topic of two types", func(b *topology.Builder) {
			read(b, text("in"))
			read(b, topology.NewTopic("in", serde.String(), serde.Int64()))
		}, []string{"the topic is read at in.go:1 as string and string"}},
		{"a topic with two starts", func(b *topology.Builder) {
			read(b, text("in"))
			b.Source(text("in"), topology.SourceSpec[string, string]{NodeSpec: node("stream", ""), Start: topology.Latest})
		}, []string{"the topic is read at in.go:1 with other options"}},
		{"a topic with two extractors", func(b *topology.Builder) {
			extract := func(string, string) time.Time { return time.UnixMilli(1) }
			for range 2 {
				b.Source(text("in"), topology.SourceSpec[string, string]{NodeSpec: node("stream", ""), Timestamp: extract})
			}
		}, []string{"with other options"}},
		{"a policy", func(b *topology.Builder) {
			s := node("map", "m")
			s.Policy = dlq.Retry(-1, dlq.Constant(time.Second))
			pass(read(b, text("in")), s)
		}, []string{`m.go:1: map "m": `}},
		{"the default policy", func(b *topology.Builder) {
			read(b, text("in"))
			b.OnError(dlq.SendTo("a/b"))
		}, []string{"on-error: ", `"a/b"`}},
		{"policies that panic", func(b *topology.Builder) {
			s := node("map", "m")
			s.Policy = panicPolicy{}
			pass(read(b, text("in")), s)
			b.OnError(panicPolicy{})
		}, []string{`map "m": `, "on-error: ", "no verdict"}},
		{"a store that is not declared", func(b *topology.Builder) {
			process(read(b, text("in")), node("process", "p"), func(n *topology.Node[string, string]) error {
				seen.Open(n)
				return nil
			})
		}, []string{`p.go:1: process "p": set up node "p": node "p" does not declare store "seen"`}},
		{"a store that is declared elsewhere", func(b *topology.Builder) {
			p := pass(read(b, text("in")), node("map", "m", seen))
			process(p, node("process", "p"), func(n *topology.Node[string, string]) error {
				seen.Open(n)
				return nil
			})
		}, []string{`node "p" does not declare store "seen"`}},
		{"a store that is declared with another type", func(b *topology.Builder) {
			process(read(b, text("in")), node("process", "p", seen), func(n *topology.Node[string, string]) error {
				numbers.Open(n)
				return nil
			})
		}, []string{`p.go:1: process "p": `, `opens store "seen" as key-value of string and int64`}},
		{"a child that is not there", func(b *topology.Builder) {
			process(read(b, text("in")), node("process", "p"), func(n *topology.Node[string, string]) error {
				n.Child("lost")
				return nil
			})
		}, []string{`node "p" has no child "lost"`}},
		{"a short timer", func(b *topology.Builder) {
			process(read(b, text("in")), node("process", "p"), func(n *topology.Node[string, string]) error {
				n.EveryWallTime(time.Microsecond, func(time.Time) error { return nil })
				return nil
			})
		}, []string{`node "p": a timer of 1`}},
		{"a set-up that forwards", func(b *topology.Builder) {
			process(read(b, text("in")), node("process", "p"), func(n *topology.Node[string, string]) error {
				return n.Forward(topology.Record[string, string]{})
			})
		}, []string{`node "p" forwards a record while it is set up`}},
		{"a set-up that fails", func(b *topology.Builder) {
			process(read(b, text("in")), node("process", "p"), func(*topology.Node[string, string]) error {
				return errors.New("no luck")
			})
		}, []string{`p.go:1: process "p": set up node "p": no luck`}},
		{"a set-up that panics", func(b *topology.Builder) {
			process(read(b, text("in")), node("process", "p"), func(*topology.Node[string, string]) error { panic("no luck") })
		}, []string{`p.go:1: process "p": set-up panics: no luck`}},
		{"a set-up without a function", func(b *topology.Builder) {
			read(b, text("in")).Process(node("process", "p"), func(*topology.Node[string, string]) (
				func(context.Context, topology.Record[string, string]) error, error,
			) {
				return nil, nil
			})
		}, []string{`p.go:1: process "p": set up node "p": its set-up returned no function`}},
		{"a topic's serde that panics", func(b *topology.Builder) {
			read(b, topology.NewTopic("in", serde.Serde[string](panicSerde{serde.String()}), serde.String()))
		}, []string{`in.go:1: stream "in-source": set-up panics: no registry`}},
		{"a store's serde that panics", func(b *topology.Builder) {
			s := state.KeyValue("s", serde.Serde[string](panicSerde{serde.String()}), serde.String())
			pass(read(b, text("in")), node("map", "m", s))
		}, []string{"no registry"}},
		{"a node without a receiver", func(b *topology.Builder) {
			read(b, text("in")).Attach(node("map", "m"), func(*topology.NodeContext, topology.Processor[string, string]) (
				topology.Processor[string, string], error,
			) {
				return nil, nil
			})
		}, []string{`to node "m"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b topology.Builder
			tt.program(&b)
			var (
				top *topology.Topology
				err error
			)
			require.NotPanics(t, func() { top, err = b.Build() })
			require.Error(t, err)
			require.Nil(t, top)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
			_, ok := errors.AsType[*topology.BuildError](err)
			require.True(t, ok)
		})
	}
}

func TestBuild_FindsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	var b topology.Builder
	p := read(&b, text("in"))
	pass(p, node("map", "a b"))
	pass(p, node("map", "m", state.Window("w", serde.String(), serde.String())))
	write(pass(p, node("map", "m")), text("out"))
	b.Source(text("a/b"), topology.SourceSpec[string, string]{NodeSpec: node("stream", "other")})
	b.OnError(dlq.SendTo("a/b"))
	_, err := b.Build()
	many, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	require.Len(t, many.Unwrap(), 5)
	for _, err := range many.Unwrap() {
		fault, ok := errors.AsType[*topology.BuildError](err)
		require.True(t, ok)
		require.NotEmpty(t, fault.Op)
	}
}

func TestBuild_FindsAFaultOfEachSubtopologysSetUps(t *testing.T) {
	t.Parallel()
	var b topology.Builder
	for _, name := range []string{"one", "two"} {
		process(read(&b, text(name)), node("process", name), func(*topology.Node[string, string]) error {
			return errors.New("no luck with " + name)
		})
	}
	_, err := b.Build()
	require.ErrorContains(t, err, "no luck with one")
	require.ErrorContains(t, err, "no luck with two")
}

func TestBuild_HappensOnce(t *testing.T) {
	t.Parallel()
	var b topology.Builder
	read(&b, text("in"))
	_, err := b.Build()
	require.NoError(t, err)
	_, err = b.Build()
	require.ErrorContains(t, err, "the builder was built already")
}

func TestBuild_ReadsATopicOfOneTypeOnce(t *testing.T) {
	t.Parallel()
	top := build(t, func(b *topology.Builder) {
		write(read(b, text("in")), text("one"))
		write(read(b, text("in")), text("two"))
	})
	d := top.Describe()
	require.Len(t, d.Reads, 1)
	require.Equal(t, []string{"one-sink", "two-sink"}, d.Subtopologies[0].Nodes[0].Children)
	require.Equal(t, []string{"one", "two"}, top.SinkTopics())
}

func TestBuild_WithstandsHandlesOfNoBuilder(t *testing.T) {
	t.Parallel()
	require.NotPanics(t, func() {
		var p topology.Port[string, string]
		p.AddStores(state.KeyValue("s", serde.String(), serde.String()))
		write(pass(p, node("map", "m")), text("out"))
		write(p.Through(rekey("r"), via("repartition", "r")), text("out"))
		topology.Merge[string, string](node("merge", "all"))
		require.Empty(t, p.Name())
		require.Nil(t, p.Builder())
	})
}

func TestBuild_ReportsWhatIsReported(t *testing.T) {
	t.Parallel()
	var b topology.Builder
	cause := errors.New("no join")
	b.Report("join", "orders", "join.go:7", cause)
	_, err := b.Build()
	require.ErrorIs(t, err, cause)
	require.EqualError(t, err, `join.go:7: join "orders": no join`)
	fault, ok := errors.AsType[*topology.BuildError](err)
	require.True(t, ok)
	require.Equal(t, topology.BuildError{Op: "join", Name: "orders", Pos: "join.go:7", Err: cause}, *fault)
}

func TestDeadLetterSources_AreThereIfAnythingMaySend(t *testing.T) {
	t.Parallel()
	with := func(p dlq.Policy, rejects bool) topology.NodeSpec {
		s := node("map", "m")
		s.Policy, s.Rejects = p, rejects
		return s
	}
	retry := dlq.Retry(3, dlq.Constant(time.Second))
	tests := []struct {
		name     string
		fallback dlq.Policy
		node     topology.NodeSpec
		sends    bool
	}{
		{"no policy", nil, with(nil, false), false},
		{"fail and skip", dlq.Fail(), with(dlq.Skip(), false), false},
		{"retry, then fail", retry, with(nil, false), false},
		{"the default sends", dlq.Send(), with(nil, false), true},
		{"a node sends", dlq.Fail(), with(dlq.Send(), false), true},
		{"retry, then send", retry.Then(dlq.Send()), with(nil, false), true},
		{"a function rejects", nil, with(nil, true), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			top := build(t, func(b *topology.Builder) {
				b.OnError(tt.fallback)
				p := pass(read(b, text("in")), tt.node).Through(rekey("r"), via("repartition", ""))
				write(p, text("out"))
				read(b, text("other"))
			})
			if tt.sends {
				require.Equal(t, []string{"in", "other"}, top.DeadLetterSources())
			} else {
				require.Empty(t, top.DeadLetterSources())
			}
		})
	}
}

func TestBuild_TellsTypesOfUnequalTopicsApart(t *testing.T) {
	t.Parallel()
	var b topology.Builder
	read(&b, text("in"))
	read(&b, topology.NewTopic("in", serde.Int64(), serde.String()))
	_, err := b.Build()
	require.Equal(t, 1, strings.Count(err.Error(), "\n")+1)
}
