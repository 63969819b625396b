package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// rawWorker is a goroutine with a transactional producer: no tasks, no rebalances, no disk, no restore. It is an upper bound, not an example.
type rawWorker struct {
	s        settings
	out      string
	index    int
	workload string
	consumer *kgo.Client
	producer *kgo.Client
	in       chan []*kgo.Record

	counts  map[string]*int64
	dirty   map[string]int64
	offsets map[int32]int64
	failed  error
	mu      sync.Mutex
}

// runRaw drains the input once.
func runRaw(ctx context.Context, s settings, workload string) (result, error) {
	out := fmt.Sprintf("bench-raw-%d", time.Now().UnixNano())
	if err := createTopics(ctx, s, out, out+"-changelog"); err != nil {
		return result{}, err
	}
	started := time.Now()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(s.brokers), kgo.ConsumerGroup(out), kgo.ConsumeTopics(s.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxPartitionBytes(1<<20), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return result{}, err
	}
	defer consumer.Close()
	workers := make([]*rawWorker, s.workers)
	ended := make(chan error, s.workers)
	for i := range workers {
		w := &rawWorker{
			s: s, out: out, index: i, workload: workload, consumer: consumer, in: make(chan []*kgo.Record, 64),
			counts: map[string]*int64{}, dirty: map[string]int64{}, offsets: map[int32]int64{},
		}
		if err := w.connect(ctx); err != nil {
			return result{}, err
		}
		defer w.producer.Close()
		workers[i] = w
		go func() { ended <- w.run(ctx) }()
	}
	for n := 0; n < s.records; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return result{}, err
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			n += len(p.Records)
			workers[int(p.Partition)%s.workers].in <- p.Records
		})
	}
	for _, w := range workers {
		close(w.in)
	}
	for range workers {
		if err := <-ended; err != nil {
			return result{}, err
		}
	}
	return measured("franz-go", workload, int64(s.records), started), nil
}

func (w *rawWorker) connect(ctx context.Context) error {
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 5)
	var err error
	w.producer, err = kgo.NewClient(kgo.SeedBrokers(w.s.brokers), kgo.TransactionalID(fmt.Sprintf("%s-%d", w.out, w.index)),
		kgo.MaxVersions(versions), kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(20*time.Millisecond),
		kgo.MaxBufferedRecords(200_000), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return err
	}
	return w.producer.Ping(ctx)
}

func (w *rawWorker) acked(_ *kgo.Record, err error) {
	if err != nil {
		w.mu.Lock()
		w.failed = errors.Join(w.failed, err)
		w.mu.Unlock()
	}
}

func (w *rawWorker) run(ctx context.Context) error {
	if err := w.producer.BeginTransaction(); err != nil {
		return err
	}
	last := time.Now()
	for rs := range w.in {
		for _, r := range rs {
			w.process(ctx, r)
		}
		end := rs[len(rs)-1]
		w.offsets[end.Partition] = end.Offset + 1
		if time.Since(last) < w.s.commit {
			continue
		}
		if err := w.commit(ctx); err != nil {
			return err
		}
		if err := w.producer.BeginTransaction(); err != nil {
			return err
		}
		last = time.Now()
	}
	return w.commit(ctx)
}

func (w *rawWorker) process(ctx context.Context, r *kgo.Record) {
	if w.workload == "stateless" {
		if r.Value[0] != 'a' {
			w.producer.Produce(ctx, &kgo.Record{
				Topic: w.out, Partition: r.Partition, Key: r.Key, Value: bytes.ToUpper(r.Value), Timestamp: r.Timestamp,
			}, w.acked)
		}
		return
	}
	n := w.counts[string(r.Key)]
	if n == nil {
		n = new(int64)
		w.counts[string(r.Key)] = n
	}
	*n++
	w.dirty[string(r.Key)] = *n
	w.producer.Produce(ctx, &kgo.Record{
		Topic: w.out, Partition: r.Partition, Key: r.Key, Value: binary.BigEndian.AppendUint64(nil, uint64(*n)), Timestamp: r.Timestamp,
	}, w.acked)
}

// commit writes one changelog record per key that changed, the offsets, and ends the transaction.
func (w *rawWorker) commit(ctx context.Context) error {
	for k, n := range w.dirty {
		w.producer.Produce(ctx, &kgo.Record{
			Topic: w.out + "-changelog", Partition: int32(w.index), Key: []byte(k), Value: binary.BigEndian.AppendUint64(nil, uint64(n)),
		}, w.acked)
	}
	clear(w.dirty)
	if err := w.producer.Flush(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	failed := w.failed
	w.mu.Unlock()
	if failed != nil {
		return failed
	}
	member, generation := w.consumer.GroupMetadata()
	id, epoch, err := w.producer.ProducerID(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = fmt.Sprintf("%s-%d", w.out, w.index), w.out, id, epoch
	req.Generation, req.MemberID = generation, member
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic = w.s.topic
	for p, o := range w.offsets {
		part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		part.Partition, part.Offset = p, o
		t.Partitions = append(t.Partitions, part)
	}
	req.Topics = append(req.Topics, t)
	for err = error(errBusy); errors.Is(err, errBusy); { // the last transaction is still being completed
		err = sendOffsets(ctx, req, w.producer)
	}
	if err != nil {
		return err
	}
	return w.producer.EndTransaction(ctx, kgo.TryCommit)
}

var errBusy = kerr.ConcurrentTransactions

func sendOffsets(ctx context.Context, req *kmsg.TxnOffsetCommitRequest, c *kgo.Client) error {
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}
