package stream_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// A view is what a table holds.
type view map[string]string

func (v view) opt(k string) stream.Opt[string] {
	s, ok := v[k]
	return stream.Opt[string]{Value: s, OK: ok}
}

// derive makes a view of the keys of two, row by row.
func (v view) derive(o view, f func(l, r stream.Opt[string]) (string, bool)) view {
	out := view{}
	for _, side := range []view{v, o} {
		for k := range side {
			if row, ok := f(v.opt(k), o.opt(k)); ok {
				out[k] = row
			}
		}
	}
	return out
}

// totals is the sum of the lengths of the rows, by their first letter.
func (v view) totals() view {
	sums := map[string]int{}
	for _, row := range v {
		sums[row[:1]] += len(row)
	}
	out := view{}
	for k, n := range sums {
		out[k] = fmt.Sprint(n)
	}
	return out
}

// A gallery is a program of table operators on two tables, of which each stage can be kept in a store, and its updates coalesced.
type gallery struct {
	b      *stream.Builder
	choose func(what string) bool
	stores map[string]state.KeyValueSpec[string, string]
}

func (g *gallery) options(name string) []stream.TableOption {
	if g.choose(name + " coalesces") {
		return []stream.TableOption{stream.Coalesce()}
	}
	return nil
}

// show writes the updates of a table to a topic. One that is joined with others must not coalesce.
func (g *gallery) show(name string, t lineTable, joined bool) lineTable {
	if name == "outer" || g.choose(name+" is kept") { // the join of two views of one table is told what it was by its store alone
		g.stores[name] = lineStore(name)
		if joined {
			t = t.Materialize(g.stores[name])
		} else {
			t = t.Materialize(g.stores[name], g.options(name)...)
		}
	}
	t.ToStream().To(lines(name))
	return t
}

func (g *gallery) totals(name string, t lineTable) {
	size := func(_ string, v string, n int64) int64 { return n + int64(len(v)) }
	less := func(_ string, v string, n int64) int64 { return n - int64(len(v)) }
	t.GroupBy(byInitial, through(name+"-groups")).Aggregate(func() int64 { return 0 }, size, less, numberStore(name), g.options(name)...).
		Filter(func(_ string, n int64) bool { return n != 0 }).MapValues(func(n int64) string { return fmt.Sprint(n) }).
		ToStream().To(lines(name))
}

func (g *gallery) build() {
	l := g.b.Stream(lines("left")).ToTable(lineStore("left-table"))
	r := g.b.Stream(lines("right")).GroupByKey().Reduce(func(_, v string) string { return v }, lineStore("right-table"))
	filtered := g.show("filtered", l.Filter(hasA), true)
	upper := g.show("upper", r.MapValues(strings.ToUpper), true)
	inner := g.show("inner", filtered.Join(upper, plus), true)
	left := g.show("leftmost", l.LeftJoin(upper, leftPlus), true)
	outer := g.show("outer", inner.OuterJoin(r, outerPlus), false)
	g.show("rest", outer.Filter(hasA), false)
	g.show("self", l.LeftJoin(left, leftPlus), false)
	copied := g.show("copied", l.MapValues(func(v string) string { return v }), false)
	g.totals("copied-totals", copied)
	g.totals("inner-totals", inner)
	g.totals("left-totals", left)
	g.totals("outer-totals", outer)
	g.totals("row-totals", l)
}

