package stream_test

import (
	"time"

	"github.com/weirstream/weir/stream"
)

// streamsJoined is the program of a join of two streams.
func streamsJoined(kind joinKind, w stream.Between, opts ...stream.SourceOption) scriptProgram {
	return func(b *stream.Builder) views {
		kind.of(b.Stream(lines("left"), opts...), b.Stream(lines("right"), opts...), w, lineJoinOf("pairs")).To(lines("out"))
		shown := pairRows(lineJoinOf("pairs"))
		if kind != inner {
			shown = shown.with(unmatchedRows(lineJoinOf("pairs")))
		}
		return shown
	}
}

var streamJoinPrograms = map[string]scriptProgram{
	"join":            streamsJoined(inner, window(5, 10, 20)),
	"left-join":       streamsJoined(left, window(10, 20, 5)),
	"left-join-idle":  streamsJoined(left, window(10, 20, 5), stream.IdleAfter(time.Second)),
	"left-join-grace": streamsJoined(left, window(100, 100, 50)),
	"outer-join":      streamsJoined(outer, window(10, 20, 5)),
	"self-join": func(b *stream.Builder) views {
		s := b.Stream(lines("in"))
		s.Join(s, window(10, 0, 0), plus, lineJoinOf("pairs")).To(lines("out"))
		return windowStarts(lineJoinOf("pairs").Left())
	},
}
