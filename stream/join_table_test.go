package stream_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// joinedWith runs a join of the topics "in" and "table" into "out".
func joinedWith(t *testing.T, join func(s lineStream, table lineTable) lineStream, opts ...streamtest.Option) *streamtest.Driver {
	t.Helper()
	b := stream.NewBuilder()
	join(b.Stream(lines("in")), b.Table(lines("table"), lineStore("table"))).To(lines("out"))
	return start(t, b, opts...)
}

func plus(v, row string) string { return v + "+" + row }

func leftPlus(v string, row stream.Opt[string]) string {
	if !row.OK {
		return v + "+none" + row.Value
	}
	return v + "+" + row.Value
}

func TestJoinTable_LooksTheKeyUpAsTheTableIsNow(t *testing.T) {
	t.Parallel()
	d := joinedWith(t, func(s lineStream, table lineTable) lineStream { return s.JoinTable(table, plus) })
	feed(t, d, "in", "k=1@1")
	feed(t, d, "table", "k=a@100", "l=b@1")
	feed(t, d, "in", "k=2@2", "l=3@3", "m=4@4", "null=5@5", "k=null@6")
	feed(t, d, "table", "k=null@101")
	feed(t, d, "in", "k=6@7")
	require.Equal(t, []string{"k=2+a@2", "l=3+b@3"}, read(d, "out"), "the time is the record's")
	require.EqualValues(t, 1, d.Dropped("null-key"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
	require.EqualValues(t, 2, d.Dropped(""), "records without a row are no drops")
}

func TestLeftJoinTable_KeepsRecordsWithoutARow(t *testing.T) {
	t.Parallel()
	d := joinedWith(t, func(s lineStream, table lineTable) lineStream { return s.LeftJoinTable(table, leftPlus) })
	feed(t, d, "table", "k=a@1", "=empty@1")
	feed(t, d, "in", "k=1@2", "l=2@3", "null=3@4", "k=null@5", "=4@6")
	require.Equal(t, []string{"k=1+a@2", "l=2+none@3", "null=3+none@4", "=4+empty@6"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
	require.EqualValues(t, 1, d.Dropped(""))
}

func TestTryJoinTable_MayDropOrRejectARecord(t *testing.T) {
	t.Parallel()
	d := joinedWith(t, func(s lineStream, table lineTable) lineStream {
		return s.TryJoinTable(table, func(_ context.Context, k, v, row string) (string, error) {
			switch v {
			case "skip":
				return "", stream.ErrSkip
			case "reject":
				return "", dlq.Reject("no-good", nil)
			}
			return k + v + row, nil
		})
	})
	feed(t, d, "table", "k=a@1")
	feed(t, d, "in", "k=1@2", "k=skip@3", "k=reject@4", "l=reject@5")
	require.Equal(t, []string{"k=k1a@2"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("skipped"))
	require.Len(t, d.DeadLetters("in"), 1, "without a row the function is not called")
}

func TestJoinTable_ReadsDerivedTablesThroughTheirParents(t *testing.T) {
	t.Parallel()
	d := joinedWith(t, func(s lineStream, table lineTable) lineStream {
		derived := table.Filter(hasA).MapValuesWithKey(func(k, v string) string { return k + strings.ToUpper(v) })
		return s.JoinTable(derived, plus)
	})
	feed(t, d, "table", "k=a@1", "l=b@1")
	feed(t, d, "in", "k=1@2", "l=2@3")
	feed(t, d, "table", "k=b@4", "l=ab@5")
	feed(t, d, "in", "k=3@6", "l=4@7")
	require.Equal(t, []string{"k=1+kA@2", "l=4+lAB@7"}, read(d, "out"))
	require.Equal(t, []string{"test-table-changelog"}, changelogs(d), "a derived table needs no store")
}

func changelogs(d *streamtest.Driver) []string {
	var out []string
	for _, topic := range d.Topics() {
		if strings.HasSuffix(topic, "-changelog") {
			out = append(out, topic)
		}
	}
	return out
}

func TestJoinTable_JoinsAnAggregate(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	counts := b.Stream(lines("events")).GroupByKey().Count(numberStore("counts"))
	b.Stream(lines("in")).JoinTable(counts, func(v string, n int64) int64 { return n + int64(len(v)) }).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "events", "k=x@1", "k=y@2")
	feed(t, d, "in", "k=1@3", "l=1@4")
	require.Equal(t, []string{"k=3@3"}, read(d, "out"))
}

func TestJoinTable_FindsTheRowInItsOwnPartition(t *testing.T) {
	t.Parallel()
	d := joinedWith(t, func(s lineStream, table lineTable) lineStream {
		return s.SelectKey(func(_, v string) string { return v }).Repartition(through("by-value")).JoinTable(table, plus)
	}, streamtest.Partitions("in", 2), streamtest.Partitions("table", 5))
	for _, k := range strings.Split("abcdefgh", "") {
		feed(t, d, "table", k+"=row-"+k+"@1")
	}
	for _, k := range strings.Split("hgfedcba", "") {
		feed(t, d, "in", "any-"+k+"="+k+"@2")
	}
	got := streamtest.Table(streamtest.Output(d, lines("out")))
	require.Len(t, got, 8)
	for k, v := range got {
		require.Equal(t, k+"+row-"+k, v)
	}
}

func TestJoinTable_MakesANullOfANilPointer(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.Table(optional("table"), state.KeyValue[string, *string]("table", serde.String(), serde.Nullable(serde.String())))
	b.Stream(optional("in")).
		LeftJoinTable(table, func(v *string, row stream.Opt[*string]) *string { return row.Value }).
		To(optional("out"))
	d := start(t, b)
	feed(t, d, "table", "k=a@1")
	feed(t, d, "in", "k=1@2", "l=2@3", "k=null@4")
	require.Equal(t, []string{"k=a@2", "l=null@3"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("null-value"), "a stream's null is dropped, though the type has nulls")
}

func TestJoinTable_ToAStreamOfTheSameTopicSeesItsOwnRow(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.Table(lines("in"), lineStore("table"))
	b.Stream(lines("in")).JoinTable(table, plus).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2")
	require.Equal(t, []string{"k=a+a@1", "k=b+b@2"}, read(d, "out"), "the table was declared first")
}
