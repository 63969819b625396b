package stream_test

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func ExampleStream_Join() {
	clicks := state.Join("clicks", serde.String(), serde.String(), serde.String())
	b := stream.NewBuilder()
	b.Stream(words).Join(b.Stream(more), stream.Between{Before: 5 * time.Millisecond, After: 10 * time.Millisecond},
		func(shown, clicked string) string { return shown + " " + clicked }, clicks).To(out)
	run(b, "words k=shown@100", "more k=clicked@110", "more k=again@111")
	// Output:
	// out k=shown clicked@110
}

func ExampleStream_LeftJoin() {
	clicks := state.Join("clicks", serde.String(), serde.String(), serde.String())
	b := stream.NewBuilder()
	b.Stream(words).LeftJoin(b.Stream(more), stream.Between{After: 10 * time.Millisecond, Grace: 5 * time.Millisecond},
		func(shown string, clicked stream.Opt[string]) string { return fmt.Sprint(shown, " ", clicked.OK) }, clicks).To(out)
	run(b, "words j=shown@100", "words k=shown@101", "more k=clicked@105", "words l=later@116")
	// Output:
	// out k=shown true@105
	// out j=shown false@100
}

func ExampleStream_OuterJoin() {
	both := state.Join("both", serde.String(), serde.String(), serde.String())
	b := stream.NewBuilder()
	b.Stream(words).OuterJoin(b.Stream(more), stream.Between{Before: 10 * time.Millisecond, After: 10 * time.Millisecond},
		func(l, r stream.Opt[string]) string { return fmt.Sprintf("%q %q", l.Value, r.Value) }, both).To(out)
	run(b, "words j=left@100", "more k=right@105", "words k=left@106", "more l=right@107", "words m=later@200")
	// Output:
	// out k="left" "right"@106
	// out j="left" ""@100
	// out l="" "right"@107
}

func ExampleStream_Join_self() {
	pairs := state.Join("pairs", serde.String(), serde.String(), serde.String())
	b := stream.NewBuilder()
	s := b.Stream(words)
	s.Join(s, stream.Between{After: 10 * time.Millisecond}, func(first, next string) string { return first + " " + next }, pairs).
		To(out)
	run(b, "words k=a@100", "words k=b@105", "words k=c@111")
	// Output:
	// out k=a a@100
	// out k=a b@105
	// out k=b b@105
	// out k=b c@111
	// out k=c c@111
}
