package stream_test

import "github.com/weirstream/weir/stream"

// tablesJoined is the program of a join of two tables.
func tablesJoined(join func(l, r lineTable) lineTable) scriptProgram {
	return func(b *stream.Builder) views {
		l, r := b.Table(lines("left"), lineStore("left")), b.Table(lines("right"), lineStore("right"))
		join(l, r).Materialize(lineStore("joined")).ToStream().To(lines("out"))
		return keyValueRows(lineStore("joined")).with(keyValueRows(lineStore("left")), keyValueRows(lineStore("right")))
	}
}

var tableJoinPrograms = map[string]scriptProgram{
	"table-join":        tablesJoined(func(l, r lineTable) lineTable { return l.Join(r, plus) }),
	"table-left-join":   tablesJoined(func(l, r lineTable) lineTable { return l.LeftJoin(r, leftPlus) }),
	"table-outer-join":  tablesJoined(func(l, r lineTable) lineTable { return l.OuterJoin(r, outerPlus) }),
	"join-foreign":      tablesJoined(func(l, r lineTable) lineTable { return l.JoinForeign(r, foreignKey, plus, foreign("join")) }),
	"left-join-foreign": tablesJoined(func(l, r lineTable) lineTable { return l.LeftJoinForeign(r, foreignKey, leftPlus, foreign("join")) }),
}
