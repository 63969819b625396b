package stream_test

import (
	"context"
	"strings"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
)

func ExampleStream_MapValuesAsync() {
	// price asks a service. Many calls are on their way at once; the records keep their order.
	price := func(_ context.Context, _, article string) (string, error) {
		return strings.ToUpper(article) + " costs 5", nil
	}
	b := stream.NewBuilder()
	b.Stream(words).MapValuesAsync(price, stream.Concurrency(32), stream.Timeout(5*time.Second),
		stream.OnError(dlq.Retry(3, dlq.Constant(time.Second)).Then(dlq.Send()))).To(out)
	run(b, "words a=tea@1", "words b=rice@2")
	// Output:
	// out a=TEA costs 5@1
	// out b=RICE costs 5@2
}
