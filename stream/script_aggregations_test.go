package stream_test

import (
	"context"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func zero() string { return "0" }

// appendUnlessX deletes the row where the value is x.
func appendUnlessX(_ string, v *string, a *string) *string {
	if *v == "x" {
		return nil
	}
	return new(*a + "+" + *v)
}

func optionalStore(name string) state.KeyValueSpec[string, *string] {
	return state.KeyValue(name, serde.String(), serde.Nullable(serde.String()))
}

var aggregationPrograms = map[string]scriptProgram{
	"count": func(b *stream.Builder) views {
		b.Stream(lines("in")).GroupByKey().Count(numberStore("counts")).ToStream().To(numbers("out"))
		return keyValueRows(numberStore("counts"))
	},
	"group-by": func(b *stream.Builder) views {
		b.Stream(lines("in")).GroupBy(valueOf, through("by-value").Partitions(2)).Count(numberStore("counts")).ToStream().To(numbers("out"))
		return keyValueRows(numberStore("counts"))
	},
	"group-by-key": func(b *stream.Builder) views {
		b.Stream(lines("in")).GroupByKey().Count(numberStore("counts")).ToStream().To(numbers("out"))
		return keyValueRows(numberStore("counts"))
	},
	"reduce": func(b *stream.Builder) views {
		b.Stream(lines("in")).GroupByKey().Reduce(plus, lineStore("reduced")).ToStream().To(lines("out"))
		return keyValueRows(lineStore("reduced"))
	},
	"reduce-nullable": func(b *stream.Builder) views {
		b.Stream(optional("in")).GroupByKey().
			Reduce(func(a, v *string) *string { return appendUnlessX("", v, a) }, optionalStore("reduced")).ToStream().To(optional("out"))
		return nil
	},
	"aggregate": func(b *stream.Builder) views {
		b.Stream(lines("in")).GroupByKey().Aggregate(zero, trail.add, lineStore("trail")).ToStream().To(lines("out"))
		return keyValueRows(lineStore("trail"))
	},
	"aggregate-nullable": func(b *stream.Builder) views {
		b.Stream(optional("in")).GroupByKey().
			Aggregate(func() *string { return new("0") }, appendUnlessX, optionalStore("trail")).ToStream().To(optional("out"))
		return nil
	},
	"try-aggregate": func(b *stream.Builder) views {
		b.OnError(dlq.Send()).Stream(lines("in")).GroupByKey().TryAggregate(zero, func(_ context.Context, k, v, a string) (string, error) {
			switch v {
			case "bad":
				return "", errBad
			case "skip":
				return "", stream.ErrSkip
			}
			return trail.add(k, v, a), nil
		}, lineStore("trail")).ToStream().To(lines("out"))
		return keyValueRows(lineStore("trail"))
	},
	"cogroup": func(b *stream.Builder) views {
		orders, payments := b.Stream(lines("in")).GroupByKey(), b.Stream(numbers("other")).GroupByKey()
		orders.Cogroup(trail.add).
			With(payments, func(_ string, n int64, a string) string {
				for range n {
					a += "!"
				}
				return a
			}).
			Aggregate(zero, lineStore("both")).ToStream().To(lines("out"))
		return keyValueRows(lineStore("both"))
	},
}
