package stream_test

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
)

// linesBetween is the program of a stretch of a stream.
func linesBetween(stretch lineProgram) scriptProgram {
	return func(b *stream.Builder) views {
		stretch(b.Stream(lines("in"))).To(lines("out"))
		return nil
	}
}

func short(_, v string) bool { return len(v) < 3 }

// seen is a value as a function sees it.
func seen(v *string) *string { return new("saw " + orNil(v)) }

// parts are the parts of a value between commas.
func parts(v string) []string { return strings.Split(v, ",") }

var recordPrograms = map[string]scriptProgram{
	"filter":     linesBetween(func(s lineStream) lineStream { return s.Filter(short) }),
	"filter-not": linesBetween(func(s lineStream) lineStream { return s.FilterNot(short) }),
	"filter-nullable": func(b *stream.Builder) views {
		b.Stream(optional("in")).Filter(func(_ string, v *string) bool { return v != nil }).To(optional("out"))
		return nil
	},
	"filter-not-nullable": func(b *stream.Builder) views {
		b.Stream(optional("in")).FilterNot(func(_ string, v *string) bool { return v != nil }).To(optional("out"))
		return nil
	},
	"try-filter": func(b *stream.Builder) views {
		b.OnError(dlq.Send()).Stream(lines("in")).TryFilter(func(_ context.Context, _, v string) (bool, error) {
			switch v {
			case "bad":
				return true, errBad
			case "skip":
				return true, stream.ErrSkip
			case "reject":
				return true, dlq.Reject("too-long", errBad)
			}
			return short("", v), nil
		}).To(lines("out"))
		return nil
	},
	"peek": func(b *stream.Builder) views {
		var calls []string
		b.Stream(lines("in")).Peek(func(k, v string) { calls = append(calls, k+"="+v) }).To(lines("out"))
		return callLog(&calls)
	},
	"peek-nullable": func(b *stream.Builder) views {
		var calls []string
		b.Stream(optional("in")).Peek(func(k string, v *string) { calls = append(calls, k+"="+orNil(v)) }).To(optional("out"))
		return callLog(&calls)
	},
	"for-each": func(b *stream.Builder) views {
		var calls []string
		b.Stream(lines("in")).ForEach(func(k, v string) { calls = append(calls, k+"="+v) })
		return callLog(&calls)
	},
	"map-values": linesBetween(func(s lineStream) lineStream { return s.MapValues(strings.ToUpper) }),
	"map-values-nullable": func(b *stream.Builder) views {
		b.Stream(optional("in")).MapValues(func(v *string) *string {
			if v != nil && *v == "none" {
				return nil
			}
			return seen(v)
		}).To(optional("out"))
		return nil
	},
	"map-values-with-key": linesBetween(func(s lineStream) lineStream {
		return s.MapValuesWithKey(func(k, v string) string { return v + " of " + k })
	}),
	"try-map-values": func(b *stream.Builder) views {
		b.OnError(dlq.Send()).Stream(lines("in")).TryMapValues(shout).To(lines("out"))
		return nil
	},
	"map": linesBetween(func(s lineStream) lineStream { return s.Map(func(k, v string) (string, string) { return v, k }) }),
	"map-nullable": func(b *stream.Builder) views {
		b.Stream(optional("in")).Map(func(k string, v *string) (*string, *string) { return v, seen(v) }).To(nullableBoth("out"))
		return nil
	},
	"flat-map": linesBetween(func(s lineStream) lineStream {
		return s.FlatMap(func(k, v string) iter.Seq2[string, string] {
			return func(yield func(string, string) bool) {
				for _, part := range parts(v) {
					if part != "" && !yield(part, k) {
						return
					}
				}
			}
		})
	}),
	"flat-map-values": linesBetween(func(s lineStream) lineStream {
		return s.FlatMapValues(func(v string) []string {
			if v == "-" {
				return nil
			}
			return parts(v)
		})
	}),
	"flat-map-values-nullable": func(b *stream.Builder) views {
		b.Stream(optional("in")).FlatMapValues(func(v *string) []*string { return []*string{seen(v), nil} }).To(optional("out"))
		return nil
	},
	"select-key": linesBetween(func(s lineStream) lineStream { return s.SelectKey(func(_, v string) string { return v[:1] }) }),
	"select-key-nullable": func(b *stream.Builder) views {
		b.Stream(optional("in")).SelectKey(func(_ string, v *string) *string { return v }).To(nullableBoth("out"))
		return nil
	},
	"split": func(b *stream.Builder) views {
		var calls []string
		yes, no := b.Stream(lines("in")).Split(func(_, v string) bool { calls = append(calls, v); return short("", v) })
		yes.To(lines("short"))
		no.To(lines("long"))
		return callLog(&calls)
	},
	"split-nullable": func(b *stream.Builder) views {
		yes, no := b.Stream(optional("in")).Split(func(_ string, v *string) bool { return v == nil })
		yes.To(optional("nil"))
		no.To(optional("not-nil"))
		return nil
	},
	"branch": func(b *stream.Builder) views {
		starts := func(prefix string) func(_, v string) bool {
			return func(_, v string) bool { return strings.HasPrefix(v, prefix) }
		}
		branches, rest := b.Stream(lines("in")).Branch(starts("ab"), starts("a"))
		branches[0].To(lines("ab"))
		branches[1].To(lines("a"))
		rest.To(lines("rest"))
		return nil
	},
	"merge": func(b *stream.Builder) views {
		b.Stream(lines("in")).Merge(b.Stream(lines("other")).MapValues(strings.ToUpper), b.Stream(lines("third"))).To(lines("out"))
		return nil
	},
	"map-values-async": func(b *stream.Builder) views {
		b.OnError(dlq.Send()).Stream(lines("in")).MapValuesAsync(shout, stream.Concurrency(2)).To(lines("out"))
		return nil
	},
	"map-values-async-retried": func(b *stream.Builder) views {
		tries := map[string]int{}
		b.Stream(lines("in")).MapValuesAsync(func(_ context.Context, _, v string) (string, error) {
			tries[v]++
			if v == "flaky" && tries[v] < 3 {
				return "", errBad
			}
			return fmt.Sprintf("%s, try %d", v, tries[v]), nil
		}, stream.OnError(retryTwice())).To(lines("out"))
		return nil
	},
}
