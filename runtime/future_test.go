package runtime

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/stream"
)

// Brokers refuse by default what is more than an hour ahead of their clocks. The topics of the application's own take it.
func TestRun_ProcessesRecordsOfTheFuture(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	o := orchestra{Prefix: b.Name("orchestra"), From: time.Now().Add(2 * time.Hour).Truncate(time.Second), Partitions: 2}
	o.create(t, b)
	cfg := quick(b, b.Name("app"))
	cfg.StateDir = t.TempDir()
	o.play(t, b, cfg, 0, 2)
	cfg.StateDir = t.TempDir()
	s := o.play(t, b, cfg, 2, 4)
	require.Positive(t, s.Restored)
	o.requireExact(t, b, 4)
}

// A topic that somebody else has made keeps its limits.
func TestRun_NamesTheTopicThatRefusesTheFuture(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	if !b.Real() {
		t.Skip("the embedded cluster takes records of any time")
	}
	in, out := b.Name("in"), b.Name("out")
	b.Create(in, 1)
	b.Create(out, 1)
	s := stream.NewBuilder()
	s.Stream(text(in), stream.TimestampFrom(func(_, _ string) time.Time { return time.Now().Add(2 * time.Hour) })).To(text(out))
	b.Produce(&kgo.Record{Topic: in, Value: []byte("v")})
	err := refused(t, built(t, s), quick(b, b.Name("app")))
	require.ErrorContains(t, err, fmt.Sprintf("write to topic %q partition 0: ", out))
	require.ErrorContains(t, err, "raise the topic's message.timestamp.after.max.ms")
}

// Brokers before Kafka 3.6 refuse configurations of topics that they do not know, and have no limits.
func TestRun_CreatesTopicsWithoutLimitsThatTheBrokerDoesNotKnow(t *testing.T) {
	t.Parallel()
	if os.Getenv("KAFKA_BROKERS") != "" {
		t.Skip("the real cluster is as new as it is")
	}
	b := testbroker.Start(t)
	refusals := b.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.InvalidConfig, Count: -1, When: func(r kmsg.Request) bool {
		for _, topic := range r.(*kmsg.CreateTopicsRequest).Topics {
			for _, c := range topic.Configs {
				if strings.HasSuffix(c.Name, ".max.ms") {
					return true
				}
			}
		}
		return false
	}})
	p := newPipeline(b, 2)
	i, _ := p.member(t, nil)
	p.send(50)
	p.awaitCounted(t, i)
	i.end()
	require.EqualValues(t, 3, refusals.Hits(), "the repartition topic, the changelog and the dead-letter topic")
}
