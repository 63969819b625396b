package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/state"
)

// loadGlobals opens the global stores and brings them to where the ends of their topics are now. No task runs before. It tries for as long as it is
// the cluster that does not answer.
func (a *App) loadGlobals(ctx context.Context) error {
	if len(a.top.Globals()) == 0 {
		return nil
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := a.tryLoadGlobals(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case classify(err) != retry && classify(err) != abort && !errors.Is(err, errAgain):
			return fmt.Errorf("load global stores: %w", err)
		}
		a.log.Warn("load global stores, trying again", "err", err)
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}

func (a *App) tryLoadGlobals(ctx context.Context) (err error) {
	g := &globals{
		app: a, topics: globalTopics(a.top), parts: map[topicPartition]*globalPart{}, spoiled: map[string]bool{},
		lastLook: time.Now(), lastFlush: time.Now(), lastNote: time.Now(),
	}
	var user context.Context
	user, g.cancel = context.WithCancel(context.Background())
	defer context.AfterFunc(ctx, g.cancel)()
	if g.db, err = a.dir.openGlobal(a.cfg.ApplicationID); err != nil {
		g.cancel()
		return err
	}
	if err = g.load(ctx, user); err != nil {
		again := len(g.spoiled) > 0
		if err = errors.Join(err, g.close(false)); again {
			err = fmt.Errorf("%w: %w", errAgain, err)
		}
		return err
	}
	a.globals = g
	return nil
}

func (g *globals) load(ctx, user context.Context) (err error) {
	a := g.app
	if g.task, err = task.OpenGlobal(task.GlobalConfig{
		Application: a.cfg.ApplicationID, Topology: a.top, DB: g.db, Context: user, DirtyBytes: a.globalDirtyBytes(),
	}); err != nil {
		return err
	}
	from, err := g.positions(ctx)
	if err != nil {
		return err
	}
	if g.client, err = kgo.NewClient(append(a.cfg.options("global"),
		kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(500*time.Millisecond), kgo.FetchMaxPartitionBytes(2<<20),
		kgo.FetchMaxBytes(8<<20),
	)...); err != nil {
		return fmt.Errorf("make a consumer for global topics: %w", err)
	}
	started, before := time.Now(), g.done()
	for quiet := time.Now(); ; {
		short, progress := g.short(), g.done()
		if len(short) == 0 {
			break
		}
		if err := g.poll(ctx); err != nil {
			return err
		}
		if g.done() != progress {
			quiet = time.Now()
		}
		if time.Since(quiet) > 2*time.Second {
			if err := g.skipEmpty(ctx, short); err != nil {
				return err
			}
			quiet = time.Now()
		}
	}
	for _, part := range g.parts {
		part.asOf = started
	}
	if err := g.commit(true); err != nil {
		return err
	}
	a.stats.loaded(g.done() - before)
	a.log.Info("loaded the global stores", "offsets", g.done()-before, "took", time.Since(started))
	return g.db.Flush()
}

// done is the sum of all positions.
func (g *globals) done() int64 {
	n := int64(0)
	for tp := range g.parts {
		at, _ := g.task.Position(tp.topic, tp.partition)
		n += at
	}
	return n
}

// short are the partitions that lack something of what they had at the start.
func (g *globals) short() []topicPartition {
	var out []topicPartition
	for tp, part := range g.parts {
		if at, ok := g.task.Position(tp.topic, tp.partition); ok && at < part.end {
			out = append(out, tp)
		}
	}
	return out
}

// skipEmpty finds the partitions that have nothing left below their ends: see App.drained.
func (g *globals) skipEmpty(ctx context.Context, short []topicPartition) error {
	for _, tp := range short {
		at, _ := g.task.Position(tp.topic, tp.partition)
		p, err := g.app.fetchRaw(ctx, tp.topic, tp.partition, at)
		if errors.Is(err, kerr.OffsetOutOfRange) {
			g.spoiled[tp.topic] = true
		}
		if err != nil {
			return &TopicError{tp.topic, fmt.Errorf("look behind offset %d of partition %d: %w", at, tp.partition, err)}
		}
		if part := g.parts[tp]; len(p.RecordBatches) == 0 && p.LastStableOffset >= part.end {
			part.end = at
		}
	}
	return nil
}

// positions finds out from where to where each partition is to be read, and wipes stores that cannot be continued: all of a store, since its rows do not
// tell which partition they are of.
func (g *globals) positions(ctx context.Context) (map[string]map[int32]kgo.Offset, error) {
	a, now := g.app, time.Now()
	starts, err := a.cluster.admin.ListStartOffsets(ctx, g.topics...)
	if err != nil {
		return nil, fmt.Errorf("find the starts of global topics: %w", err)
	}
	ends, err := a.cluster.admin.ListEndOffsets(ctx, g.topics...)
	if err != nil {
		return nil, fmt.Errorf("find the ends of global topics: %w", err)
	}
	from := map[string]map[int32]kgo.Offset{}
	for _, topic := range g.topics {
		if len(starts[topic]) == 0 || len(ends[topic]) == 0 {
			return nil, &TopicError{topic, errors.New("it does not exist: create it, it fills a global store")}
		}
		from[topic] = map[int32]kgo.Offset{}
	}
	for i, gl := range a.top.Globals() {
		at, err := g.resume(gl.Store().Info(), gl.Topic(), starts[gl.Topic()], ends[gl.Topic()], now)
		if err != nil {
			return nil, err
		}
		for p, offset := range at {
			g.task.Begin(i, p, offset)
		}
	}
	for tp := range g.parts {
		at, _ := g.task.Position(tp.topic, tp.partition)
		from[tp.topic][tp.partition] = kgo.NewOffset().At(at)
	}
	return from, nil
}

// resume returns where each partition goes on for one store.
func (g *globals) resume(info state.Info, topic string, starts, ends map[int32]kadm.ListedOffset, now time.Time) (map[int32]int64, error) {
	a, at, asOf, why := g.app, map[int32]int64{}, map[int32]time.Time{}, ""
	for p, end := range ends {
		start := starts[p]
		if err := errors.Join(start.Err, end.Err); err != nil {
			return nil, &TopicError{topic, fmt.Errorf("find the start and the end of partition %d: %w", p, err)}
		}
		at[p], asOf[p] = start.Offset, now
		cp, ok, err := g.db.PartitionCheckpoint(info, p)
		if err != nil {
			return nil, err
		}
		if ok {
			if reason := a.unusable(cp, &restoring{topic: topic, end: end.Offset}, start.Offset); reason != "" {
				why = fmt.Sprintf("checkpoint of partition %d: %s", p, reason)
				continue
			}
			at[p], asOf[p] = cp.Offset, cp.AppliedAt
		}
	}
	if why != "" {
		a.log.Warn("local state cannot be continued, loading the global store from the start", "store", info.Name, "topic", topic, "why", why)
		if err := g.db.Wipe(info); err != nil {
			return nil, err
		}
		a.stats.restored(0, true)
		for p := range at {
			at[p], asOf[p] = starts[p].Offset, now
		}
	}
	for p := range at {
		tp := topicPartition{topic, p}
		if part := g.parts[tp]; part == nil {
			g.parts[tp] = &globalPart{end: ends[p].Offset, asOf: asOf[p]}
		} else if asOf[p].Before(part.asOf) {
			part.asOf = asOf[p]
		}
	}
	return at, nil
}
