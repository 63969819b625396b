package stream_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
)

func hasA(_, v string) bool { return strings.Contains(v, "a") }

func tryHasA(_ context.Context, _, v string) (bool, error) {
	switch v {
	case "skip":
		return false, stream.ErrSkip
	case "rejected skip":
		return false, dlq.Reject("odd", stream.ErrSkip)
	case "bad":
		return false, errors.New("bad value")
	}
	return strings.Contains(v, "a"), nil
}

func TestFilter_KeepsWhatPasses(t *testing.T) {
	t.Parallel()
	runLines(t, []lineCase{
		{"Filter", func(s lineStream) lineStream { return s.Filter(hasA) },
			[]string{"k=ab@1", "k=b@2", "null=a@3", "=a@4"}, []string{"k=ab@1", "null=a@3", "=a@4"}, nil},
		{"FilterNot", func(s lineStream) lineStream { return s.FilterNot(hasA) },
			[]string{"k=ab@1", "k=b@2", "null=a@3", "null=b@3"}, []string{"k=b@2", "null=b@3"}, nil},
		{"TryFilter", func(s lineStream) lineStream { return s.TryFilter(tryHasA) },
			[]string{"k=a@1", "k=b@2", "k=skip@3"}, []string{"k=a@1"}, map[string]int64{"skipped": 1}},
		{"a tombstone passes uncalled", func(s lineStream) lineStream {
			return s.Filter(func(string, string) bool { panic("called") })
		}, []string{"k=null@1"}, []string{"k=null@1"}, nil},
	})
}

func TestFilter_ShowsTheKeysOfRecords(t *testing.T) {
	t.Parallel()
	out, _ := between(t, func(s lineStream) lineStream {
		return s.Filter(func(k, _ string) bool { return k == "" })
	}, "k=1@1", "=2@2", "null=3@3")
	require.Equal(t, []string{"=2@2", "null=3@3"}, out, "a missing key is the zero value")
}

func TestTryFilter_SendsRejectedRecordsToTheDeadLetterTopic(t *testing.T) {
	t.Parallel()
	out, d := between(t, func(s lineStream) lineStream {
		return s.TryFilter(tryHasA, stream.Named("only-a"))
	}, "k=a@1", "k=rejected skip@2", "k=aa@3")
	require.Equal(t, []string{"k=a@1", "k=aa@3"}, out)
	letters := d.DeadLetters("in")
	require.Len(t, letters, 1, "a Reject counts, whatever it wraps")
	require.Equal(t, "odd", letters[0].Reason)
	require.Equal(t, "only-a", letters[0].Node)
	require.Zero(t, d.Dropped(""))
}

func TestPeek_SeesEveryRecordAndPassesItOn(t *testing.T) {
	t.Parallel()
	var seen []string
	out, _ := between(t, func(s lineStream) lineStream {
		return s.Peek(func(k, v string) { seen = append(seen, k+v) }).
			TryPeek(func(ctx context.Context, _, v string) error {
				seen = append(seen, "try "+v+" "+stream.Metadata(ctx).Topic)
				return nil
			})
	}, "k=1@1", "k=null@2", "l=2@3")
	require.Equal(t, []string{"k=1@1", "k=null@2", "l=2@3"}, out)
	require.Equal(t, []string{"k1", "try 1 in", "l2", "try 2 in"}, seen)
}

func TestTryPeek_MayDropARecord(t *testing.T) {
	t.Parallel()
	out, d := between(t, func(s lineStream) lineStream {
		return s.TryPeek(func(_ context.Context, _, v string) error {
			if v == "2" {
				return stream.ErrSkip
			}
			return nil
		})
	}, "k=1@1", "k=2@2", "k=3@3")
	require.Equal(t, []string{"k=1@1", "k=3@3"}, out)
	require.EqualValues(t, 1, d.Dropped("skipped"))
}

func TestForEach_EndsTheStream(t *testing.T) {
	t.Parallel()
	var seen []string
	b := stream.NewBuilder()
	s := b.Stream(lines("in"))
	s.ForEach(func(k, v string) { seen = append(seen, k+v) })
	s.TryForEach(func(_ context.Context, k, v string) error {
		seen = append(seen, "try "+k+v)
		if v == "2" {
			return dlq.Reject("two", nil)
		}
		return nil
	})
	d := start(t, b)
	feed(t, d, "in", "k=1@1", "k=null@2", "k=2@3")
	require.Equal(t, []string{"k1", "try k1", "k2", "try k2"}, seen)
	require.Len(t, d.DeadLetters("in"), 1)
}

func TestSplit_CallsItsFunctionOncePerRecord(t *testing.T) {
	t.Parallel()
	calls := 0
	b := stream.NewBuilder()
	yes, no := b.Stream(lines("in")).Split(func(k, v string) bool { calls++; return hasA(k, v) })
	yes.To(lines("yes"))
	no.To(lines("no"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=b@2", "k=null@3", "null=a@4")
	require.Equal(t, []string{"k=a@1", "null=a@4"}, read(d, "yes"))
	require.Equal(t, []string{"k=b@2", "k=null@3"}, read(d, "no"), "a tombstone goes to no")
	require.Equal(t, 3, calls)
}

func TestBranch_SendsEachRecordToTheFirstThatMatches(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	has := func(sub string) func(string, string) bool {
		return func(_, v string) bool { return strings.Contains(v, sub) }
	}
	branches, rest := b.Stream(lines("in")).Branch(has("a"), has("b"), has("c"))
	require.Len(t, branches, 3)
	branches[2].To(lines("c"))
	branches[0].To(lines("a"))
	branches[0].To(lines("a-too"))
	rest.To(lines("rest"))
	d := start(t, b)
	feed(t, d, "in", "k=ab@1", "k=bc@2", "k=c@3", "k=d@4", "k=null@5")
	require.Equal(t, []string{"k=ab@1"}, read(d, "a"))
	require.Equal(t, []string{"k=ab@1"}, read(d, "a-too"))
	require.Equal(t, []string{"k=c@3"}, read(d, "c"), "bc went to a branch that nobody reads")
	require.Equal(t, []string{"k=d@4", "k=null@5"}, read(d, "rest"))
}

func TestBranch_WithoutPredicatesIsTheRest(t *testing.T) {
	t.Parallel()
	out, _ := between(t, func(s lineStream) lineStream {
		branches, rest := s.Branch()
		require.Empty(t, branches)
		return rest
	}, "k=1@1")
	require.Equal(t, []string{"k=1@1"}, out)
}