// galleryViews recomputes every view.
func galleryViews(l, r view) map[string]view {
	inner := func(l, r stream.Opt[string]) (string, bool) { return plus(l.Value, r.Value), l.OK && r.OK }
	hasAnA := func(l, _ stream.Opt[string]) (string, bool) { return l.Value, l.OK && hasA("", l.Value) }
	v := map[string]view{
		"filtered": l.derive(nil, hasAnA),
		"upper":    r.derive(nil, func(l, _ stream.Opt[string]) (string, bool) { return strings.ToUpper(l.Value), l.OK }),
	}
	v["inner"] = v["filtered"].derive(v["upper"], inner)
	v["leftmost"] = l.derive(v["upper"], func(l, r stream.Opt[string]) (string, bool) { return leftPlus(l.Value, r), l.OK })
	v["outer"] = v["inner"].derive(r, func(l, r stream.Opt[string]) (string, bool) { return outerPlus(l, r), l.OK || r.OK })
	v["rest"] = v["outer"].derive(nil, hasAnA)
	v["self"] = l.derive(v["leftmost"], func(l, r stream.Opt[string]) (string, bool) { return leftPlus(l.Value, r), l.OK })
	v["copied"], v["copied-totals"] = l, l.totals()
	v["inner-totals"], v["left-totals"], v["outer-totals"] = v["inner"].totals(), v["leftmost"].totals(), v["outer"].totals()
	v["row-totals"] = l.totals()
	return v
}

// Whatever comes, in whatever order of times, with commits and crashes anywhere: behind the last commit every table is the one that a computation
// from scratch gives, both in what was sent and in what is kept.
func TestTables_AreWhatARecomputationGives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		g := &gallery{b: stream.NewBuilder(), stores: map[string]state.KeyValueSpec[string, string]{},
			choose: func(what string) bool { return rapid.Bool().Draw(rt, what) }}
		g.build()
		partitions := rapid.SampledFrom([]int32{1, 2}).Draw(rt, "partitions")
		opts := []streamtest.Option{streamtest.Partitions("left", partitions), streamtest.Partitions("right", partitions)}
		manual := rapid.Bool().Draw(rt, "manual commits")
		if manual {
			opts = append(opts, streamtest.ManualCommit())
		}
		d := start(t, g.b, opts...)
		base := map[string]view{"left": {}, "right": {}}
		sent := map[string]view{}
		for i := range rapid.IntRange(1, 40).Draw(rt, "records") {
			topic := rapid.SampledFrom([]string{"left", "right"}).Draw(rt, "topic")
			key := rapid.SampledFrom([]string{"k", "l", "m"}).Draw(rt, "key")
			value := rapid.SampledFrom([]string{"a", "b", "ab", "ba", "null"}).Draw(rt, "value")
			if topic == "right" && value == "null" {
				value = "b" // an aggregation has no deletes
			}
			if base[topic][key] = value; value == "null" {
				delete(base[topic], key)
			}
			feed(t, d, topic, fmt.Sprintf("%s=%s@%d", key, value, rapid.Int64Range(0, 100).Draw(rt, "time")))
			then := rapid.SampledFrom([]string{"", "", "commit", "crash", "lose", "settle"}).Draw(rt, "then")
			if manual {
				disturb(d, then)
			}
			if !manual || then == "settle" {
				g.require(rt, d, partitions, sent, galleryViews(base["left"], base["right"]), fmt.Sprint("behind record ", i))
			}
		}
		disturb(d, "settle")
		g.require(rt, d, partitions, sent, galleryViews(base["left"], base["right"]), "at the end")
	})
}

func disturb(d *streamtest.Driver, then string) {
	switch then {
	case "commit":
		d.Commit()
	case "settle":
		for range 4 { // across the repartition and back
			d.Commit()
		}
	case "crash", "lose":
		d.Crash()
		if then == "lose" {
			d.LoseDisk()
		}
		d.Restart()
	}
}

func (g *gallery) require(t *rapid.T, d *streamtest.Driver, partitions int32, sent, want map[string]view, when string) {
	for name, v := range want {
		if sent[name] == nil {
			sent[name] = view{}
		}
		for _, r := range d.ReadRaw(name) {
			if sent[name][string(r.Key)] = string(r.Value); r.Value == nil {
				delete(sent[name], string(r.Key))
			}
		}
		require.Equal(t, v, sent[name], "what was sent of %s %s", name, when)
		spec, ok := g.stores[name]
		if !ok {
			continue
		}
		kept := view{}
		for p := range partitions {
			for e, err := range streamtest.KeyValue(d, spec, p).All() {
				require.NoError(t, err)
				kept[e.Key] = e.Value
			}
		}
		require.True(t, maps.Equal(v, kept), "what is kept of %s %s: want %v, got %v", name, when, v, kept)
	}
}
