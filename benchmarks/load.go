package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// load writes the input: values of 100 bytes under keys drawn at random, from a fixed seed.
func load(ctx context.Context, s settings) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(s.brokers), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(20*time.Millisecond), kgo.MaxBufferedRecords(100_000),
		kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = kadm.NewClient(c).CreateTopic(ctx, int32(s.partitions), 1, nil, s.topic)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		fmt.Printf("topic %s is there already\n", s.topic)
		return nil
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", s.topic, err)
	}
	r := rand.New(rand.NewPCG(42, 42))
	start := time.UnixMilli(1_700_000_000_000)
	var first error
	done := func(_ *kgo.Record, err error) {
		if err != nil && first == nil {
			first = err
		}
	}
	for i := range s.records {
		c.Produce(ctx, &kgo.Record{
			Topic: s.topic, Key: fmt.Appendf(nil, "key-%07d", r.IntN(s.keys)), Value: value(r), Timestamp: start.Add(time.Duration(i) * time.Millisecond),
		}, done)
	}
	if err := c.Flush(ctx); err != nil {
		return err
	}
	if first == nil {
		fmt.Printf("wrote %d records to %s\n", s.records, s.topic)
	}
	return first
}

func value(r *rand.Rand) []byte {
	v := make([]byte, 100)
	for i := range v {
		v[i] = byte('a' + r.IntN(26))
		if i%8 == 7 {
			v[i] = ' '
		}
	}
	return v
}
