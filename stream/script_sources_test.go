package stream_test

import (
	"context"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
)

var sourcePrograms = map[string]scriptProgram{
	"stream": func(b *stream.Builder) views {
		b.Stream(lines("in")).To(lines("out"))
		return nil
	},
	"stream-numbers": func(b *stream.Builder) views {
		b.Stream(numbers("in"), stream.OnError(dlq.Skip())).To(numbers("out"))
		return nil
	},
	"stream-timestamp-from": func(b *stream.Builder) views {
		b.OnError(dlq.Send()).
			Stream(numbers("in"), stream.TimestampFrom(func(_ string, n int64) time.Time { return at(n) })).
			To(numbers("out"))
		return nil
	},
	"stream-all": func(b *stream.Builder) views {
		b.StreamAll([]stream.Topic[string, string]{lines("in"), lines("other")}).To(lines("out"))
		return nil
	},
	"stream-pattern": func(b *stream.Builder) views {
		b.StreamPattern(linesLike("in-[a-z]+")).To(lines("out"))
		return nil
	},
	"table": func(b *stream.Builder) views {
		b.Table(lines("in"), lineStore("table")).ToStream().To(lines("out"))
		return keyValueRows(lineStore("table"))
	},
	"global-table": func(b *stream.Builder) views {
		b.GlobalTable(lines("table"), lineStore("table"))
		b.Stream(lines("in")).To(lines("out"))
		return globalTableRows(lineStore("table"))
	},
	"global-store": func(b *stream.Builder) views {
		st := lineStore("keys-by-value")
		b.OnError(dlq.Skip()).GlobalStore(lines("table"), st, func(n *lineGlobalNode) (lineFunc, error) {
			rows := st.Open(n)
			return func(_ context.Context, r lineRecord) error {
				switch {
				case r.Tombstone, r.NullKey:
					return nil
				case r.Value == "bad":
					return errBad
				}
				return rows.Put(r.Value, r.Key)
			}, nil
		})
		b.Stream(lines("in")).To(lines("out"))
		return globalTableRows(st)
	},
	"versioned-table": func(b *stream.Builder) views {
		b.VersionedTable(lines("in"), versionedStore(100)).ToStream().To(lines("out"))
		return versionRows(versionedStore(100), "k", "l")
	},
}
