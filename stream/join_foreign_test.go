package stream_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// Rows of the left table are written f:v, of foreign key f, or v, which names none.

func foreignKey(v string) (string, bool) {
	f, _, ok := strings.Cut(v, ":")
	return f, ok
}

func foreign(name string) stream.ForeignJoin[string, string, string, string] {
	return stream.NewForeignJoin(name, serde.String(), serde.String(), serde.String(), serde.String())
}

// joinedByForeignKey joins the topics "left" and "right" into "out"; the result is in the store "result".
func joinedByForeignKey(t *testing.T, left bool, opts ...streamtest.Option) *streamtest.Driver {
	t.Helper()
	b := stream.NewBuilder()
	l, r := b.Table(lines("left"), lineStore("left")), b.Table(lines("right"), lineStore("right"))
	foreignJoin(l, r, left, foreign("join")).Materialize(lineStore("result")).ToStream().To(lines("out"))
	return start(t, b, opts...)
}

func foreignJoin(l, r lineTable, left bool, via stream.ForeignJoin[string, string, string, string]) lineTable {
	if left {
		return l.LeftJoinForeign(r, foreignKey, leftPlus, via)
	}
	return l.JoinForeign(r, foreignKey, plus, via)
}

func TestJoinForeign_FollowsTheLeftTable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		before      string // the left row
		after       string // its update; the right table has the row a, of time 5
		inner, left []string
		dropped     int64 // by the inner join, without a foreign key
	}{
		{"insert", "", "k=a:1@2", []string{"k=a:1+A@5"}, []string{"k=a:1+A@5"}, 0},
		{"insert, later than the other row", "", "k=a:1@9", []string{"k=a:1+A@9"}, []string{"k=a:1+A@9"}, 0},
		{"insert without a partner", "", "k=b:1@2", nil, []string{"k=b:1+none@2"}, 0},
		{"insert without a key", "", "k=1@2", nil, []string{"k=1+none@2"}, 1},
		{"update, the same key", "k=a:1@1", "k=a:2@2", []string{"k=a:2+A@5"}, []string{"k=a:2+A@5"}, 0},
		{"update, the same row", "k=a:1@1", "k=a:1@6", []string{"k=a:1+A@6"}, []string{"k=a:1+A@6"}, 0},
		{"update, the same key without a partner", "k=b:1@1", "k=b:2@2", nil, []string{"k=b:2+none@2"}, 0},
		{"update to another key", "k=b:1@1", "k=a:2@2", []string{"k=a:2+A@5"}, []string{"k=a:2+A@5"}, 0},
		{"update to one without a partner", "k=a:1@1", "k=b:2@2", []string{"k=null@2"}, []string{"k=b:2+none@2"}, 0},
		{"update from and to one without a partner", "k=b:1@1", "k=c:2@2", []string{"k=null@2"}, []string{"k=c:2+none@2"}, 0},
		{"update from no key", "k=1@1", "k=a:2@2", []string{"k=a:2+A@5"}, []string{"k=a:2+A@5"}, 1},
		{"update from no key without a partner", "k=1@1", "k=b:2@2", nil, []string{"k=b:2+none@2"}, 1},
		{"update to no key", "k=a:1@1", "k=2@2", []string{"k=null@5"}, []string{"k=2+none@2"}, 1},
		{"update from and to no key", "k=1@1", "k=2@2", nil, []string{"k=2+none@2"}, 2},
		{"delete", "k=a:1@1", "k=null@2", []string{"k=null@5"}, []string{"k=null@2"}, 0},
		{"delete without a partner", "k=b:1@1", "k=null@2", []string{"k=null@2"}, []string{"k=null@2"}, 0},
		{"delete without a key", "k=1@1", "k=null@2", nil, []string{"k=null@2"}, 1},
		{"delete of no row", "", "k=null@2", nil, nil, 0},
	}
	for _, test := range tests {
		for _, left := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, left is %v", test.name, left), func(t *testing.T) {
				t.Parallel()
				want, dropped := test.inner, test.dropped
				if left {
					want, dropped = test.left, 0
				}
				d := joinedByForeignKey(t, left)
				feed(t, d, "right", "a=A@5")
				if test.before != "" {
					feed(t, d, "left", test.before)
				}
				read(d, "out")
				feed(t, d, "left", test.after)
				require.ElementsMatch(t, want, read(d, "out"))
				require.Equal(t, dropped, d.Dropped("no-foreign-key"))
				require.Equal(t, dropped, d.Dropped(""), "dropped for other reasons")
				subscribers := 0
				if f, ok := foreignKey(test.after[2:]); ok {
					subscribers++
					feed(t, d, "right", f+"=new@7")
					require.Len(t, read(d, "out"), 1, "the row is told of its partner")
				}
				for f := range strings.SplitSeq("abc", "") {
					feed(t, d, "right", f+"=last@8")
				}
				require.Len(t, read(d, "out"), subscribers, "there is one subscription at most")
			})
		}
	}
}

