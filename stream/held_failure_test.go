package stream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// A result that was held back fails for whatever record releases it. A policy that set that record aside would lose the next one too, and so on.
func TestHeldResults_FailTheTaskInsteadOfTheRecordThatReleasesThem(t *testing.T) {
	t.Parallel()
	failing := func(s lineStream) {
		s.TryMapValues(func(_ context.Context, _, v string) (string, error) {
			if v == "1" || v == "a+" {
				return "", errors.New("bad result")
			}
			return v, nil
		}).To(lines("out"))
	}
	tests := []struct {
		name     string
		build    func(b *stream.Builder)
		records  []string
		releases string
	}{
		{"a window that closes", func(b *stream.Builder) {
			failing(b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}, stream.OnClose).
				Count(windowStore("counts")).ToStream(windowLabel).MapValues(digits))
		}, []string{"k=a@1"}, "k=b@20"},
		{"a session that closes", func(b *stream.Builder) {
			failing(b.Stream(lines("in")).GroupByKey().SessionWindow(stream.Session{Gap: in(10)}, stream.OnClose).
				Count(sessionStore("counts")).ToStream(windowLabel).MapValues(digits))
		}, []string{"k=a@1"}, "k=b@40"},
		{"a suppressed row", func(b *stream.Builder) {
			failing(b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(windowStore("counts")).
				Suppress(state.Buffer("buffer", serde.String(), decimal()), stream.UntilWindowCloses{}).ToStream(windowLabel).MapValues(digits))
		}, []string{"k=a@1"}, "k=b@20"},
		{"a record without a partner", func(b *stream.Builder) {
			failing(b.Stream(lines("in")).LeftJoin(b.Stream(lines("other")), stream.Between{Before: in(5), After: in(5)},
				func(v string, o stream.Opt[string]) string { return v + "+" + o.Value },
				state.Join("join", serde.String(), serde.String(), serde.String())))
		}, []string{"k=a@1"}, "k=b@40"},
		{"a record that waits for the table", func(b *stream.Builder) {
			table := b.VersionedTable(lines("other"), state.Versioned("rows", serde.String(), serde.String(), time.Minute))
			failing(b.Stream(lines("in")).LeftJoinVersioned(table, func(v string, o stream.Opt[string]) string { return v + "+" + o.Value },
				stream.Grace(in(10), state.JoinBuffer("waiting", serde.String(), serde.String()))))
		}, []string{"k=a@1"}, "k=b@40"},
	}
	for _, tt := range tests {
		for policy, p := range map[string]dlq.Policy{"skip": dlq.Skip(), "send": dlq.Send()} {
			t.Run(tt.name+", "+policy, func(t *testing.T) {
				t.Parallel()
				b := stream.NewBuilder().OnError(p)
				tt.build(b)
				d := start(t, b)
				feed(t, d, "in", tt.records...)
				err := tryFeed(t, d, "in", tt.releases)
				require.ErrorContains(t, err, "bad result")
				require.ErrorContains(t, err, "has held back: no policy applies")
			})
		}
	}
}

// What the function itself drops is dropped.
func TestHeldResults_MayBeSkippedByTheFunctionThatRefusesThem(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}, stream.OnClose).Count(windowStore("counts")).ToStream(windowLabel).
		TryMapValues(func(_ context.Context, _ string, n int64) (int64, error) {
			if n == 1 {
				return 0, stream.ErrSkip
			}
			return n, nil
		}).To(numbers("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@20", "k=c@21", "k=d@40")
	require.Equal(t, []string{"k[20-30]=2@21"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("skipped"))
}

func digits(n int64) string { return string(rune('0' + n)) }
