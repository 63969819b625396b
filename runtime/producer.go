package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/weirstream/weir/topology"
)

// A producer is what one worker writes with. Under exactly-once it has at most one transaction open, from the first record of a commit interval to
// its end: no record, no transaction. It is for the goroutine of its worker.
type producer struct {
	cfg    Config
	ctx    context.Context // of the client's calls; ends when nothing is waited for any more
	id     string          // transactional; empty under at-least-once
	client *kgo.Client
	v2     bool // the broker adds partitions and offsets to transactions by itself (KIP-890)

	open  bool // a transaction is open
	since time.Time
	sent  int

	mu   sync.Mutex
	acks int
	err  error                    // the first record that was refused since the last end
	ends map[topicPartition]ended // of changelogs
}

// ended is where a changelog stands behind a record.
type ended struct {
	offset int64
	epoch  int32
}

// bufferedBytes bounds what a producer holds that the broker has not: a slow broker holds up the worker.
const bufferedBytes = 64 << 20

// newProducer returns the producer of a worker. ctx bounds the making, life the calls for records.
func newProducer(ctx, life context.Context, c Config, index int, processID string) (*producer, error) {
	p := &producer{cfg: c, ctx: life, ends: map[topicPartition]ended{}}
	opts := append(c.options(fmt.Sprintf("producer-%d", index)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.ProducerLinger(10*time.Millisecond), kgo.MaxBufferedRecords(200_000), kgo.MaxBufferedBytes(bufferedBytes),
		kgo.ProducerBatchMaxBytes(int32(c.MaxRecordBytes)+512), kgo.UnknownTopicRetries(20),
	)
	if c.Guarantee == ExactlyOnce {
		p.id = fmt.Sprintf("%s-%s-%d", c.ApplicationID, processID, index)
		// Version 6 of TxnOffsetCommit names topics by id, and brokers that offer it do not take names any more.
		versions := kversion.Stable()
		versions.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 5)
		opts = append(opts, kgo.TransactionalID(p.id), kgo.TransactionTimeout(c.TransactionTimeout), kgo.MaxVersions(versions))
	}
	var err error
	if p.client, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("make a producer: %w", err)
	}
	if p.id == "" {
		return p, nil
	}
	if err := p.start(ctx); err != nil {
		p.client.Close()
		return nil, err
	}
	return p, nil
}

// start takes the transactional id over: a transaction that a dead instance has left open is aborted by that.
func (p *producer) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.RequestTimeout)
	defer cancel()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "weir", "v0"
	resp, err := req.RequestWith(ctx, p.client) // also what lets the client find out about KIP-890 before its first transaction
	if err != nil {
		return fmt.Errorf("ask the broker for its features: %w", err)
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" && f.MaxVersionLevel >= 2 {
			p.v2 = true
		}
	}
	if _, _, err = p.client.ProducerID(ctx); err != nil {
		return fmt.Errorf("take transactional id %q: %w", p.id, err)
	}
	return nil
}

var records = sync.Pool{New: func() any { return new(kgo.Record) }}

// produce buffers one record. Its slices must not change any more.
func (p *producer) produce(o *topology.Output, changelog bool) error {
	if p.id != "" && !p.open {
		if err := p.client.BeginTransaction(); err != nil {
			return fmt.Errorf("begin a transaction: %w", err)
		}
		p.open, p.since = true, time.Now()
	}
	r := records.Get().(*kgo.Record)
	r.Topic, r.Partition, r.Key, r.Value, r.Timestamp = o.Topic, o.Partition, o.Key, o.Value, o.Timestamp
	r.Headers = r.Headers[:0]
	for i := range o.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: o.Headers[i].Key, Value: o.Headers[i].Value})
	}
	p.sent++
	if changelog {
		p.client.Produce(p.ctx, r, p.logged)
	} else {
		p.client.Produce(p.ctx, r, p.acked)
	}
	return nil
}

// acked is called for each record that the broker has answered.
func (p *producer) acked(r *kgo.Record, err error) {
	p.mu.Lock()
	p.ack(r, err)
	p.mu.Unlock()
	recycle(r)
}

func (p *producer) logged(r *kgo.Record, err error) {
	p.mu.Lock()
	p.ack(r, err)
	if err == nil {
		p.ends[topicPartition{r.Topic, r.Partition}] = ended{r.Offset + 1, r.LeaderEpoch}
	}
	p.mu.Unlock()
	recycle(r)
}

