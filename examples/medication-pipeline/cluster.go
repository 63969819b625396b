package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/topology"
)

// topicPartitions is the number of partitions of topics that this program creates.
const topicPartitions = 4

// A cluster is the program's own access to Kafka, apart from the pipeline's.
type cluster struct {
	brokers []string
	client  *kgo.Client
	admin   *kadm.Client
}

func connect(brokers []string) (*cluster, error) {
	client, err := kgo.NewClient(clientOptions(brokers)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %v: %w", brokers, err)
	}
	return &cluster{brokers, client, kadm.NewClient(client)}, nil
}

func clientOptions(brokers []string) []kgo.Opt {
	// Newer versions answer with the ids of topics, which the client cannot always translate back.
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.OffsetFetch), 9)
	return []kgo.Opt{
		kgo.MaxVersions(versions),
		kgo.SeedBrokers(brokers...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(250 * time.Millisecond), // a topic that was just created has a leader soon
	}
}

func (c *cluster) close() { c.client.Close() }

// createTopics creates the topics that the topology reads and writes, dead letters too, where they are missing. It
// returns the number of partitions of the orders' topic.
func (c *cluster) createTopics(ctx context.Context, top *topology.Topology, orders string) (int32, error) {
	names := top.SinkTopics()
	for _, d := range top.DeadLetterSources() {
		names = append(names, d, dlq.TopicFor(d))
	}
	forever := "-1" // event times are long past: by the broker's default such records would be deleted at once
	config := map[string]*string{"retention.ms": &forever}
	made, err := c.admin.CreateTopics(ctx, topicPartitions, -1, config, names...)
	if err != nil {
		return 0, fmt.Errorf("create topics: %w", err)
	}
	for _, t := range made.Sorted() {
		if t.Err != nil && !errors.Is(t.Err, kerr.TopicAlreadyExists) {
			return 0, fmt.Errorf("create topic %q: %w", t.Topic, t.Err)
		}
	}
	var ends kadm.ListedOffsets
	err = retry(ctx, func() error {
		if ends, err = c.admin.ListEndOffsets(ctx, names...); err != nil {
			return err
		}
		for _, name := range names {
			if len(ends[name]) == 0 {
				return kerr.UnknownTopicOrPartition // not known to all brokers yet
			}
		}
		return ends.Error()
	})
	if err != nil {
		return 0, fmt.Errorf("look for the topics: %w", err)
	}
	return int32(len(ends[orders])), nil
}

// retry calls f until it succeeds. A cluster that was just started or was just given topics is still making up its
// mind.
func retry(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// publish writes what each partition of the topic lacks of the messages, and returns how many that was. Partitions
// hold their messages in order and nothing else: a run that was killed while it published, or after, goes on where
// it ended.
func (c *cluster) publish(ctx context.Context, topic string, messages []message) (published int, err error) {
	ends, err := c.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("list the offsets of topic %q: %w", topic, err)
	}
	there := map[int32]int64{}
	for _, o := range ends[topic] {
		there[o.Partition] = o.Offset
	}
	planned := map[int32]int64{}
	for _, m := range messages {
		planned[m.Partition]++
	}
	for p, n := range there {
		if n > planned[p] {
			return 0, fmt.Errorf("publish to topic %q: partition %d holds %d records, and %d are to be there: "+
				"the topic has other data, choose another -prefix",
				topic, p, n, planned[p])
		}
	}
	var failed kgo.FirstErrPromise
	for _, m := range messages {
		if there[m.Partition] > 0 {
			there[m.Partition]--
			continue
		}
		r := &kgo.Record{Topic: topic, Partition: m.Partition, Key: m.Key, Value: m.Value, Timestamp: m.At}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		c.client.Produce(ctx, r, failed.Promise())
		published++
	}
	if err := c.client.Flush(ctx); err != nil {
		return 0, fmt.Errorf("publish to topic %q: %w", topic, err)
	}
	if err := failed.Err(); err != nil {
		return 0, fmt.Errorf("publish to topic %q: %w", topic, err)
	}
	return published, nil
}

// read returns all committed records of the topics, in the order of each partition. It returns when it has read up
// to the ends that the topics have now.
func (c *cluster) read(ctx context.Context, topics ...string) (map[string][]*kgo.Record, error) {
	starts, err := c.admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	ends, err := c.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	left := 0
	from := map[string]map[int32]kgo.Offset{}
	starts.Each(func(o kadm.ListedOffset) {
		if end, _ := ends.Lookup(o.Topic, o.Partition); end.Offset > o.Offset {
			if from[o.Topic] == nil {
				from[o.Topic] = map[int32]kgo.Offset{}
			}
			from[o.Topic][o.Partition] = kgo.NewOffset().At(o.Offset)
			left++
		}
	})
	out := map[string][]*kgo.Record{}
	if left == 0 {
		return out, nil
	}
	// Without the markers of transactions the end is never seen.
	reader, err := kgo.NewClient(append(clientOptions(c.brokers), kgo.ConsumePartitions(from),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, fmt.Errorf("read topics: %w", err)
	}
	defer reader.Close()
	for left > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read topics: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, _ := ends.Lookup(r.Topic, r.Partition); r.Offset == end.Offset-1 {
				left--
			}
			if !r.Attrs.IsControl() {
				out[r.Topic] = append(out[r.Topic], r)
			}
		})
	}
	return out, nil
}

// Progress is how far an application has come with its inputs.
type progress struct {
	// Orders is the number of records of the orders' topic that are done.
	Orders int64
	// Done tells that the application has come to the end of all it reads.
	Done bool
	// Started tells that the application has committed before.
	Started bool
}

// progress compares what the application has committed with the ends of its inputs.
//
// The committed offsets are read before the ends. If an end of the orders' topic is reached in what was read first,
// then no more is written to repartition topics: outputs are committed before, or together with, the offsets. So
// ends that are listed later are final.
func (c *cluster) progress(ctx context.Context, application, orders string, inputs []string) (progress, error) {
	var p progress
	var committed kadm.OffsetResponses
	err := retry(ctx, func() (err error) {
		committed, err = c.admin.FetchOffsets(ctx, application)
		return err
	})
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return p, fmt.Errorf("fetch the offsets of group %q: %w", application, err)
	}
	ends, err := c.admin.ListEndOffsets(ctx, inputs...)
	if err != nil {
		return p, fmt.Errorf("list offsets: %w", err)
	}
	p.Started, p.Done = len(committed) > 0, true
	for _, topic := range inputs {
		for _, end := range ends[topic] {
			if end.Err != nil { // a repartition topic that is still to be created
				p.Done = false
				continue
			}
			at, ok := committed.Lookup(topic, end.Partition)
			p.Done = p.Done && (end.Offset == 0 || ok && at.At >= end.Offset)
			if topic == orders && ok {
				p.Orders += at.At
			}
		}
	}
	return p, nil
}

// inputs are the topics that an application reads, its own repartition topics included.
func inputs(top *topology.Topology, application string) []string {
	var topics []string
	for _, s := range top.Subtopologies() {
		for _, t := range s.SourceTopics(application) {
			topics = append(topics, t.Name)
		}
	}
	return topics
}
