package stream_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

type lineTable = stream.Table[string, string]

func lineStore(name string) state.KeyValueSpec[string, string] {
	return state.KeyValue(name, serde.String(), serde.String())
}

func numberStore(name string) state.KeyValueSpec[string, int64] {
	return state.KeyValue(name, serde.String(), decimal())
}

// tabled runs a stretch of tables between the topics "in" and "out".
func tabled(t *testing.T, program func(table lineTable) lineTable, records ...string) (out []string, d *streamtest.Driver) {
	t.Helper()
	b := stream.NewBuilder()
	program(b.Table(lines("in"), lineStore("in-table"))).ToStream().To(lines("out"))
	d = start(t, b)
	feed(t, d, "in", records...)
	return read(d, "out"), d
}

func TestTable_KeepsTheLastValueOfEachKey(t *testing.T) {
	t.Parallel()
	out, d := tabled(t, func(table lineTable) lineTable { return table }, "k=1@5", "k=2@3", "l=3@4", "k=null@6", "null=5@7", "n=null@8")
	require.Equal(t, []string{"k=1@5", "k=2@3", "l=3@4", "k=null@6", "n=null@8"}, out)
	require.Equal(t, []string{"l=3@4"}, rows(t, d, lineStore("in-table")))
	require.EqualValues(t, 1, d.Dropped("null-key"))
}

func TestTable_DeletesARowForANilPointer(t *testing.T) {
	t.Parallel()
	store := state.KeyValue[string, *string]("in-table", serde.String(), serde.Nullable(serde.String()))
	b := stream.NewBuilder()
	b.Table(optional("in"), store).ToStream().MapValues(orNil).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=1@1", "l=2@2", "k=null@3")
	require.Equal(t, []string{"k=1@1", "l=2@2", "k=nil@3"}, read(d, "out"))
	_, ok, err := streamtest.KeyValue(d, store, 0).Get("k")
	require.NoError(t, err)
	require.False(t, ok)
}

func TestTableFilter_DeletesRowsThatNoLongerPass(t *testing.T) {
	t.Parallel()
	in := []string{"k=a@1", "k=ab@2", "k=b@3", "k=b@4", "l=b@5", "l=null@6", "l=a@7", "l=null@8", "l=null@9"}
	want := []string{"k=a@1", "k=ab@2", "k=null@3", "l=a@7", "l=null@8"}
	kept := lineStore("kept")
	for name, program := range map[string]func(table lineTable) lineTable{
		"Filter":               func(table lineTable) lineTable { return table.Filter(hasA) },
		"FilterNot":            func(table lineTable) lineTable { return table.FilterNot(func(k, v string) bool { return !hasA(k, v) }) },
		"Filter, materialized": func(table lineTable) lineTable { return table.Filter(hasA).Materialize(kept) },
		"Filter, twice":        func(table lineTable) lineTable { return table.Filter(hasA).Filter(hasA) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, _ := tabled(t, program, in...)
			require.Equal(t, want, out)
		})
	}
}

func TestTableFilter_NeverSeesADeletedRow(t *testing.T) {
	t.Parallel()
	var seen []string
	tabled(t, func(table lineTable) lineTable {
		return table.Filter(func(_, v string) bool { seen = append(seen, v); return v != "" }).
			MapValues(func(v string) string { seen = append(seen, "map "+v); return v })
	}, "k=null@1", "k=null@2")
	require.Empty(t, seen)
}

func TestTableMapValues_GivesEachRowAValue(t *testing.T) {
	t.Parallel()
	in := []string{"k=a@1", "k=null@2", "k=null@3", "l=b@4"}
	out, _ := tabled(t, func(table lineTable) lineTable { return table.MapValues(strings.ToUpper) }, in...)
	require.Equal(t, []string{"k=A@1", "k=null@2", "k=null@3", "l=B@4"}, out)
	out, _ = tabled(t, func(table lineTable) lineTable {
		return table.MapValuesWithKey(func(k, v string) string { return k + v })
	}, in...)
	require.Equal(t, []string{"k=ka@1", "k=null@2", "k=null@3", "l=lb@4"}, out)
}

func TestTableMapValues_DeletesTheRowForANilPointer(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	var seen []string
	store := state.KeyValue[string, *string]("mapped", serde.String(), serde.Nullable(serde.String()))
	b.Table(lines("in"), lineStore("in-table")).
		MapValues(func(v string) *string {
			if v == "none" {
				return nil
			}
			return &v
		}).Materialize(store).
		Filter(func(_ string, v *string) bool { seen = append(seen, *v); return true }).
		ToStream().To(optional("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=none@2", "k=b@3", "l=none@4")
	require.Equal(t, []string{"k=a@1", "k=null@2", "k=b@3"}, read(d, "out"))
	n := 0
	for e, err := range streamtest.KeyValue(d, store, 0).All() {
		require.NoError(t, err)
		require.Equal(t, "k", e.Key)
		n++
	}
	require.Equal(t, 1, n)
	require.NotContains(t, seen, "none")
}

func TestMaterialize_KeepsTheRowsOfADerivedTable(t *testing.T) {
	t.Parallel()
	filtered, mapped := lineStore("filtered"), lineStore("mapped")
	out, d := tabled(t, func(table lineTable) lineTable {
		return table.Filter(hasA).Materialize(filtered).MapValues(strings.ToUpper).Materialize(mapped)
	}, "k=a@1", "l=b@2", "m=ca@3", "k=b@4", "l=a@1")
	require.Equal(t, []string{"k=A@1", "m=CA@3", "k=null@4", "l=A@1"}, out)
	require.Equal(t, []string{"l=a@1", "m=ca@3"}, rows(t, d, filtered))
	require.Equal(t, []string{"l=A@1", "m=CA@3"}, rows(t, d, mapped))
	require.Contains(t, d.Topics(), "test-filtered-changelog")
}

func TestMaterialize_MayFollowTheTablesUse(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	derived := b.Table(lines("table"), lineStore("table")).MapValues(strings.ToUpper)
	b.Stream(lines("in")).JoinTable(derived, func(v, row string) string { return v + row }).To(lines("out"))
	derived.Materialize(lineStore("upper"))
	d := start(t, b)
	feed(t, d, "table", "k=a@1")
	feed(t, d, "in", "k=1@2")
	require.Equal(t, []string{"k=1A@2"}, read(d, "out"))
	require.Equal(t, []string{"k=A@1"}, rows(t, d, lineStore("upper")))
}

func TestTable_KeepsHeaders(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("in-table")).Filter(hasA).MapValues(strings.ToUpper).ToStream().To(lines("out"))
	d := start(t, b)
	headers := []stream.Header{{Key: "trace", Value: []byte("1")}}
	d.SendRaw("in", []byte("k"), []byte("a"), at(7), headers...)
	raws := d.ReadRaw("out")
	require.Len(t, raws, 1)
	require.Equal(t, headers, raws[0].Headers)
}
