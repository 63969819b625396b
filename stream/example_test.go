package stream_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// The examples share these topics. Keys and values are text, so that records can be written as key=value@milliseconds.
var (
	words   = stream.NewTopic("words", serde.String(), serde.String())
	more    = stream.NewTopic("more", serde.String(), serde.String())
	prices  = stream.NewTopic("prices", serde.String(), serde.String())
	out     = stream.NewTopic("out", serde.String(), serde.String())
	amounts = stream.NewTopic("amounts", serde.String(), serde.JSON[int64]())
	sums    = stream.NewTopic("sums", serde.String(), serde.JSON[int64]())
)

// run runs the program on the records, each with its topic before it, and prints what it writes. In a test, streamtest.New does that.
func run(b *stream.Builder, records ...string) {
	tb := &exampleTB{}
	defer tb.close()
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	d := streamtest.New(tb, top)
	inputs := map[string]bool{}
	for _, r := range records {
		topic, record, _ := strings.Cut(r, " ")
		inputs[topic] = true
		feed(tb, d, topic, record)
	}
	for _, topic := range d.Topics() {
		if inputs[topic] || strings.HasPrefix(topic, "test-") { // the latter are the application's own
			continue
		}
		for _, record := range read(d, topic) {
			fmt.Println(topic, record)
		}
	}
}

// An exampleTB stands for the test that an example is not.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper()                           {}
func (*exampleTB) Context() context.Context          { return context.Background() }
func (tb *exampleTB) Cleanup(f func())               { tb.cleanups = append(tb.cleanups, f) }
func (*exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (*exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (*exampleTB) FailNow()                          { panic("the example fails") }

func (tb *exampleTB) close() {
	for _, f := range slices.Backward(tb.cleanups) {
		f()
	}
}
