package stream_test

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
)

// verdict is what the functions of these programs think of a value.
func verdict(v string) error {
	switch v {
	case "bad":
		return errBad
	case "skip":
		return stream.ErrSkip
	case "reject":
		return dlq.Reject("refused", errBad)
	}
	return nil
}

// tried is the program of a stretch whose failures become dead letters.
func tried(stretch lineProgram) scriptProgram {
	return func(b *stream.Builder) views {
		b.OnError(dlq.Send())
		stretch(b.Stream(lines("in"))).To(lines("out"))
		return nil
	}
}

var tryPrograms = map[string]scriptProgram{
	"try-map": tried(func(s lineStream) lineStream {
		return s.TryMap(func(_ context.Context, k, v string) (string, string, error) { return v, k, verdict(v) })
	}),
	"try-peek": tried(func(s lineStream) lineStream {
		return s.TryPeek(func(_ context.Context, _, v string) error { return verdict(v) })
	}),
	"try-for-each": func(b *stream.Builder) views {
		var calls []string
		b.OnError(dlq.Send()).Stream(lines("in")).TryForEach(func(_ context.Context, k, v string) error {
			calls = append(calls, k+"="+v)
			return verdict(v)
		})
		return callLog(&calls)
	},
	"try-flat-map": tried(func(s lineStream) lineStream {
		return s.TryFlatMap(func(_ context.Context, k, v string) (iter.Seq2[string, string], error) {
			return func(yield func(string, string) bool) {
				for _, part := range strings.Split(v, ",") {
					if !yield(part, k) {
						return
					}
				}
			}, verdict(v)
		})
	}),
	"try-flat-map-values": tried(func(s lineStream) lineStream {
		return s.TryFlatMapValues(func(_ context.Context, _, v string) ([]string, error) {
			return slices.Sorted(strings.SplitSeq(v, ",")), verdict(v)
		})
	}),
	"try-join-global": func(b *stream.Builder) views {
		b.OnError(dlq.Send())
		rates := b.GlobalTable(lines("right"), lineStore("rates"), stream.OnError(dlq.Fail()))
		b.Stream(lines("left")).TryJoinGlobal(rates, func(k, _ string) string { return k }, func(_ context.Context, _, v, row string) (string, error) {
			return v + "+" + row, verdict(v)
		}).To(lines("out"))
		return nil
	},
	"keeps-partitioning": func(b *stream.Builder) views {
		b.Stream(lines("in")).SelectKey(func(k, _ string) string { return strings.ToUpper(k) }, stream.KeepsPartitioning()).
			GroupByKey().Count(numberStore("counts")).ToStream().To(numbers("out"))
		return nil
	},
}
