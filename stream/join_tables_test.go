package stream_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func outerPlus(l, r stream.Opt[string]) string {
	if !l.OK {
		return leftPlus("none", r)
	}
	return leftPlus(l.Value, r)
}

func TestJoinTables_FollowKafkaStreamsRules(t *testing.T) {
	t.Parallel()
	steps := []struct{ topic, record string }{
		{"right", "k=null@1"}, // a delete of nothing
		{"left", "k=a@5"},
		{"left", "k=null@6"},
		{"left", "k=null@7"}, // repeated, without a partner
		{"right", "k=x@4"},
		{"left", "k=a@3"}, // earlier than its partner
		{"left", "null=z@3"},
		{"right", "k=y@9"},
		{"left", "k=null@8"},
		{"left", "k=null@8"}, // repeated, with a partner
		{"right", "k=null@10"},
		{"left", "k=b@11"},
	}
	for _, test := range []struct {
		name string
		join func(l, r lineTable) lineTable
		want []string
	}{
		{"inner", func(l, r lineTable) lineTable { return l.Join(r, plus) },
			[]string{"k=a+x@4", "k=a+y@9", "k=null@9", "k=null@9"}},
		{"left", func(l, r lineTable) lineTable { return l.LeftJoin(r, leftPlus) },
			[]string{"k=a+none@5", "k=null@6", "k=a+x@4", "k=a+y@9", "k=null@9", "k=null@9", "k=b+none@11"}},
		{"outer", func(l, r lineTable) lineTable { return l.OuterJoin(r, outerPlus) },
			[]string{"k=a+none@5", "k=null@6", "k=none+x@4", "k=a+x@4", "k=a+y@9", "k=none+y@9", "k=none+y@9", "k=null@10", "k=b+none@11"}},
	} {
		for _, kept := range []bool{false, true} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				b := stream.NewBuilder()
				joined := test.join(b.Table(lines("left"), lineStore("left")), b.Table(lines("right"), lineStore("right")))
				if kept {
					joined = joined.Materialize(lineStore("joined"))
				}
				joined.ToStream().To(lines("out"))
				d := start(t, b)
				for _, s := range steps {
					feed(t, d, s.topic, s.record)
				}
				require.Equal(t, test.want, read(d, "out"))
				require.EqualValues(t, 1, d.Dropped(""), "the record without a key")
				if kept && test.name != "inner" {
					require.Equal(t, []string{"k=b+none@11"}, rows(t, d, lineStore("joined")))
				}
			})
		}
	}
}

func TestJoinTables_OfTwoViewsOfOneSourceGiveTwoUpdates(t *testing.T) {
	t.Parallel()
	out, _ := tabled(t, func(table lineTable) lineTable {
		return table.Join(table.MapValues(func(v string) string { return v + "!" }), plus)
	}, "k=a@1", "k=b@2", "k=null@3")
	require.Equal(t, []string{"k=a+a!@1", "k=a+a!@1", "k=b+b!@2", "k=b+b!@2"}, out, "the row is there when either view of it is sent")

	out, _ = tabled(t, func(table lineTable) lineTable { return table.Join(table, plus) }, "k=a@1", "k=b@2")
	require.Equal(t, []string{"k=a+a@1", "k=a+a@1", "k=b+b@2", "k=b+b@2"}, out)
}

func TestJoinTables_ReadUnmaterializedJoinsThroughBothSides(t *testing.T) {
	t.Parallel()
	for name, kept := range map[string]bool{"recomputed": false, "from the store": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			joined := b.Table(lines("left"), lineStore("left")).OuterJoin(b.Table(lines("right"), lineStore("right")), outerPlus)
			third := b.Table(lines("third"), lineStore("third")).LeftJoin(joined.Filter(hasA), leftPlus)
			if kept {
				joined.Materialize(lineStore("joined"))
			}
			third.ToStream().To(lines("out"))
			d := start(t, b)
			feed(t, d, "left", "k=a@5", "l=b@5")
			feed(t, d, "right", "k=x@7", "m=a@8")
			feed(t, d, "third", "k=1@1", "l=2@2", "m=3@3", "n=4@4")
			require.Equal(t, []string{"k=1+a+x@7", "l=2+none@2", "m=3+none+a@8", "n=4+none@4"}, read(d, "out"))
		})
	}
}

