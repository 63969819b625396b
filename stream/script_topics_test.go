package stream_test

import (
	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/stream"
)

func nullableBoth(name string) stream.Topic[*string, *string] {
	return stream.NewTopic(name, serde.Nullable(serde.String()), serde.Nullable(serde.String()))
}

// initialPartition puts a and b into the partitions 0 and 1, and so on.
func initialPartition(_, v string, n int32) int32 { return int32(v[0]-'a') % n }

var topicPrograms = map[string]scriptProgram{
	"repartition": func(b *stream.Builder) views {
		b.Stream(lines("in")).SelectKey(valueOf).Repartition(through("by-value").Partitions(2)).To(lines("out"))
		return nil
	},
	"repartition-nulls": func(b *stream.Builder) views {
		b.Stream(lines("in")).Repartition(through("again")).To(lines("out"))
		return nil
	},
	"repartition-before-a-left-join": func(b *stream.Builder) views {
		b.Stream(lines("in")).Repartition(through("again")).
			LeftJoinTable(b.Table(lines("table"), lineStore("table")), leftPlus).To(lines("out"))
		return nil
	},
	"to": func(b *stream.Builder) views {
		b.Stream(lines("in")).To(lines("out"))
		return nil
	},
	"to-nullable": func(b *stream.Builder) views {
		b.Stream(lines("in")).MapValues(func(v string) *string {
			if v == "none" {
				return nil
			}
			return &v
		}).To(optional("out"))
		return nil
	},
	"to-dynamic": func(b *stream.Builder) views {
		b.Stream(lines("in")).ToDynamic(func(_, v string) string { return "out-" + v[:1] }, lines("any"), stream.OnError(dlq.Send()))
		return nil
	},
	"partition-by": func(b *stream.Builder) views {
		b.Stream(lines("in")).To(lines("out"), stream.PartitionBy(initialPartition))
		return nil
	},
	"partitions-by": func(b *stream.Builder) views {
		b.Stream(lines("in")).To(lines("out"), stream.PartitionsBy(func(_, v string, n int32) []int32 {
			var to []int32
			for i := range v {
				to = append(to, initialPartition("", v[i:], n))
			}
			return to
		}))
		return nil
	},
}
