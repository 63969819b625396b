package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// restoring is one store whose changelog is replayed.
type restoring struct {
	store    state.Store
	topic    string
	position int64
	end      int64 // the offset to reach
	epoch    int32
	records  int64
	wiped    bool
}

// restore brings the stores of a task to the ends of their changelogs, from where their local state stands.
//
// # The end to reach
//
// The group's offsets were read before, and waited for open transactions. The end is the high watermark read after that, control records
// included: the last stable offset may for a moment lag behind a commit that the group already shows (KAFKA-10167), and a restore that stopped
// there would miss what the offsets claim. A store that is restored from the source of its table is brought to where the task goes on to read it:
// no further.
func (a *App) restore(ctx context.Context, r *running, positions map[string]int64) error {
	var all []*restoring
	for _, st := range r.task.Stores() {
		info := st.Info()
		if !info.Changelog {
			continue
		}
		x := &restoring{store: st, topic: topology.LogTopic(a.cfg.ApplicationID, info), epoch: -1}
		limit := int64(math.MaxInt64)
		if info.Source != "" {
			at, ok := positions[info.Source]
			if !ok {
				continue // the topic has no such partition
			}
			limit = at
		}
		if err := a.prepareRestore(ctx, r, x, limit); err != nil {
			return err
		}
		r.ends[info.DurableName()] = ended{x.position, x.epoch}
		if x.position < x.end {
			all = append(all, x)
		} else if x.wiped {
			a.stats.restored(0, true)
		}
	}
	if len(all) == 0 {
		return nil
	}
	started := time.Now()
	if err := a.replay(ctx, r, all); err != nil {
		if errors.Is(err, kerr.OffsetOutOfRange) {
			// The log's start has moved over a position: what is local cannot be continued.
			for _, x := range all {
				err = errors.Join(err, r.db.Wipe(x.store.Info()))
			}
			a.log.Warn("a changelog was cut off while it was read, restoring from its new start", "task", r.id, "err", err)
			return fmt.Errorf("%w: %w", errAgain, err)
		}
		return err
	}
	for _, x := range all {
		r.ends[x.store.Info().DurableName()] = ended{x.position, x.epoch}
		a.stats.restored(x.records, x.wiped)
		a.log.Info("restored a store", "task", r.id, "store", x.store.Info().Name, "records", x.records, "to", x.position, "took", time.Since(started))
	}
	return nil
}

// errAgain asks for another attempt at opening a task.
var errAgain = errors.New("try again")

// checkpointAge is the broker's delete.retention.ms (24 h by default) with a margin: a checkpoint that is older may miss tombstones that
// compaction has removed since.
const checkpointAge = 23 * time.Hour

// prepareRestore finds out from where to where the changelog is to be replayed, no further than limit, and wipes local state that cannot be continued.
func (a *App) prepareRestore(ctx context.Context, r *running, x *restoring, limit int64) error {
	starts, err := a.cluster.admin.ListStartOffsets(ctx, x.topic)
	if err != nil {
		return &TopicError{x.topic, fmt.Errorf("find its start: %w", err)}
	}
	ends, err := a.cluster.admin.ListEndOffsets(ctx, x.topic)
	if err != nil {
		return &TopicError{x.topic, fmt.Errorf("find its end: %w", err)}
	}
	first, ok1 := starts.Lookup(x.topic, r.id.Partition)
	last, ok2 := ends.Lookup(x.topic, r.id.Partition)
	switch {
	case !ok1 || !ok2:
		return &TopicError{x.topic, fmt.Errorf("partition %d does not exist", r.id.Partition)}
	case first.Err != nil:
		return &TopicError{x.topic, first.Err}
	case last.Err != nil:
		return &TopicError{x.topic, last.Err}
	}
	x.end = min(last.Offset, limit)
	a.stats.opened(last.Offset - first.Offset)
	info := x.store.Info()
	cp, ok, err := r.db.Checkpoint(info)
	if err != nil {
		return err
	}
	x.position = first.Offset
	if !ok {
		return nil
	}
	if why := a.unusable(cp, x, first.Offset); why != "" {
		a.log.Warn("local state cannot be continued, restoring the store from the start", "task", r.id, "store", info.Name, "why", why)
		x.wiped = true
		return r.db.Wipe(info)
	}
	x.position = cp.Offset
	return nil
}

// unusable tells why a checkpoint cannot be continued from; empty if it can.
func (a *App) unusable(cp state.Checkpoint, x *restoring, first int64) string {
	switch {
	case cp.ClusterID != a.cluster.id:
		return fmt.Sprintf("it is of cluster %q", cp.ClusterID)
	case cp.TopicID != a.cluster.topicID(x.topic):
		return "the topic was deleted and created again"
	case cp.Offset > x.end:
		return fmt.Sprintf("it is at offset %d, and the topic ends at %d", cp.Offset, x.end)
	case cp.Offset < first:
		return fmt.Sprintf("it is at offset %d, and the topic begins at %d", cp.Offset, first)
	case time.Since(cp.AppliedAt) > checkpointAge:
		return fmt.Sprintf("it is of %v: compaction may have removed deletes since", cp.AppliedAt)
	}
	return ""
}

// restoreBatchBytes is the size of one step of a restore.
const restoreBatchBytes = 2 << 20

