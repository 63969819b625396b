package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// globals keep the global stores of the instance: loaded from their topics before the instance joins its group (global_load.go), then followed until it
// stops. Tasks read what is committed in them, from their workers; all that writes is in one goroutine at a time.
type globals struct {
	app    *App
	db     *state.DB
	task   *task.Global
	client *kgo.Client
	cancel context.CancelFunc // of user functions

	topics  []string
	parts   map[topicPartition]*globalPart
	spoiled map[string]bool // topics that have lost records which the stores may hold

	followed  chan struct{} // is closed when following is over; nil before it begins
	failed    bool
	lastLook  time.Time
	lastFlush time.Time
	lastNote  time.Time // of the checkpoints of partitions that were quiet
}

// A globalPart is one partition of a global topic.
type globalPart struct {
	end int64 // the offset to reach before tasks may run
	// asOf is a time at which the stores lacked nothing of the partition. What compaction has removed since then, they may still hold.
	asOf time.Time
}

const (
	lookInterval = 30 * time.Second
	noteInterval = 10 * time.Minute
)

// globalRows returns what tasks read global stores by; nil if there are none.
func (a *App) globalRows() func(store string) (state.Committed, error) {
	if a.globals == nil {
		return nil
	}
	return a.globals.task.Committed
}

// follow applies what comes until ctx ends. An error ends the application.
func (g *globals) follow(ctx context.Context) {
	g.followed = make(chan struct{})
	go func() {
		defer close(g.followed)
		defer context.AfterFunc(ctx, g.cancel)()
		for ctx.Err() == nil {
			if err := g.turn(ctx); err != nil && ctx.Err() == nil {
				g.failed = true
				g.app.fail(err)
				return
			}
		}
	}()
}

func (g *globals) turn(ctx context.Context) error {
	if err := g.poll(ctx); err != nil {
		return err
	}
	now := time.Now()
	if now.Sub(g.lastLook) >= g.app.look {
		g.lastLook = now
		if err := g.look(ctx); err != nil {
			return err
		}
	}
	if now.Sub(g.lastNote) >= noteInterval {
		g.lastNote = now
		if err := g.commit(true); err != nil {
			return err
		}
	}
	if now.Sub(g.lastFlush) >= g.app.cfg.FlushInterval {
		g.lastFlush = now
		return g.db.Flush()
	}
	return nil
}

// poll takes what the client has and applies it.
func (g *globals) poll(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, time.Second)
	fetches := g.client.PollRecords(wait, 20_000)
	cancel()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var err error
	now := time.Now()
	var ends []kgo.FetchTopicPartition
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if p.Err != nil && err == nil {
			err = g.fetchError(p)
		}
		if len(p.Records) > 0 {
			g.task.Add(p.Topic, p.Partition, rawsOf(p.Records))
			ends = append(ends, p)
		}
	})
	if err == nil {
		err = g.apply(ctx)
	}
	for _, p := range ends {
		if at, ok := g.task.Position(p.Topic, p.Partition); ok && at >= p.HighWatermark {
			g.parts[topicPartition{p.Topic, p.Partition}].asOf = now
		}
	}
	return err
}

func (g *globals) fetchError(p kgo.FetchTopicPartition) error {
	if errors.Is(p.Err, context.Canceled) || errors.Is(p.Err, context.DeadlineExceeded) {
		return nil
	}
	_, lost := errors.AsType[*kgo.ErrDataLoss](p.Err)
	if lost || errors.Is(p.Err, kerr.OffsetOutOfRange) {
		g.spoiled[p.Topic] = true
		return &TopicError{p.Topic, fmt.Errorf("partition %d of the global topic has lost records that were not read, or that were: start again, "+
			"the global store is loaded anew: %w", p.Partition, p.Err)}
	}
	if kerr.IsRetriable(p.Err) || classify(p.Err) == retry {
		g.app.log.Warn("fetch a global topic, trying again", "topic", p.Topic, "partition", p.Partition, "err", p.Err)
		return nil
	}
	return &TopicError{p.Topic, fmt.Errorf("fetch partition %d of the global topic: %w", p.Partition, p.Err)}
}

