package stream_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// A patch is one stateful operator between two streams and a topic of its name. Topologies are made of several.
type patch struct {
	name string
	// settles tells that commits decide which results are seen on the way: only the last of each key is certain.
	settles bool
	sow     func(p plot) []rowsOf
}

// A plot is what a patch stands on: store names begin with its name.
type plot struct {
	name        string
	left, right lineStream
}

// rowsOf prints the rows of a store.
type rowsOf func(t require.TestingT, d *streamtest.Driver) []string

func (p plot) text(suffix string) state.KeyValueSpec[string, string] {
	return lineStore(p.name + suffix)
}
func (p plot) to(s lineStream) { s.To(lines(p.name)) }
func (p plot) buffer() state.BufferSpec[string, int64] {
	return state.Buffer(p.name+"-buffer", serde.String(), decimal())
}

func (p plot) joinStores() state.JoinSpec[string, string, string] {
	return state.Join(p.name, serde.String(), serde.String(), serde.String())
}

// windows sends a windowed count on, under keys with their windows.
func (p plot) windows(t stream.WindowedTable[string, int64]) {
	p.to(t.ToStream(windowLabel).MapValues(func(n int64) string { return fmt.Sprint(n) }))
}

func listed[E any](all func(d *streamtest.Driver) iter.Seq2[E, error], print func(E) string) rowsOf {
	return func(t require.TestingT, d *streamtest.Driver) (out []string) {
		for e, err := range all(d) {
			require.NoError(t, err)
			out = append(out, print(e))
		}
		return out
	}
}

func keyRows[V any](st state.KeyValueSpec[string, V]) rowsOf {
	return listed(func(d *streamtest.Driver) iter.Seq2[state.Entry[string, V], error] {
		return streamtest.KeyValue(d, st, 0).All()
	},
		func(e state.Entry[string, V]) string {
			return fmt.Sprintf("%s=%v@%d", e.Key, e.Value, e.Timestamp.UnixMilli())
		})
}

func windowDump[V any](st state.WindowSpec[string, V]) rowsOf {
	return listed(func(d *streamtest.Driver) iter.Seq2[state.Entry[stream.Windowed[string], V], error] {
		return streamtest.Window(d, st, 0).All()
	}, func(e state.Entry[stream.Windowed[string], V]) string {
		return fmt.Sprint(e.Key, e.Value, e.Timestamp.UnixMilli())
	})
}

func sessionRowsOf(st state.SessionSpec[string, int64]) rowsOf {
	return listed(func(d *streamtest.Driver) iter.Seq2[state.Entry[stream.Windowed[string], int64], error] {
		return streamtest.Session(d, st, 0).All()
	}, func(e state.Entry[stream.Windowed[string], int64]) string { return fmt.Sprint(e.Key, e.Value) })
}

func waitingIn(st state.Spec) rowsOf {
	return func(_ require.TestingT, d *streamtest.Driver) []string {
		records, size := streamtest.Waiting(d, st, 0)
		return []string{fmt.Sprint(records, " records, ", size, " bytes")}
	}
}

func windowed(p plot, w stream.TimeWindows, emit stream.Emit) []rowsOf {
	st := windowStore(p.name)
	p.windows(p.left.GroupByKey().Window(w, emit).Count(st))
	return []rowsOf{windowDump(st)}
}

func joinedIn(p plot, join func(w stream.Between, st state.JoinSpec[string, string, string]) lineStream) []rowsOf {
	w := stream.Between{Before: in(10), After: in(20), Grace: in(10)}
	st := p.joinStores()
	p.to(join(w, st))
	return []rowsOf{windowDump(st.Retention(w.Before + w.After + w.Grace).Left())}
}

