package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/topology"
)

// An input is one source partition that this instance owns.
type input struct {
	topic     string
	partition int32
	id        topology.TaskID
	worker    *worker

	buffered atomic.Int64 // records delivered and not processed
	queued   int64        // of these, those in the task's queue; for the worker
	average  atomic.Int64 // bytes of a record, as of the last fetch
	epoch    int64        // of what is fetched; for the fetch loop
	held     bool         // its task does not run yet; guarded by App.mu
	full     bool         // guarded by App.mu
	gone     bool         // was revoked; guarded by App.mu
}

// Records per partition at which fetching pauses and goes on. Pausing throws away what the client has fetched ahead: the marks are far apart.
const (
	highMark = 20_000
	lowMark  = 5_000
	perPoll  = 50_000
)

// fetch polls and hands what comes to the workers. Changes of position run here, between two polls: a poll that was on its way is handed over
// before, under the old epoch, and dropped by its worker.
func (a *App) fetch(ctx context.Context) error {
	for ctx.Err() == nil {
		poll, cancel := context.WithCancel(ctx)
		a.mu.Lock()
		calls := a.calls
		a.calls = nil
		a.cancelPoll = cancel
		a.mu.Unlock()
		for _, f := range calls {
			f()
		}
		if len(calls) > 0 {
			cancel()
			continue
		}
		fetches := a.consumer.PollRecords(poll, perPoll)
		cancel()
		if fetches.IsClientClosed() {
			return nil
		}
		var failed error
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if p.Err != nil && failed == nil {
				failed = a.fetchError(ctx, p)
			}
			a.dispatch(&p)
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// inFetch runs f on the fetch loop, between two polls.
func (a *App) inFetch(f func()) {
	a.mu.Lock()
	a.calls = append(a.calls, f)
	cancel := a.cancelPoll
	a.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (a *App) fetchError(ctx context.Context, p kgo.FetchTopicPartition) error {
	if errors.Is(p.Err, context.Canceled) || errors.Is(p.Err, context.DeadlineExceeded) || ctx.Err() != nil {
		return nil
	}
	if errors.Is(p.Err, errExpelled) {
		return nil // the client joins again
	}
	if kerr.IsRetriable(p.Err) || classify(p.Err) == retry || classify(p.Err) == rejoin {
		a.log.Warn("fetch, trying again", "topic", p.Topic, "partition", p.Partition, "err", p.Err)
		return nil
	}
	if _, ok := errors.AsType[*kgo.ErrDataLoss](p.Err); ok {
		a.log.Error("records are lost on the broker, going on behind them", "topic", p.Topic, "partition", p.Partition, "err", p.Err)
		return nil
	}
	if p.Topic == "" {
		return fmt.Errorf("be a member of group %q: %w", a.cfg.ApplicationID, p.Err)
	}
	return &TopicError{p.Topic, fmt.Errorf("fetch partition %d: %w", p.Partition, p.Err)}
}

// dispatch hands the records of one partition to the worker that runs its task.
func (a *App) dispatch(p *kgo.FetchTopicPartition) {
	if len(p.Records) == 0 {
		return
	}
	a.mu.Lock()
	in := a.inputs[topicPartition{p.Topic, p.Partition}]
	if in == nil || in.gone || in.held { // held: a poll of before the partition came back to this instance
		a.mu.Unlock()
		return
	}
	n := in.buffered.Add(int64(len(p.Records)))
	in.average.Store(averageBytes(p.Records))
	if (n > highMark || n*in.average.Load() > a.ahead) && !in.full {
		in.full = true
		a.consumer.PauseFetchPartitions(map[string][]int32{in.topic: {in.partition}})
	}
	epoch := in.epoch
	a.mu.Unlock()
	in.worker.deliver(delivery{in: in, epoch: epoch, raws: rawsOf(p.Records), end: p.LastStableOffset})
}

// averageBytes is about what a record of a fetch takes in memory.
func averageBytes(rs []*kgo.Record) int64 {
	n := 0
	for _, r := range rs {
		n += len(r.Key) + len(r.Value) + 200
		for i := range r.Headers {
			n += len(r.Headers[i].Key) + len(r.Headers[i].Value) + 50
		}
	}
	return int64(n / len(rs))
}

func rawsOf(rs []*kgo.Record) []topology.Raw {
	raws := make([]topology.Raw, len(rs))
	for i, r := range rs {
		raw := &raws[i]
		raw.Topic, raw.Partition, raw.Offset, raw.LeaderEpoch = r.Topic, r.Partition, r.Offset, r.LeaderEpoch
		raw.Key, raw.Value, raw.TimestampMs, raw.Control = r.Key, r.Value, r.Timestamp.UnixMilli(), r.Attrs.IsControl()
		if len(r.Headers) > 0 {
			raw.Headers = make([]topology.Header, len(r.Headers))
			for j, h := range r.Headers {
				raw.Headers[j] = topology.Header{Key: h.Key, Value: h.Value}
			}
		}
	}
	return raws
}

// release notes what a task has processed, and lets fetching go on where there is room again.
func (a *App) release(r *running) {
	for _, in := range r.inputs {
		left := int64(r.task.Buffered(in.topic))
		in.buffered.Add(left - in.queued)
		in.queued = left
		if n := in.buffered.Load(); n > lowMark || n*in.average.Load() > a.ahead/4 {
			continue
		}
		a.mu.Lock()
		if in.full && !in.gone {
			in.full = false
			if !in.held {
				a.consumer.ResumeFetchPartitions(map[string][]int32{in.topic: {in.partition}})
			}
		}
		a.mu.Unlock()
	}
}

// rewind takes the consumer to the positions, under the task's new epoch.
func (a *App) rewind(r *running, positions map[string]int64) {
	epoch := r.epoch
	a.inFetch(func() {
		offsets := map[string]map[int32]kgo.EpochOffset{}
		a.mu.Lock()
		for _, in := range r.inputs {
			if in.gone {
				continue
			}
			offsets[in.topic] = map[int32]kgo.EpochOffset{in.partition: {Epoch: -1, Offset: positions[in.topic]}}
			in.epoch = epoch
			if in.full {
				in.full = false
				if !in.held {
					a.consumer.ResumeFetchPartitions(map[string][]int32{in.topic: {in.partition}})
				}
			}
		}
		a.mu.Unlock()
		a.consumer.SetOffsets(offsets)
	})
}