// apply applies and commits what is queued. While a record waits for its next attempt, so does everything that is not fetched yet.
func (g *globals) apply(ctx context.Context) error {
	for {
		now := time.Now()
		for n := 1; ; n++ {
			did, err := g.task.Step(now)
			if err != nil {
				return err
			}
			if !did {
				break
			}
			if n%1000 != 0 {
				continue
			}
			now = time.Now()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if g.task.CommitDue() {
				if err := g.commit(false); err != nil {
					return err
				}
			}
		}
		if err := g.commit(false); err != nil {
			return err
		}
		at, ok := g.task.NextAttempt()
		if !ok {
			return nil
		}
		g.app.log.Warn("a record of a global topic waits for another attempt, and so do those behind it", "at", at)
		if !sleep(ctx, time.Until(at)) {
			return ctx.Err()
		}
	}
}

// commit makes what is applied visible to tasks. With all, the checkpoints of quiet partitions are written once more, as of now.
func (g *globals) commit(all bool) error {
	err := g.task.Commit(all, func(topic string, partition int32, offset int64, epoch int32) state.Checkpoint {
		return g.app.checkpoint(topic, ended{offset, epoch}, g.parts[topicPartition{topic, partition}].asOf)
	})
	g.app.stats.globals(g.task.Counts())
	return err
}

// look finds partitions that were added, and topics that are not what they were. It notes which partitions there is nothing left to read of.
func (g *globals) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.app.cfg.RequestTimeout)
	defer cancel()
	now := time.Now()
	m, err := g.app.cluster.admin.Metadata(ctx, g.topics...)
	if err != nil {
		g.app.log.Warn("look at the global topics", "err", err)
		return nil
	}
	for _, topic := range g.topics {
		t := m.Topics[topic]
		if t.Err != nil {
			g.app.log.Warn("look at a global topic", "topic", topic, "err", t.Err)
			continue
		}
		if known := g.app.cluster.topicID(topic); t.ID != known && t.ID != [16]byte{} {
			return &TopicError{topic, errors.New("the global topic was deleted and created again: start again, the global store is loaded anew")}
		}
		for p := range t.Partitions {
			if g.parts[topicPartition{topic, p}] == nil {
				g.app.log.Info("a global topic has a new partition", "topic", topic, "partition", p)
				g.begin(topic, p, now)
			}
		}
	}
	ends, err := g.app.cluster.admin.ListEndOffsets(ctx, g.topics...)
	if err != nil {
		g.app.log.Warn("look at the ends of the global topics", "err", err)
		return nil
	}
	for tp, part := range g.parts {
		if end, ok := ends.Lookup(tp.topic, tp.partition); ok && end.Err == nil {
			if at, _ := g.task.Position(tp.topic, tp.partition); at >= end.Offset {
				part.asOf = now
			}
		}
	}
	return nil
}

// begin reads a new partition from its start.
func (g *globals) begin(topic string, partition int32, now time.Time) {
	g.parts[topicPartition{topic, partition}] = &globalPart{asOf: now}
	for i, gl := range g.app.top.Globals() {
		if gl.Topic() == topic {
			g.task.Begin(i, partition, 0)
		}
	}
	g.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}})
}

// stop waits for following to be over, and tells whether it is.
func (g *globals) stop(patience time.Duration) error {
	if g == nil || g.followed == nil {
		return nil
	}
	select {
	case <-g.followed:
		return nil
	case <-time.After(patience):
		return errors.New("the processor of a global store does not stop: it blocks and does not heed its context; it is left behind")
	}
}

// close gives the stores up. leftBehind tells that following is not over: whoever still uses a store gets errors from then on.
func (g *globals) close(leftBehind bool) (err error) {
	if g == nil {
		return nil
	}
	g.cancel()
	if g.client != nil {
		g.client.Close()
	}
	if leftBehind {
		return g.db.Close()
	}
	for _, gl := range g.app.top.Globals() {
		if g.spoiled[gl.Topic()] {
			err = errors.Join(err, g.db.Wipe(gl.Store().Info()))
		}
	}
	if g.followed != nil && !g.failed {
		err = errors.Join(err, g.commit(true))
	}
	return errors.Join(err, g.db.Close())
}

// globalTopics are the names of the topics that fill global stores, without repeats.
func globalTopics(top *topology.Topology) []string {
	var topics []string
	seen := map[string]bool{}
	for _, g := range top.Globals() {
		if t := g.Topic(); !seen[t] {
			seen[t] = true
			topics = append(topics, t)
		}
	}
	return topics
}