func TestJoinForeign_FollowsTheOtherTable(t *testing.T) {
	t.Parallel()
	for _, left := range []bool{false, true} {
		d := joinedByForeignKey(t, left)
		feed(t, d, "left", "m=a:1@1", "k=a:2@9", "kk=a:3@1", "l=ab:4@1", "n=:5@1")
		read(d, "out")
		feed(t, d, "right", "a=A@5")
		require.Equal(t, []string{"k=a:2+A@5", "kk=a:3+A@5", "m=a:1+A@5"}, read(d, "out"), "in the order of the keys, at the time of the update")
		feed(t, d, "right", "a=A@6")
		require.Len(t, read(d, "out"), 3, "updates that change nothing are told too")
		feed(t, d, "right", "=E@7", "ab=AB@7")
		require.Equal(t, []string{"n=:5+E@7", "l=ab:4+AB@7"}, read(d, "out"), "an empty key is a key")
		feed(t, d, "right", "a=null@8", "c=null@9")
		want := []string{"k=null@8", "kk=null@8", "m=null@8"}
		if left {
			want = []string{"k=a:2+none@8", "kk=a:3+none@8", "m=a:1+none@8"}
		}
		require.Equal(t, want, read(d, "out"))
		require.Zero(t, d.Dropped(""))
	}
}

func TestJoinForeign_TakesNilForNoRowAndNoKey(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	texts := serde.Nullable(serde.String())
	l := b.Table(lines("left"), lineStore("left"))
	r := b.Table(stream.NewTopic("right", texts, serde.String()), state.KeyValue("right", texts, serde.String()))
	via := stream.NewForeignJoin("join", serde.String(), serde.String(), texts, serde.String())
	l.JoinForeignWithKey(r, func(k, v string) (*string, bool) {
		if v == "none" {
			return nil, true
		}
		return &k, true
	}, func(_, v string) *string {
		if v == "nil" {
			return nil
		}
		return &v
	}, via).Materialize(state.KeyValue("result", serde.String(), texts)).ToStream().To(optional("out"))
	d := start(t, b)
	feed(t, d, "right", "a=A@1", "b=B@1")
	feed(t, d, "left", "a=1@2", "b=none@3")
	feed(t, d, "right", "a=nil@4")
	require.Equal(t, []string{"a=A@2", "a=null@4"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("no-foreign-key"))
}

func TestJoinForeign_WithoutAStoreSendsDeletesOfRowsThatWereNotThere(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	l, r := b.Table(lines("left"), lineStore("left")), b.Table(lines("right"), lineStore("right"))
	l.JoinForeign(r, foreignKey, plus, foreign("join").InMemory()).ToStream().To(lines("out"))
	l.LeftJoinForeignWithKey(r, func(_, v string) (string, bool) { return foreignKey(v) }, leftPlus, foreign("left-join"), stream.Named("named")).
		ToStream().To(lines("left-out"))
	d := start(t, b)
	feed(t, d, "left", "k=a:1@1", "k=a:2@2")
	feed(t, d, "right", "a=A@3")
	require.Equal(t, []string{"k=null@1", "k=null@2", "k=a:2+A@3"}, read(d, "out"))
	require.Equal(t, []string{"k=a:1+none@1", "k=a:2+none@2", "k=a:2+A@3"}, read(d, "left-out"))
}

func TestJoinForeign_JoinsATableWithItself(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	l := b.Table(lines("left"), lineStore("left"))
	l.LeftJoinForeign(l, foreignKey, leftPlus, foreign("join")).Materialize(lineStore("result")).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "left", "k=l:1@1", "l=k:2@2", "m=m:3@3")
	require.Equal(t, map[string]string{"k": "l:1+k:2", "l": "k:2+l:1", "m": "m:3+m:3"}, tableOf(d, "out"))
	feed(t, d, "left", "l=null@4")
	require.ElementsMatch(t, []string{"k=l:1+none@4", "l=null@4"}, read(d, "out"))
}

