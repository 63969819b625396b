// Package testbroker gives a test a Kafka cluster: an embedded one, or the real one that KAFKA_BROKERS names.
package testbroker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// A Broker is a cluster for one test. Names made by Name do not meet those of other tests.
type Broker struct {
	tb     testing.TB
	addrs  []string
	suffix string
	client *kgo.Client
	auth   []kgo.Opt // of a superuser, on a secured cluster
	// Fake is the embedded cluster, for its fault injection; nil on a real one.
	Fake *kfake.Cluster
}

// Start returns a cluster that ends with the test.
func Start(tb testing.TB, opts ...kfake.Opt) *Broker {
	tb.Helper()
	return start(&Broker{tb: tb}, os.Getenv("KAFKA_BROKERS"), opts)
}

// StartSecured returns an embedded cluster, whatever KAFKA_BROKERS says, on which an application may only do what the entries allow, as the user of
// AsUser.
func StartSecured(tb testing.TB, acls ...kfake.ACL) *Broker {
	tb.Helper()
	b := &Broker{tb: tb, auth: []kgo.Opt{login("super")}}
	return start(b, "", []kfake.Opt{
		kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "super", "super"), kfake.User("PLAIN", "user", "user", acls...),
	})
}

// AsUser is the login of a user that is no superuser of a secured cluster.
func AsUser() kgo.Opt { return login("user") }

func login(name string) kgo.Opt { return kgo.SASL(plain.Auth{User: name, Pass: name}.AsMechanism()) }

func start(b *Broker, addrs string, opts []kfake.Opt) *Broker {
	tb := b.tb
	tb.Helper()
	if addrs != "" {
		b.addrs = strings.Split(addrs, ",")
	} else {
		c, err := kfake.NewCluster(append([]kfake.Opt{
			kfake.NumBrokers(1), kfake.DefaultNumPartitions(1), kfake.GroupMinSessionTimeout(time.Second),
		}, opts...)...)
		require.NoError(tb, err)
		tb.Cleanup(c.Close)
		b.Fake, b.addrs = c, c.ListenAddrs()
	}
	var raw [4]byte
	_, _ = rand.Read(raw[:])
	b.suffix = "-" + hex.EncodeToString(raw[:])
	b.client = b.Client()
	return b
}

// Real tells whether the cluster is a real Kafka.
func (b *Broker) Real() bool { return b.Fake == nil }

// Addrs are the addresses to connect to.
func (b *Broker) Addrs() []string { return b.addrs }

// Name makes a name for a topic or an application of this test alone.
func (b *Broker) Name(s string) string { return s + b.suffix }

// Client returns a client that ends with the test.
func (b *Broker) Client(opts ...kgo.Opt) *kgo.Client {
	b.tb.Helper()
	// A newer version answers by topic ids, and what the client cannot translate back comes without a name.
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.OffsetFetch), 9)
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.MaxVersions(versions),
		kgo.SeedBrokers(b.addrs...), kgo.MetadataMinAge(50 * time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	}, append(b.auth, opts...)...)...)
	require.NoError(b.tb, err)
	b.tb.Cleanup(c.Close)
	return c
}

// Admin returns an admin client.
func (b *Broker) Admin() *kadm.Client { return kadm.NewClient(b.client) }

// Create makes a topic and waits until it can be written to.
func (b *Broker) Create(topic string, partitions int32) {
	b.tb.Helper()
	_, err := b.Admin().CreateTopic(b.tb.Context(), partitions, 1, nil, topic)
	require.NoError(b.tb, err)
	b.Eventually("topic "+topic+" is known", func() bool {
		m, err := b.Admin().Metadata(b.tb.Context(), topic)
		return err == nil && m.Topics[topic].Err == nil && len(m.Topics[topic].Partitions) == int(partitions)
	})
}

// Produce writes records and waits for the broker to have them.
func (b *Broker) Produce(rs ...*kgo.Record) {
	b.tb.Helper()
	require.NoError(b.tb, b.client.ProduceSync(b.tb.Context(), rs...).FirstErr())
}

// Committed are the offsets of a group, by topic and partition; none if there is no such group.
func (b *Broker) Committed(group string) map[string]map[int32]int64 {
	b.tb.Helper()
	offsets, err := b.Admin().FetchOffsets(b.tb.Context(), group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil
	}
	require.NoError(b.tb, err)
	out := map[string]map[int32]int64{}
	offsets.Each(func(o kadm.OffsetResponse) {
		require.NotEmpty(b.tb, o.Topic, "the topic of a committed offset")
		if out[o.Topic] == nil {
			out[o.Topic] = map[int32]int64{}
		}
		out[o.Topic][o.Partition] = o.At
	})
	return out
}

// Behind is the number of offsets of a topic, markers included, that lie above those that the group has committed. -1 stands for: not known yet.
func (b *Broker) Behind(group, topic string) int64 {
	b.tb.Helper()
	ends, err := b.Admin().ListEndOffsets(b.tb.Context(), topic)
	if err != nil || ends.Error() != nil {
		return -1
	}
	at, n := b.Committed(group)[topic], int64(0)
	for p, o := range ends[topic] {
		n += o.Offset - max(at[p], 0)
	}
	return n
}

// Eventually waits for a condition, for at most a minute. The condition is asked on the goroutine of the test, which it may fail.
func (b *Broker) Eventually(what string, f func() bool) {
	b.tb.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for until := time.Now().Add(time.Minute); !f(); <-again.C {
		require.True(b.tb, time.Now().Before(until), "not within a minute: %s", what)
	}
}

// Read returns the committed records of a topic up to its present end, partition by partition, in order.
func (b *Broker) Read(topic string) []*kgo.Record {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.tb.Context(), time.Minute)
	defer cancel()
	ends, err := b.Admin().ListCommittedOffsets(ctx, topic)
	require.NoError(b.tb, err)
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		require.NoError(b.tb, o.Err)
		if o.Offset > 0 {
			from[o.Partition], left[o.Partition] = kgo.NewOffset().AtStart(), o.Offset
		}
	})
	if len(from) == 0 {
		return nil
	}
	c := b.Client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	defer c.Close()
	var out []*kgo.Record
	for len(left) > 0 {
		fs := c.PollFetches(ctx)
		require.NoError(b.tb, fs.Err0())
		fs.EachRecord(func(r *kgo.Record) {
			end, ok := left[r.Partition]
			if !ok || r.Offset >= end {
				return
			}
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
			if r.Offset == end-1 {
				delete(left, r.Partition)
			}
		})
	}
	return out
}