func patches() []patch {
	optional := func(l, r stream.Opt[string]) string { return fmt.Sprint(l, r) }
	hopping, session := stream.Hopping{Size: in(20), Advance: in(10), Grace: in(15)}, stream.Session{Gap: in(10), Grace: in(10)}
	return []patch{
		{name: "reduce", sow: func(p plot) []rowsOf {
			p.to(p.left.GroupByKey().Reduce(plus, p.text("")).ToStream())
			return []rowsOf{keyRows(p.text(""))}
		}},
		{name: "tables", sow: func(p plot) []rowsOf {
			l, r := p.left.ToTable(p.text("-l")), p.right.ToTable(p.text("-r"))
			p.to(l.Filter(hasA).OuterJoin(r, optional).Materialize(p.text("-joined")).
				Filter(func(_, v string) bool { return len(v)%2 == 0 }).ToStream())
			return []rowsOf{keyRows(p.text("-l")), keyRows(p.text("-r")), keyRows(p.text("-joined"))}
		}},
		{name: "table", sow: func(p plot) []rowsOf {
			p.to(p.left.LeftJoinTable(p.right.ToTable(p.text("")), leftPlus))
			return []rowsOf{keyRows(p.text(""))}
		}},
		{name: "hopping", sow: func(p plot) []rowsOf { return windowed(p, hopping, stream.OnUpdate) }},
		{name: "hopping-on-close", sow: func(p plot) []rowsOf { return windowed(p, hopping, stream.OnClose) }},
		{name: "sliding", sow: func(p plot) []rowsOf {
			return windowed(p, stream.Sliding{Difference: in(15), Grace: in(10)}, stream.OnUpdate)
		}},
		{name: "sliding-on-close", sow: func(p plot) []rowsOf {
			return windowed(p, stream.Sliding{Difference: in(15), Grace: in(10)}, stream.OnClose)
		}},
		{name: "unlimited", sow: func(p plot) []rowsOf { return windowed(p, stream.Unlimited{From: at(20)}, stream.OnUpdate) }},
		{name: "session", sow: func(p plot) []rowsOf {
			p.windows(p.left.GroupByKey().SessionWindow(session).Count(sessionStore(p.name)))
			return []rowsOf{sessionRowsOf(sessionStore(p.name))}
		}},
		{name: "session-on-close", sow: func(p plot) []rowsOf {
			p.windows(p.left.GroupByKey().SessionWindow(session, stream.OnClose).Count(sessionStore(p.name)))
			return []rowsOf{sessionRowsOf(sessionStore(p.name))}
		}},
		{name: "suppress-final", sow: func(p plot) []rowsOf {
			p.windows(p.left.GroupByKey().Window(hopping).Count(windowStore(p.name)).Suppress(p.buffer(), stream.UntilWindowCloses{}))
			return []rowsOf{windowDump(windowStore(p.name)), waitingIn(p.buffer())}
		}},
		{name: "suppress-limit", sow: func(p plot) []rowsOf {
			p.to(p.left.GroupByKey().Count(numberStore(p.name)).Suppress(p.buffer().MaxRecords(2), stream.UntilTimeLimit{Limit: in(15)}).
				Filter(func(_ string, n int64) bool { return n%2 == 0 }).ToStream().MapValues(func(n int64) string { return fmt.Sprint(n) }))
			return []rowsOf{keyRows(numberStore(p.name)), waitingIn(p.buffer())}
		}},
		{name: "inner", sow: func(p plot) []rowsOf {
			return joinedIn(p, func(w stream.Between, st state.JoinSpec[string, string, string]) lineStream {
				return p.left.Join(p.right, w, plus, st)
			})
		}},
		{name: "left", sow: func(p plot) []rowsOf {
			return joinedIn(p, func(w stream.Between, st state.JoinSpec[string, string, string]) lineStream {
				return p.left.LeftJoin(p.right, w, leftPlus, st)
			})
		}},
		{name: "outer", sow: func(p plot) []rowsOf {
			return joinedIn(p, func(w stream.Between, st state.JoinSpec[string, string, string]) lineStream {
				return p.left.OuterJoin(p.right, w, optional, st)
			})
		}},
		{name: "self", sow: func(p plot) []rowsOf {
			return joinedIn(p, func(w stream.Between, st state.JoinSpec[string, string, string]) lineStream {
				return p.left.OuterJoin(p.left, w, optional, st)
			})
		}},
		{name: "versioned", sow: func(p plot) []rowsOf {
			rows := state.Versioned(p.name, serde.String(), serde.String(), in(60))
			p.to(p.left.LeftJoinVersioned(p.right.ToVersionedTable(rows), leftPlus,
				stream.Grace(in(20), state.JoinBuffer(p.name+"-buffer", serde.String(), serde.String()))))
			return []rowsOf{listed(func(d *streamtest.Driver) iter.Seq2[state.Entry[string, string], error] {
				return streamtest.Versioned(d, rows, 0).All()
			}, func(e state.Entry[string, string]) string { return fmt.Sprint(e.Key, e.Value, e.Timestamp.UnixMilli()) })}
		}},
		{name: "groups", sow: func(p plot) []rowsOf {
			p.to(p.left.ToTable(p.text("-rows")).GroupBy(func(k, v string) (string, string) { return v, k }, through(p.name)).
				Reduce(plus, func(a, v string) string { return strings.Replace(a, v, "", 1) }, p.text("")).ToStream())
			return []rowsOf{keyRows(p.text("-rows")), keyRows(p.text(""))}
		}},
		{name: "cogroup", sow: func(p plot) []rowsOf {
			add := func(side string) func(_, v, a string) string {
				return func(_, v, a string) string { return a + side + v }
			}
			p.to(p.left.GroupByKey().Cogroup(add("l")).With(p.right.GroupByKey(), add("r")).
				Aggregate(func() string { return "" }, p.text("")).ToStream())
			return []rowsOf{keyRows(p.text(""))}
		}},
		{name: "process", sow: func(p plot) []rowsOf {
			seen := p.text("-seen")
			p.to(p.left.ToTable(p.text("")).ProcessValues(func(n *stream.RowNode) (
				func(context.Context, string, stream.Opt[string]) (stream.Opt[string], error), error) {
				st := seen.Open(n)
				return func(_ context.Context, k string, v stream.Opt[string]) (stream.Opt[string], error) {
					before, _, err := st.Get(k)
					if err == nil {
						err = st.Put(k, before+v.Value)
					}
					return stream.Opt[string]{Value: before, OK: v.OK}, err
				}, nil
			}, stream.Stores(seen)).ToStream())
			return []rowsOf{keyRows(p.text("")), keyRows(seen)}
		}},
		{name: "foreign", settles: true, sow: func(p plot) []rowsOf {
			via := stream.NewForeignJoin(p.name, serde.String(), serde.String(), serde.String(), serde.String())
			refer := func(v string) (string, bool) { return map[string]string{"a": "k", "b": "l"}[v], v != "c" }
			p.to(p.left.ToTable(p.text("-l")).LeftJoinForeign(p.right.ToTable(p.text("-r")), refer, leftPlus, via).
				Materialize(p.text("-joined")).ToStream())
			return []rowsOf{keyRows(p.text("-l")), keyRows(p.text("-r"))}
		}},
		{name: "coalesce", settles: true, sow: func(p plot) []rowsOf {
			p.to(p.left.ToTable(p.text(""), stream.Coalesce()).GroupBy(func(k, v string) (string, string) { return v, k }, through(p.name)).
				Count(numberStore(p.name+"-count"), stream.Coalesce()).
				Filter(func(_ string, n int64) bool { return n > 0 }). // a group that comes and goes may never be seen
				ToStream().MapValues(func(n int64) string { return fmt.Sprint(n) }))
			return []rowsOf{keyRows(p.text(""))}
		}},
	}
}