func (p *producer) ack(r *kgo.Record, err error) {
	if err == nil {
		p.acks++
	} else if p.err == nil {
		if errors.Is(err, kerr.InvalidTimestamp) {
			err = fmt.Errorf("%w: a record's time is too far from the broker's clock: raise the topic's message.timestamp.after.max.ms, "+
				"or message.timestamp.before.max.ms for records that are old", err)
		}
		p.err = fmt.Errorf("write to topic %q partition %d: %w", r.Topic, r.Partition, err)
	}
}

func recycle(r *kgo.Record) {
	headers := r.Headers
	clear(headers)
	*r = kgo.Record{Headers: headers[:0]}
	records.Put(r)
}

// flush returns when the broker has answered all records; the error is the first refusal.
func (p *producer) flush(ctx context.Context) error {
	if err := p.client.Flush(ctx); err != nil {
		return fmt.Errorf("flush the producer: %w", err)
	}
	return p.refused()
}

func (p *producer) refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// end is where a changelog stands, if it was written since the last reset.
func (p *producer) end(topic string, partition int32) (ended, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.ends[topicPartition{topic, partition}]
	return e, ok
}

// sendOffsets makes offsets a part of the transaction.
func (p *producer) sendOffsets(ctx context.Context, group, member string, generation int32, offsets []offset) error {
	id, epoch, err := p.client.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("commit offsets in the transaction: %w", err)
	}
	if !p.v2 {
		add := kmsg.NewPtrAddOffsetsToTxnRequest()
		add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = p.id, id, epoch, group
		resp, err := add.RequestWith(ctx, p.client)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err != nil {
			return fmt.Errorf("add offsets of group %q to the transaction: %w", group, err)
		}
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = p.id, group, id, epoch
	req.Generation, req.MemberID = generation, member
	for _, o := range offsets {
		i := slices.IndexFunc(req.Topics, func(t kmsg.TxnOffsetCommitRequestTopic) bool { return t.Topic == o.Topic })
		if i < 0 {
			t := kmsg.NewTxnOffsetCommitRequestTopic()
			t.Topic = o.Topic
			req.Topics = append(req.Topics, t)
			i = len(req.Topics) - 1
		}
		part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		part.Partition, part.Offset, part.LeaderEpoch, part.Metadata = o.Partition, o.Offset.Offset, o.LeaderEpoch, &o.Metadata
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, part)
	}
	resp, err := req.RequestWith(ctx, p.client)
	if err != nil {
		return fmt.Errorf("commit offsets in the transaction: %w", err)
	}
	for _, t := range resp.Topics {
		for _, part := range t.Partitions {
			if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
				return fmt.Errorf("commit offset of topic %q partition %d in the transaction: %w", t.Topic, part.Partition, err)
			}
		}
	}
	return nil
}

// commit ends the transaction. unknown tells that nobody knows whether it did.
func (p *producer) commit(ctx context.Context) (unknown bool, err error) {
	p.mu.Lock()
	acks := p.acks
	p.mu.Unlock()
	if acks == 0 {
		// The client would abort a transaction without an accepted record, and call that a success.
		return false, fmt.Errorf("commit the transaction: %w: no record was accepted", kerr.OperationNotAttempted)
	}
	if err := p.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		// A refusal may answer the client's second attempt, behind a first whose answer was lost. Nor does the client end a transaction behind
		// an end that was tried: only a new producer does.
		return !errors.Is(err, kerr.OperationNotAttempted), fmt.Errorf("commit the transaction: %w", err)
	}
	p.reset()
	return false, nil
}

// abort ends the transaction without its records. An error means that the producer is of no more use.
func (p *producer) abort(ctx context.Context) error {
	if p.id == "" {
		if err := p.client.AbortBufferedRecords(ctx); err != nil {
			return fmt.Errorf("drop buffered records: %w", err)
		}
		p.reset()
		return nil
	}
	if !p.open {
		p.reset()
		return nil
	}
	if err := p.client.AbortBufferedRecords(ctx); err != nil {
		return fmt.Errorf("drop buffered records: %w", err)
	}
	if err := p.client.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return fmt.Errorf("abort the transaction: %w", err)
	}
	p.reset()
	return nil
}

// reset forgets what the last transaction was.
func (p *producer) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open, p.sent, p.acks, p.err = false, 0, 0, nil
	clear(p.ends)
}

func (p *producer) close() { p.client.Close() }