func TestJoinForeign_ReadsDerivedTablesAndMakesChains(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	l := b.Table(lines("left"), lineStore("left")).Filter(func(_, v string) bool { return !strings.HasSuffix(v, "x") })
	r := b.Table(lines("right"), lineStore("right")).MapValues(strings.ToUpper)
	last := b.Table(lines("last"), lineStore("last"))
	first := l.JoinForeign(r, foreignKey, func(v, row string) string { return row + ":" + v }, foreign("first")).Materialize(lineStore("first-result"))
	first.JoinForeign(last, foreignKey, plus, foreign("second")).Materialize(lineStore("second-result")).ToStream().To(lines("out"))
	b.Stream(lines("in")).LeftJoinTable(first, leftPlus).To(lines("looked-up"))
	d := start(t, b)
	feed(t, d, "left", "k=a:1@1", "l=a:x@2")
	feed(t, d, "right", "a=b@3")
	feed(t, d, "last", "B=end@4", "C=END@4")
	require.Equal(t, []string{"k=B:a:1+end@4"}, read(d, "out"))
	feed(t, d, "right", "a=c@5")
	require.Equal(t, []string{"k=C:a:1+END@5"}, read(d, "out"))
	feed(t, d, "in", "k=1@6", "l=2@6")
	require.Equal(t, []string{"k=1+C:a:1@6", "l=2+none@6"}, read(d, "looked-up"))
	feed(t, d, "left", "k=a:x@7")
	require.Equal(t, []string{"k=null@7"}, read(d, "out"))
}

func TestJoinForeign_KeepsHeaders(t *testing.T) {
	t.Parallel()
	d := joinedByForeignKey(t, false)
	header := func(v string) stream.Header { return stream.Header{Key: "from", Value: []byte(v)} }
	streamtest.Input(d, lines("left")).Send("k", "a:1", at(1), header("left"))
	streamtest.Input(d, lines("right")).Send("a", "A", at(1), header("right"))
	streamtest.Input(d, lines("left")).Send("k", "a:2", at(1), header("left"))
	var got []string
	for _, r := range d.ReadRaw("out") {
		require.Len(t, r.Headers, 1)
		got = append(got, string(r.Headers[0].Value))
	}
	require.Equal(t, []string{"right", "left"}, got)
}

func TestJoinForeign_UndoesAFailedRecord(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Skip())
	l, r := b.Table(lines("left"), lineStore("left")), b.Table(lines("right"), lineStore("right"))
	fk := func(v string) (string, bool) { boom(v); return foreignKey(v) }
	f := func(v, row string) string { boom(row); return plus(v, row) }
	l.JoinForeign(r, fk, f, foreign("join")).Materialize(lineStore("result")).ToStream().To(lines("out"))
	d := start(t, b)
	feed(t, d, "right", "a=A@1")
	feed(t, d, "left", "k=a:1@1", "k=panic@2", "l=a:2@3")
	require.Equal(t, []string{"k=a:1+A@1", "l=a:2+A@3"}, read(d, "out"))
	require.Equal(t, []string{"k=a:1@1", "l=a:2@3"}, rows(t, d, lineStore("left")))
	feed(t, d, "right", "a=panic@4")
	require.Empty(t, read(d, "out"))
	require.Equal(t, []string{"k=a:1+A@1", "l=a:2+A@3"}, rows(t, d, lineStore("result")))
	require.EqualValues(t, 3, d.Dropped("failed"), "a row, and two of its results")
}

