package stream_test

import (
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func (in *interpreter) suppressTimeLimit(n *conformanceNode) {
	buffer := state.Buffer(in.name("buffer"), texts, texts).MaxRecords(n.Max)
	in.tables[n.ID] = in.table(n).Suppress(buffer, stream.UntilTimeLimit{Limit: millis(n.Limit)})
}
