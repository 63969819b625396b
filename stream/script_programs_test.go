package stream_test

import (
	"testing"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// scriptPrograms are the programs of the scripts, by name. All read "in", some "other" too, and write "out".
var scriptPrograms = map[string]scriptProgram{
	"count": {
		build: func(b *stream.Builder) {
			b.Stream(lines("in")).GroupByKey().Count(numberStore("counts")).ToStream().To(numbers("out"))
		},
		rows: keyValueRows(numberStore("counts")),
	},
}

func keyValueRows[V any](spec state.KeyValueSpec[string, V]) map[string]func(testing.TB, *streamtest.Driver) []string {
	return map[string]func(testing.TB, *streamtest.Driver) []string{
		spec.Info().Name: func(tb testing.TB, d *streamtest.Driver) []string { return rows(tb, d, spec) },
	}
}