func TestJoinForeign_SendsToThePartitionsOfTheRows(t *testing.T) {
	t.Parallel()
	byLength := stream.PartitionBy(func(k, _ string, n int32) int32 { return int32(len(k)) % n })
	b := stream.NewBuilder()
	l := b.Stream(lines("left")).Repartition(through("left-by-length").Partitions(3), byLength).ToTable(lineStore("left"))
	r := b.Stream(lines("right")).Repartition(through("right-by-length").Partitions(4), byLength).ToTable(lineStore("right"))
	via := foreign("join").PartitionBy(func(k string, n int32) int32 { return int32(len(k)) % n })
	l.LeftJoinForeign(r, foreignKey, leftPlus, via).Materialize(lineStore("result")).ToStream().To(lines("out"), byLength)
	d := start(t, b, streamtest.Partitions("left", 3), streamtest.Partitions("right", 2), streamtest.Partitions("out", 3))
	want := map[string]string{}
	for i := range 12 {
		k, f := strings.Repeat("k", i), strings.Repeat("f", i)
		feed(t, d, "left", fmt.Sprintf("%s=%s:%d@1", k, f, i), fmt.Sprintf("none%s=%d@1", k, i))
		feed(t, d, "right", fmt.Sprintf("%s=%d@1", f, i))
		want[k], want["none"+k] = fmt.Sprintf("%s:%d+%d", f, i, i), fmt.Sprintf("%d+none", i)
	}
	require.Equal(t, want, tableOf(d, "out"))
	for p := range int32(3) {
		for e, err := range streamtest.KeyValue(d, lineStore("result"), p).All() {
			require.NoError(t, err)
			require.EqualValues(t, p, len(e.Key)%3, "the result of %q is where the row is", e.Key)
		}
	}
}

func TestJoinForeign_DropsRepliesToEarlierRows(t *testing.T) {
	t.Parallel()
	for _, left := range []bool{false, true} {
		d := joinedByForeignKey(t, left, streamtest.ManualCommit())
		feed(t, d, "right", "a=A@1", "b=B@1")
		settle(d)
		feed(t, d, "left", "k=a:1@2", "k=b:2@3", "k=a:3@4")
		settle(d)
		require.Equal(t, []string{"k=a:3+A@4"}, read(d, "out"))
		require.EqualValues(t, 2, d.Dropped("stale"))
	}
}

// What ends a result must not be lost where the row has changed once more meanwhile.
func TestJoinForeign_EndsResultsOfRowsThatChangeQuickly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		right, left []string // in one go, when the result is there
	}{
		{"deleted, and without a partner", nil, []string{"k=null@2", "k=b:2@3"}},
		{"deleted, and without a key", nil, []string{"k=null@2", "k=2@3"}},
		{"without a key twice", nil, []string{"k=2@2", "k=3@3"}},
		{"without a key, and deleted", nil, []string{"k=2@2", "k=null@3"}},
		{"without a key, and without a partner", nil, []string{"k=2@2", "k=b:3@3"}},
		{"changed while the partner goes", []string{"a=null@2"}, []string{"k=a:2@3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := joinedByForeignKey(t, false, streamtest.ManualCommit())
			feed(t, d, "right", "a=A@1")
			feed(t, d, "left", "k=a:1@1")
			settle(d)
			require.Equal(t, []string{"k=a:1+A@1"}, read(d, "out"))
			feed(t, d, "right", test.right...)
			feed(t, d, "left", test.left...)
			settle(d)
			require.Empty(t, tableOf(d, "out"))
			require.Empty(t, rows(t, d, lineStore("result")))
		})
	}
}

// settle commits until nothing is left to do.
func settle(d *streamtest.Driver) {
	for range 8 {
		d.Commit()
	}
}

func tableOf(d *streamtest.Driver, topic string) map[string]string {
	return streamtest.Table(streamtest.Output(d, lines(topic)))
}
