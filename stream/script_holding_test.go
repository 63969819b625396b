package stream_test

import (
	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

// heldBack is the program of a table with updates that are held back.
func heldBack(buffer state.BufferSpec[string, string], full stream.WhenFull) scriptProgram {
	return func(b *stream.Builder) views {
		b.OnError(dlq.Send()).Table(lines("in"), lineStore("table")).
			Suppress(buffer, stream.UntilTimeLimit{Limit: in(10), WhenFull: full}).ToStream().To(lines("out"))
		return waitingRecords(buffer).with(keyValueRows(lineStore("table")))
	}
}

// final is the program of counts that are sent when they are final.
func final(w stream.TimeWindows, buffer state.BufferSpec[string, int64]) scriptProgram {
	return func(b *stream.Builder) views {
		finals(b.OnError(dlq.Send()), w, buffer)
		return waitingRecords(buffer).with(windowRows(windowStore("windows")))
	}
}

var holdingPrograms = map[string]scriptProgram{
	"suppress-until-time-limit":            heldBack(lineBuffer("held"), stream.EmitEarly),
	"suppress-until-time-limit-emit-early": heldBack(lineBuffer("held").MaxRecords(2), stream.EmitEarly),
	"suppress-until-time-limit-fail":       heldBack(lineBuffer("held").MaxRecords(2), stream.FailWhenFull),
	"suppress-until-window-closes":         final(stream.Tumbling{Size: in(10), Grace: in(5)}, numberBuffer("held")),
	"suppress-until-window-closes-fail":    final(stream.Tumbling{Size: in(10)}, numberBuffer("held").MaxRecords(2)),
	"suppress-until-window-closes-session": func(b *stream.Builder) views {
		b.Stream(lines("in")).GroupByKey().SessionWindow(stream.Session{Gap: in(5), Grace: in(3)}).Count(sessionStore("sessions")).
			Suppress(numberBuffer("held"), stream.UntilWindowCloses{}).ToStream(windowLabel).To(numbers("out"))
		return waitingRecords(numberBuffer("held"))
	},
	"coalesce": func(b *stream.Builder) views {
		b.Stream(lines("in")).GroupByKey().Count(numberStore("counts"), stream.Coalesce()).ToStream().To(numbers("out"))
		return keyValueRows(numberStore("counts"))
	},
	"coalesce-table": func(b *stream.Builder) views {
		b.Table(lines("in"), lineStore("table"), stream.Coalesce()).ToStream().To(lines("out"))
		return nil
	},
}