func TestJoinTables_DeleteForANilPointer(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	f := func(l, r string) *string {
		if l == r {
			return nil
		}
		return new(l + r)
	}
	b.Table(lines("left"), lineStore("left")).Join(b.Table(lines("right"), lineStore("right")), f).
		ToStream().MapValues(orNil).To(lines("out"))
	d := start(t, b)
	feed(t, d, "left", "k=a@1")
	feed(t, d, "right", "k=b@2", "k=a@3")
	require.Equal(t, []string{"k=ab@2", "k=nil@3"}, read(d, "out"))
}

func TestJoinTables_UndoWithTheRecord(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Send())
	f := func(l, r string) string {
		boom(r)
		return l + r
	}
	b.Table(lines("left"), lineStore("left")).Join(b.Table(lines("right"), lineStore("right")), f, stream.Named("fussy")).
		Materialize(lineStore("joined")).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "left", "k=a@1")
	feed(t, d, "right", "k=b@2", "k=panic@3")
	feed(t, d, "left", "k=c@4")
	require.Equal(t, []string{"k=ab@2", "k=cb@4"}, read(d, "out"))
	require.Equal(t, []string{"k=b@2"}, rows(t, d, lineStore("right")))
	letters := d.DeadLetters("right")
	require.Len(t, letters, 1)
	require.Equal(t, "fussy", letters[0].Node)
}

func TestJoinTables_NeedCopartitionedTopics(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Table(lines("left"), lineStore("left")).Join(b.Table(lines("right"), lineStore("right")), plus)
	top, err := b.Build()
	require.NoError(t, err)
	_, err = top.Plan("app", func(topic string) (int32, bool) { return int32(len(topic)), true })
	require.ErrorContains(t, err, "topics are not co-partitioned")
}

func TestBuild_RefusesJoinsOfTablesOfAnotherBuilder(t *testing.T) {
	t.Parallel()
	foreign := stream.NewBuilder().Table(lines("right"), lineStore("right"))
	for op, join := range map[string]func(l lineTable) lineTable{
		"join-tables":       func(l lineTable) lineTable { return l.Join(foreign, plus) },
		"left-join-tables":  func(l lineTable) lineTable { return l.LeftJoin(lineTable{}, leftPlus) },
		"outer-join-tables": func(l lineTable) lineTable { return l.OuterJoin(foreign, outerPlus) },
	} {
		b := stream.NewBuilder()
		join(b.Table(lines("left"), lineStore("left"))).Materialize(lineStore("joined")).ToStream().To(lines("out"))
		require.Contains(t, faults(t, b), op+": a handle is empty or belongs to another builder")
	}
	require.Equal(t, lineTable{}, lineTable{}.OuterJoin(foreign, outerPlus))
}

func TestJoinTables_SurviveACrash(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{false, true} {
		b := stream.NewBuilder()
		b.Table(lines("left"), lineStore("left")).OuterJoin(b.Table(lines("right"), lineStore("right")), outerPlus).
			Materialize(lineStore("joined")).ToStream().To(lines("out"))
		d := start(t, b, streamtest.ManualCommit())
		feed(t, d, "left", "k=a@1")
		d.Commit()
		feed(t, d, "right", "k=x@2")
		d.Crash()
		if lose {
			d.LoseDisk()
		}
		d.Restart()
		d.Commit()
		require.Equal(t, []string{"k=a+none@1", "k=a+x@2"}, read(d, "out"))
		require.Equal(t, []string{"k=a+x@2"}, rows(t, d, lineStore("joined")))
		require.Equal(t, []string{"k=a+none@1", "k=a+x@2"}, read(d, "test-joined-changelog"))
	}
}