// replay reads the changelogs side by side, with a client of its own.
func (a *App) replay(ctx context.Context, r *running, all []*restoring) error {
	from := map[string]map[int32]kgo.Offset{}
	byTopic := map[string]*restoring{}
	for _, x := range all {
		from[x.topic] = map[int32]kgo.Offset{r.id.Partition: kgo.NewOffset().At(x.position)}
		byTopic[x.topic] = x
	}
	client, err := kgo.NewClient(append(a.cfg.options("restore"),
		kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(200*time.Millisecond), kgo.FetchMaxPartitionBytes(4<<20),
		kgo.FetchMaxBytes(8<<20),
	)...)
	if err != nil {
		return fmt.Errorf("make a consumer for changelogs: %w", err)
	}
	defer client.Close()
	step, quiet := r.task.Restore(), time.Now()
	for {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := client.PollRecords(poll, 20_000)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		progress, err := a.replayFetches(fetches, byTopic, step)
		if err != nil {
			return err
		}
		done := true
		for _, x := range all {
			done = done && x.position >= x.end
		}
		if !done && !progress && time.Since(quiet) > 2*time.Second {
			if done, err = a.drained(ctx, r, all); err != nil {
				return err
			}
			quiet = time.Now()
		}
		if progress {
			quiet = time.Now()
		}
		if step.Size() > restoreBatchBytes || done {
			if err := step.Apply(a.restoredTo(all)); err != nil {
				return err
			}
			step = r.task.Restore()
		}
		if done {
			return nil
		}
	}
}

func (a *App) replayFetches(fetches kgo.Fetches, byTopic map[string]*restoring, step interface {
	Add(store state.Store, rec *topology.Raw) error
}) (progress bool, err error) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		x := byTopic[p.Topic]
		if p.Err != nil && err == nil && classify(p.Err) != retry && classify(p.Err) != abort {
			err = &TopicError{p.Topic, fmt.Errorf("restore partition %d: %w", p.Partition, p.Err)}
		}
		if x == nil || err != nil {
			return
		}
		raws := rawsOf(p.Records)
		for i := range raws {
			raw := &raws[i]
			if raw.Offset >= x.end {
				break
			}
			if !raw.Control {
				if err = step.Add(x.store, raw); err != nil {
					return
				}
				x.records++
			}
			x.position, x.epoch, progress = raw.Offset+1, raw.LeaderEpoch, true
		}
		if len(raws) > 0 && raws[len(raws)-1].Offset >= x.end {
			x.position = max(x.position, x.end)
		}
	})
	return progress, err
}

// drained tells whether nothing more can come below the ends: compaction may have removed the last records, and the client does not show a fetch that
// returns none. So the leader is asked: it has nothing below the end if a fetch from the position returns no batch at all, and the last stable offset has
// passed the end, so that no open transaction holds records back.
func (a *App) drained(ctx context.Context, r *running, all []*restoring) (bool, error) {
	for _, x := range all {
		if x.position >= x.end {
			continue
		}
		p, err := a.fetchRaw(ctx, x.topic, r.id.Partition, x.position)
		if err != nil {
			return false, &TopicError{x.topic, fmt.Errorf("look behind offset %d of partition %d: %w", x.position, r.id.Partition, err)}
		}
		if len(p.RecordBatches) > 0 || p.LastStableOffset < x.end {
			return false, nil
		}
	}
	for _, x := range all {
		x.position = max(x.position, x.end)
	}
	return true, nil
}

// fetchRaw asks the leader of a partition for what it has from an offset on, read-committed.
func (a *App) fetchRaw(ctx context.Context, topic string, partition int32, from int64) (p kmsg.FetchResponseTopicPartition, err error) {
	m, err := a.cluster.admin.Metadata(ctx, topic)
	if err != nil {
		return p, err
	}
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, m.Topics[topic].ID
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = partition, from, 1<<16
	t.Partitions = append(t.Partitions, part)
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel = 100, 1, 1<<16, 1
	req.SessionID, req.SessionEpoch = 0, -1
	req.Topics = append(req.Topics, t)
	resp, err := a.cluster.client.Broker(int(m.Topics[topic].Partitions[partition].Leader)).RetriableRequest(ctx, req)
	if err != nil {
		return p, err
	}
	answer, ok := resp.(*kmsg.FetchResponse)
	if !ok || len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return p, errors.New("the broker's answer is about something else")
	}
	p = answer.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return p, err
	}
	return p, kerr.ErrorForCode(p.ErrorCode)
}

func (a *App) restoredTo(all []*restoring) map[string]state.Checkpoint {
	out := map[string]state.Checkpoint{}
	for _, x := range all {
		out[x.store.Info().DurableName()] = a.checkpoint(x.topic, ended{x.position, x.epoch}, time.Now())
	}
	return out
}

// confirm writes the checkpoints of a task that is about to be closed once more, as of now.
func (a *App) confirm(r *running) {
	c, now := r.db.Begin(), time.Now()
	for _, st := range r.task.Stores() {
		info := st.Info()
		if e, ok := r.ends[info.DurableName()]; ok {
			if err := c.SaveCheckpoint(info, a.checkpoint(topology.LogTopic(a.cfg.ApplicationID, info), e, now)); err != nil {
				c.Discard()
				return // those of the last commit stand
			}
		}
	}
	if err := c.Apply(); err != nil {
		a.log.Warn("confirm checkpoints", "task", r.id, "err", err)
	}
}

// checkpoint is the position in a changelog, as it is kept beside the rows.
func (a *App) checkpoint(topic string, e ended, now time.Time) state.Checkpoint {
	return state.Checkpoint{
		ClusterID: a.cluster.id, TopicID: a.cluster.topicID(topic), LeaderEpoch: e.epoch, Offset: e.offset, AppliedAt: now,
	}
}
