package stream_test

import (
	"context"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
)

// lookedUp is the program of a join with a table.
func lookedUp(join func(s lineStream, t lineTable) lineStream) scriptProgram {
	return func(b *stream.Builder) views {
		join(b.Stream(lines("in")), b.Table(lines("table"), lineStore("table"))).To(lines("out"))
		return keyValueRows(lineStore("table"))
	}
}

// lookedUpInVersions is the program of a join with a table of versions.
func lookedUpInVersions(join func(s lineStream, t stream.VersionedTable[string, string]) lineStream) scriptProgram {
	return func(b *stream.Builder) views {
		join(b.Stream(lines("in")), b.VersionedTable(lines("table"), versionedStore(100))).To(lines("out"))
		return versionRows(versionedStore(100), "k", "l")
	}
}

// lookedUpByValue is the program of a join with a global table, by the record's value; "-" names none.
func lookedUpByValue(join func(s lineStream, t stream.GlobalTable[string, string]) lineStream) scriptProgram {
	return func(b *stream.Builder) views {
		join(b.Stream(lines("in")), b.GlobalTable(lines("table"), lineStore("table"))).To(lines("out"))
		return globalTableRows(lineStore("table"))
	}
}

var lookupPrograms = map[string]scriptProgram{
	"join-table":      lookedUp(func(s lineStream, t lineTable) lineStream { return s.JoinTable(t, plus) }),
	"left-join-table": lookedUp(func(s lineStream, t lineTable) lineStream { return s.LeftJoinTable(t, leftPlus) }),
	"try-join-table": lookedUp(func(s lineStream, t lineTable) lineStream {
		return s.TryJoinTable(t, func(ctx context.Context, k, v, row string) (string, error) {
			return plus(v, row), failOnBad(ctx, k, v)
		}, stream.OnError(dlq.Send()))
	}),
	"join-versioned": lookedUpInVersions(func(s lineStream, t stream.VersionedTable[string, string]) lineStream {
		return s.JoinVersioned(t, plus)
	}),
	"left-join-versioned": lookedUpInVersions(func(s lineStream, t stream.VersionedTable[string, string]) lineStream {
		return s.LeftJoinVersioned(t, leftPlus)
	}),
	"grace": lookedUpInVersions(func(s lineStream, t stream.VersionedTable[string, string]) lineStream {
		return s.LeftJoinVersioned(t, leftPlus, stream.Grace(in(10), waiting))
	}),
	"join-global": lookedUpByValue(func(s lineStream, t stream.GlobalTable[string, string]) lineStream {
		return s.JoinGlobal(t, valueOf, plus)
	}),
	"left-join-global": lookedUpByValue(func(s lineStream, t stream.GlobalTable[string, string]) lineStream {
		return s.LeftJoinGlobal(t, valueOf, leftPlus)
	}),
}