// A garden is a topology of some patches. Both streams are of one topic, so that their records have one order whatever happens.
type garden struct {
	patches []patch
	rows    map[string][]rowsOf
}

func (g *garden) build() *stream.Builder {
	b := stream.NewBuilder()
	g.rows = map[string][]rowsOf{}
	left, right := b.Stream(lines("in")).Split(func(_, v string) bool { return strings.HasPrefix(v, "l") })
	// A value is its side's letter and what the operators get: "-" is a delete.
	side := func(s lineStream) lineStream {
		return s.Process(func(n *lineNode) (lineFunc, error) {
			return func(_ context.Context, r lineRecord) error {
				r.Value = strings.TrimLeft(r.Value, "lr")
				if r.Tombstone = r.Value == "-"; r.Tombstone {
					r.Value = ""
				}
				return n.Forward(r)
			}, nil
		}, stream.KeepsPartitioning())
	}
	left, right = side(left), side(right)
	for _, p := range g.patches {
		g.rows[p.name] = p.sow(plot{p.name, left, right})
	}
	return b
}

func (g *garden) start(t *testing.T, opts ...streamtest.Option) *streamtest.Driver {
	return start(t, g.build(), opts...)
}

// results are the committed records of each patch, or the last of each key where only they are certain.
func (g *garden) results(d *streamtest.Driver) map[string][]string {
	out := map[string][]string{}
	for _, p := range g.patches {
		last := map[string]string{}
		for _, r := range d.ReadRaw(p.name) {
			line := fmt.Sprintf("%s=%s@%d", orNull(r.Key), orNull(r.Value), r.TimestampMs)
			if last[orNull(r.Key)] = orNull(r.Value); !p.settles {
				out[p.name] = append(out[p.name], line)
			}
		}
		if p.settles {
			for k, v := range last {
				if v != "null" {
					out[p.name] = append(out[p.name], k+"="+v)
				}
			}
			slices.Sort(out[p.name])
		}
	}
	return out
}

