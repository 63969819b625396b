package stream_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

func TestSourceIsChangelog_RestoresFromTheSourceUpToWhereTheTaskGoesOn(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.Table(lines("table"), lineStore("rows"), stream.SourceIsChangelog())
	b.Stream(lines("in")).LeftJoinTable(table, func(v string, row stream.Opt[string]) string { return v + "+" + row.Value }).To(lines("out"))
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "table", "k=a@1", "l=b@2", "null=c@3", "m=d@4", "l=null@5")
	d.Commit()
	require.NotContains(t, d.Topics(), "test-rows-changelog")
	feed(t, d, "table", "k=late@6")
	d.Crash()
	d.LoseDisk()
	d.Restart()
	require.Equal(t, []string{"k=late@6", "m=d@4"}, rows(t, d, lineStore("rows")), "restored, and the tail read again")
	feed(t, d, "in", "k=x@7", "l=y@8")
	d.Commit()
	require.Equal(t, []string{"k=x+late@7", "l=y+@8"}, read(d, "out"))
	d.Crash()
	d.Restart()
	require.Equal(t, []string{"k=late@6", "m=d@4"}, rows(t, d, lineStore("rows")), "continued from the disk")
}

// A store that is declared by a reader first is the table's all the same.
func TestSourceIsChangelog_IsReadByProcessorsThatComeFirst(t *testing.T) {
	t.Parallel()
	store := lineStore("rows")
	b := stream.NewBuilder()
	b.Stream(lines("in")).ProcessValues(func(n *stream.ValueNode[string, string]) (func(context.Context, lineRecord) error, error) {
		st := store.Open(n)
		return func(_ context.Context, r lineRecord) error {
			v, _, err := st.Get(r.Key)
			if err != nil {
				return err
			}
			return n.Forward(r.Value + "+" + v)
		}, nil
	}, stream.Stores(store)).To(lines("out"))
	b.Table(lines("table"), store, stream.SourceIsChangelog())
	d := start(t, b)
	feed(t, d, "table", "k=a@1")
	feed(t, d, "in", "k=x@2")
	require.Equal(t, []string{"k=x+a@2"}, read(d, "out"))
	require.NotContains(t, d.Topics(), "test-rows-changelog")
}

func TestSourceIsChangelog_IsRefusedWhereTheStoreMayLackARecord(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, want string
		build      func(b *stream.Builder)
	}{
		{"records that cannot be decoded pass", "a policy lets records pass that cannot be decoded", func(b *stream.Builder) {
			b.OnError(dlq.Retry(3, dlq.Constant(time.Second)).Then(dlq.Send()))
			b.Table(lines("table"), lineStore("rows"), stream.SourceIsChangelog())
		}},
		{"records that fail further down pass", "may set a record aside", func(b *stream.Builder) {
			b.Table(lines("table"), lineStore("rows"), stream.SourceIsChangelog()).ToStream().Peek(func(string, string) {}, stream.OnError(dlq.Skip()))
		}},
		{"a function may reject", "may set a record aside", func(b *stream.Builder) {
			b.Table(lines("table"), lineStore("rows"), stream.SourceIsChangelog()).ToStream().
				TryPeek(func(context.Context, string, string) error { return nil })
		}},
		{"rows have other times", "TimestampFrom", func(b *stream.Builder) {
			b.Table(lines("table"), lineStore("rows"), stream.SourceIsChangelog(),
				stream.TimestampFrom(func(string, string) time.Time { return at(1) }))
		}},
		{"the oldest are left out", "does not begin with its oldest record", func(b *stream.Builder) {
			b.Table(lines("table"), lineStore("rows"), stream.SourceIsChangelog(), stream.StartFrom(stream.Latest))
		}},
		{"no changelog is wanted", "declared WithoutChangelog", func(b *stream.Builder) {
			b.Table(lines("table"), lineStore("rows").WithoutChangelog(), stream.SourceIsChangelog())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			tt.build(b)
			_, err := b.Build()
			require.ErrorContains(t, err, tt.want)
		})
	}
}
