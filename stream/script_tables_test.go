package stream_test

import (
	"github.com/weirstream/weir/stream"
)

// tableBetween is the program of a stretch of a table.
func tableBetween(stretch func(t lineTable) lineTable) scriptProgram {
	return func(b *stream.Builder) views {
		stretch(b.Table(lines("in"), lineStore("table"))).ToStream().To(lines("out"))
		return keyValueRows(lineStore("table"))
	}
}

// grouped is a table in groups by the first letters of its values.
func grouped(b *stream.Builder) stream.GroupedTable[string, string] {
	return b.Table(lines("in"), lineStore("table")).GroupBy(byInitial, through("groups"))
}

var tablePrograms = map[string]scriptProgram{
	"to-table": func(b *stream.Builder) views {
		b.Stream(lines("in")).MapValues(func(v string) string { return "<" + v + ">" }).ToTable(lineStore("last")).ToStream().To(lines("out"))
		return keyValueRows(lineStore("last"))
	},
	"to-versioned-table": func(b *stream.Builder) views {
		b.Stream(lines("in")).ToVersionedTable(versionedStore(100)).ToStream().To(lines("out"))
		return versionRows(versionedStore(100), "k", "l")
	},
	"table-filter":     tableBetween(func(t lineTable) lineTable { return t.Filter(short) }),
	"table-filter-not": tableBetween(func(t lineTable) lineTable { return t.FilterNot(short) }),
	"table-filter-materialize": func(b *stream.Builder) views {
		b.Table(lines("in"), lineStore("table")).Filter(short).Materialize(lineStore("filtered")).ToStream().To(lines("out"))
		return keyValueRows(lineStore("filtered"))
	},
	"versioned-table-filter": func(b *stream.Builder) views {
		b.VersionedTable(lines("in"), versionedStore(100)).Filter(short).ToStream().To(lines("out"))
		return nil
	},
	"table-map-values": tableBetween(func(t lineTable) lineTable { return t.MapValues(func(v string) string { return v + "!" }) }),
	"table-map-values-nil": func(b *stream.Builder) views {
		b.Table(lines("in"), lineStore("table")).MapValuesWithKey(func(k, v string) *string {
			if v == "none" {
				return nil
			}
			return new(v + " of " + k)
		}).ToStream().To(optional("out"))
		return nil
	},
	"table-process-values": func(b *stream.Builder) views {
		b.Table(lines("in"), lineStore("table")).ProcessValues(numbered, stream.Stores(numberStore("numbers"))).ToStream().To(lines("out"))
		return keyValueRows(numberStore("numbers"))
	},
	"table-group-by-count": func(b *stream.Builder) views {
		grouped(b).Count(numberStore("counts")).ToStream().To(numbers("out"))
		return keyValueRows(numberStore("counts"))
	},
	"table-group-by-reduce": func(b *stream.Builder) views {
		grouped(b).Reduce(plus, func(a, v string) string { return a + "-" + v }, lineStore("reduced")).ToStream().To(lines("out"))
		return keyValueRows(lineStore("reduced"))
	},
	"table-group-by-aggregate": func(b *stream.Builder) views {
		grouped(b).Aggregate(zero, trail.add, trail.subtract, lineStore("trail")).ToStream().To(lines("out"))
		return keyValueRows(lineStore("trail"))
	},
}
