package stream_test

import (
	"context"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
)

func retryTwice() dlq.Policy { return dlq.Retry(2, dlq.Constant(time.Second)) }

// under is a program with a store and, behind it, an operator that fails for the value "bad", and for "flaky" twice.
func under(p dlq.Policy) scriptProgram {
	return func(b *stream.Builder) views {
		tries := map[string]int{}
		counts, s := numberStore("counts"), b.Stream(lines("in"))
		s.GroupByKey().Count(counts).ToStream().To(numbers("counted"))
		s.TryPeek(func(ctx context.Context, k, v string) error {
			tries[v]++
			if v == "flaky" && tries[v] < 3 {
				return errBad
			}
			return failOnBad(ctx, k, v)
		}, stream.OnError(p)).To(lines("out"))
		return keyValueRows(counts)
	}
}

var policyPrograms = map[string]scriptProgram{
	"fail":            under(dlq.Fail()),
	"skip":            under(dlq.Skip()),
	"send":            under(dlq.Send()),
	"retry":           under(retryTwice()),
	"retry-then-send": under(dlq.Retry(2, dlq.Constant(time.Second)).Then(dlq.Send())),
	"send-undecoded": func(b *stream.Builder) views {
		b.OnError(dlq.Send()).Stream(numbers("in")).To(numbers("out"))
		return nil
	},
}
