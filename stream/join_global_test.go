package stream_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// globallyJoined runs a join of the topics "in" and "rates" into "out".
func globallyJoined(t *testing.T, join func(s lineStream, table lineGlobal) lineStream, opts ...streamtest.Option) *streamtest.Driver {
	t.Helper()
	b := stream.NewBuilder()
	join(b.Stream(lines("in")), b.GlobalTable(lines("rates"), lineStore("rates"))).To(lines("out"))
	return start(t, b, opts...)
}

func TestJoinGlobal_LooksAnyKeyUpAsTheTableIsNow(t *testing.T) {
	t.Parallel()
	d := globallyJoined(t, func(s lineStream, table lineGlobal) lineStream { return s.JoinGlobal(table, valueOf, plus) },
		streamtest.Partitions("rates", 3))
	feed(t, d, "in", "x=k@1")
	feed(t, d, "rates", "k=a@100", "l=b@1")
	feed(t, d, "in", "x=k@2", "y=l@3", "z=m@4", "null=k@5", "x=null@6")
	feed(t, d, "rates", "k=null@101")
	feed(t, d, "in", "x=k@7")
	require.Equal(t, []string{"x=k+a@2", "y=l+b@3", "null=k+a@5"}, read(d, "out"), "the key and the time are the record's")
	require.EqualValues(t, 1, d.Dropped("null-value"))
	require.EqualValues(t, 1, d.Dropped(""), "records without a row are no drops")
}

func TestLeftJoinGlobal_KeepsRecordsWithoutARow(t *testing.T) {
	t.Parallel()
	d := globallyJoined(t, func(s lineStream, table lineGlobal) lineStream { return s.LeftJoinGlobal(table, valueOf, leftPlus) })
	feed(t, d, "rates", "k=a@1", "=empty@1")
	feed(t, d, "in", "x=k@2", "y=l@3", "null=k@4", "null=l@5", "x=null@6", "x=@7")
	require.Equal(t, []string{"x=k+a@2", "y=l+none@3", "null=k+a@4", "null=l+none@5", "x=+empty@7"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
	require.EqualValues(t, 1, d.Dropped(""))
}

func TestTryJoinGlobal_MayDropOrRejectARecord(t *testing.T) {
	t.Parallel()
	d := globallyJoined(t, func(s lineStream, table lineGlobal) lineStream {
		return s.TryJoinGlobal(table, keyOf, func(_ context.Context, k, v, row string) (string, error) {
			switch v {
			case "skip":
				return "", stream.ErrSkip
			case "reject":
				return "", dlq.Reject("no-good", nil)
			}
			return k + v + row, nil
		})
	})
	feed(t, d, "rates", "k=a@1")
	feed(t, d, "in", "k=1@2", "k=skip@3", "k=reject@4", "l=reject@5")
	require.Equal(t, []string{"k=k1a@2"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("skipped"))
	require.Len(t, d.DeadLetters("in"), 1, "without a row the function is not called")
}

// pointer is a key that a function may not have.
func pointer(_, v string) *string {
	if v == "none" {
		return nil
	}
	return &v
}

func TestJoinGlobal_TakesANilKeyForNone(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	maybe := serde.Nullable(serde.String())
	table := b.GlobalTable(stream.NewTopic("rates", maybe, serde.String()), state.KeyValue("rates", maybe, serde.String()))
	s := b.Stream(lines("in"))
	s.JoinGlobal(table, pointer, plus).To(lines("inner"))
	s.LeftJoinGlobal(table, pointer, leftPlus).To(lines("left"))
	d := start(t, b)
	feed(t, d, "rates", "k=a@1", "null=b@2")
	feed(t, d, "in", "x=k@1", "x=none@2")
	require.Equal(t, []string{"x=k+a@1"}, read(d, "inner"))
	require.Equal(t, []string{"x=k+a@1", "x=none+none@2"}, read(d, "left"))
	require.EqualValues(t, 2, d.Dropped("null-key"), "of the table and of the inner join")
}

func TestJoinGlobal_NeedsNoRepartitionAndMakesNone(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.GlobalTable(lines("rates"), lineStore("rates"))
	rekeyed := b.Stream(lines("in")).SelectKey(valueOf).JoinGlobal(table, keyOf, plus)
	rekeyed.To(lines("out"))
	_, err := b.Build()
	require.NoError(t, err)

	b = stream.NewBuilder()
	table = b.GlobalTable(lines("rates"), lineStore("rates"))
	b.Stream(lines("in")).SelectKey(valueOf).JoinGlobal(table, keyOf, plus).GroupByKey()
	_, err = b.Build()
	require.ErrorContains(t, err, "needs the stream partitioned by its key, which the select-key", "the join keeps that the key was changed")
}

// A left join behind a repartition has a use for records without a key, an inner one has none.
func TestLeftJoinGlobal_KeepsNullKeysAlive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		join func(s lineStream, table lineGlobal) lineStream
		want []string
	}{
		"left":  {func(s lineStream, table lineGlobal) lineStream { return s.LeftJoinGlobal(table, valueOf, leftPlus) }, []string{"null=k+a@1"}},
		"inner": {func(s lineStream, table lineGlobal) lineStream { return s.JoinGlobal(table, valueOf, plus) }, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := globallyJoined(t, func(s lineStream, table lineGlobal) lineStream { return c.join(s.Repartition(through("again")), table) })
			feed(t, d, "rates", "k=a@1")
			feed(t, d, "in", "null=k@1")
			require.Equal(t, c.want, read(d, "out"))
		})
	}
}

func TestJoinGlobal_PanicsMeetThePolicy(t *testing.T) {
	t.Parallel()
	d := globallyJoined(t, func(s lineStream, table lineGlobal) lineStream {
		return s.JoinGlobal(table, func(_, v string) string {
			if v == "bad" {
				panic("no key")
			}
			return v
		}, plus, stream.OnError(dlq.Send()), stream.Named("rate"))
	})
	feed(t, d, "in", "x=bad@1")
	letters := d.DeadLetters("in")
	require.Len(t, letters, 1)
	require.Equal(t, "rate", letters[0].Node)
}
