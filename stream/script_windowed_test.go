package stream_test

import (
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// countedIn is the program of counts in windows.
func countedIn(w stream.TimeWindows, emit stream.Emit, opts ...stream.SourceOption) scriptProgram {
	return func(b *stream.Builder) views {
		b.Stream(lines("in"), opts...).GroupByKey().Window(w, emit).Count(windowStore("windows")).ToStream(windowLabel).To(numbers("out"))
		return windowRows(windowStore("windows"))
	}
}

func countedInSessions(w stream.Session, emit stream.Emit) scriptProgram {
	return func(b *stream.Builder) views {
		b.Stream(lines("in")).GroupByKey().SessionWindow(w, emit).Count(sessionStore("sessions")).ToStream(windowLabel).To(numbers("out"))
		return sessionRows(sessionStore("sessions"))
	}
}

var windowPrograms = map[string]scriptProgram{
	"tumbling": countedIn(stream.Tumbling{Size: in(10), Grace: in(5)}, stream.OnUpdate),
	"tumbling-aggregate": func(b *stream.Builder) views {
		st := state.Window("trail", serde.String(), serde.String())
		b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Aggregate(zero, trail.add, st).
			ToStream(windowLabel).To(lines("out"))
		return windowRows(st)
	},
	"tumbling-reduce": func(b *stream.Builder) views {
		st := state.Window("reduced", serde.String(), serde.String())
		b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Reduce(plus, st).ToStream(windowLabel).To(lines("out"))
		return windowRows(st)
	},
	"tumbling-nullable": func(b *stream.Builder) views {
		b.Stream(optional("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(windowStore("windows")).
			ToStream(windowLabel).To(numbers("out"))
		return nil
	},
	"hopping": func(b *stream.Builder) views {
		st := state.Window("trail", serde.String(), serde.String())
		b.Stream(lines("in")).GroupByKey().Window(stream.Hopping{Size: in(10), Advance: in(5)}).Aggregate(zero, trail.add, st).
			ToStream(windowLabel).To(lines("out"))
		return windowRows(st)
	},
	"hopping-on-close": countedIn(stream.Hopping{Size: in(10), Advance: in(5)}, stream.OnClose),
	"sliding":          countedIn(stream.Sliding{Difference: in(10), Grace: in(50)}, stream.OnUpdate),
	"sliding-late":     countedIn(stream.Sliding{Difference: in(10)}, stream.OnUpdate),
	"sliding-on-close": countedIn(stream.Sliding{Difference: in(10)}, stream.OnClose),
	"session":          countedInSessions(stream.Session{Gap: in(5)}, stream.OnUpdate),
	"session-on-close": countedInSessions(stream.Session{Gap: in(5), Grace: in(3)}, stream.OnClose),
	"session-aggregate": func(b *stream.Builder) views {
		st := state.Session("trail", serde.String(), serde.String())
		b.Stream(lines("in")).GroupByKey().SessionWindow(stream.Session{Gap: in(5), Grace: in(50)}).
			Aggregate(zero, trail.add, func(_, x, y string) string { return "(" + x + "|" + y + ")" }, st).ToStream(windowLabel).To(lines("out"))
		return sessionRows(st)
	},
	"session-reduce": func(b *stream.Builder) views {
		st := state.Session("reduced", serde.String(), serde.String())
		b.Stream(lines("in")).GroupByKey().SessionWindow(stream.Session{Gap: in(5), Grace: in(50)}).Reduce(plus, st).
			ToStream(windowLabel).To(lines("out"))
		return nil
	},
	"unlimited":                 countedIn(stream.Unlimited{From: at(100)}, stream.OnUpdate),
	"on-close":                  countedIn(stream.Tumbling{Size: in(10), Grace: in(5)}, stream.OnClose),
	"on-close-without-grace":    countedIn(stream.Tumbling{Size: in(10)}, stream.OnClose),
	"on-close-within-retention": countedIn(stream.Tumbling{Size: in(10)}, stream.OnCloseWithinRetention),
	"idle-after":                countedIn(stream.Tumbling{Size: 5 * time.Second}, stream.OnClose, stream.IdleAfter(time.Second)),
	"no-idle-after":             countedIn(stream.Tumbling{Size: 5 * time.Second}, stream.OnClose),
	"windowed-table": func(b *stream.Builder) views {
		b.Stream(lines("in")).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(windowStore("windows")).
			Filter(func(_ stream.Windowed[string], n int64) bool { return n%2 == 1 }).
			MapValuesWithKey(func(w stream.Windowed[string], n int64) int64 { return n * 100 }).
			ToStream(windowLabel).To(numbers("out"))
		return nil
	},
	// the windows of two topics, joined
	"windowed-as-table": func(b *stream.Builder) views {
		counted := func(topic, store string) stream.Table[stream.Windowed[string], int64] {
			return stream.WindowedAsTable(b.Stream(lines(topic)).GroupByKey().Window(stream.Tumbling{Size: in(10)}).Count(windowStore(store)))
		}
		counted("left", "left").Join(counted("right", "right"), func(l, r int64) int64 { return 10*l + r }).
			ToStream().SelectKey(func(w stream.Windowed[string], _ int64) string { return windowLabel(w) }).To(numbers("out"))
		return windowRows(windowStore("left")).with(windowRows(windowStore("right")))
	},
}