func (g *garden) stored(t require.TestingT, d *streamtest.Driver) map[string][]string {
	out := map[string][]string{}
	for name, all := range g.rows {
		for _, rows := range all {
			out[name] = append(append(out[name], rows(t, d)...), "--")
		}
	}
	return out
}

func drawGarden(t *rapid.T) (garden, []stretchStep) {
	all := patches()
	chosen := rapid.SliceOfNDistinct(rapid.IntRange(0, len(all)-1), 2, 5, rapid.ID[int]).Draw(t, "patches")
	var g garden
	for _, i := range chosen {
		g.patches = append(g.patches, all[i])
	}
	now := int64(0)
	step := rapid.Custom(func(t *rapid.T) stretchStep {
		ts := max(0, now+rapid.SampledFrom([]int64{-40, -15, -5, 0, 0, 1, 5, 10, 20, 100}).Draw(t, "time"))
		now = max(now, ts)
		return stretchStep{
			record: fmt.Sprintf("%s=%s@%d", rapid.SampledFrom([]string{"k", "l", "m", "null"}).Draw(t, "key"),
				rapid.SampledFrom([]string{"la", "lb", "lc", "l-", "ra", "rb", "r-"}).Draw(t, "value"), ts),
			then: rapid.SampledFrom([]string{"", "", "", "commit", "commit", "crash", "lose"}).Draw(t, "then"),
		}
	})
	steps := rapid.SliceOfN(step, 1, 40).Draw(t, "steps")
	// What still waits comes out in the end.
	for _, side := range []string{"l", "r"} {
		now += 1000
		steps = append(steps, stretchStep{record: fmt.Sprintf("end=%sa@%d", side, now)})
	}
	return g, steps
}

func (g *garden) run(t *testing.T, d *streamtest.Driver, s stretchStep) {
	feed(t, d, "in", s.record)
	switch s.then {
	case "commit":
		d.Commit()
	case "crash", "lose":
		d.Crash()
		if s.then == "lose" {
			d.LoseDisk()
		}
		d.Restart()
	}
}

// settleAll commits until what went through topics of the application's own has arrived.
func settleAll(d *streamtest.Driver) {
	for range 5 {
		d.Commit()
	}
}

func TestOperators_GiveTheSameResultsWhateverTheScheduleOfCommitsAndCrashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		calm, steps := drawGarden(rt)
		d := calm.start(t)
		for _, s := range steps {
			feed(t, d, "in", s.record)
		}
		want, rows := calm.results(d), calm.stored(rt, d)

		rough := garden{patches: calm.patches}
		d = rough.start(t, streamtest.ManualCommit(), streamtest.CacheBytes(rapid.SampledFrom([]int64{0, 1 << 20}).Draw(rt, "cache")))
		for _, s := range steps {
			rough.run(t, d, s)
		}
		settleAll(d)
		require.Equal(rt, want, rough.results(d))
		require.Equal(rt, rows, rough.stored(rt, d))
	})
}

func TestOperators_FindTheirRowsInTheChangelogsAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		g, steps := drawGarden(rt)
		d := g.start(t, streamtest.ManualCommit())
		for _, s := range steps[:rapid.IntRange(1, len(steps)).Draw(rt, "until")] {
			feed(t, d, "in", s.record)
			if s.then == "commit" {
				d.Commit()
			}
		}
		settleAll(d)
		want := g.stored(rt, d)
		d.Crash()
		d.LoseDisk()
		d.Restart()
		require.Equal(rt, want, g.stored(rt, d))
	})
}
