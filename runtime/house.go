package runtime

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

const (
	purgeInterval   = 30 * time.Second
	cleanupInterval = time.Minute
	matchInterval   = time.Minute
)

// keepHouse removes what is not needed any more: records of repartition topics that are processed, and local state of tasks that went elsewhere. It looks
// for topics that patterns match and that are new.
func (a *App) keepHouse(ctx context.Context) {
	purge, cleanup := time.NewTicker(purgeInterval), time.NewTicker(min(cleanupInterval, max(a.cfg.StateCleanupDelay, time.Millisecond)))
	look := time.NewTicker(matchInterval)
	defer purge.Stop()
	defer look.Stop()
	defer cleanup.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-purge.C:
			a.purge(ctx)
		case <-look.C:
			a.lookForTopics(ctx)
		case now := <-cleanup.C:
			if err := a.dir.cleanup(now, a.cfg.StateCleanupDelay); err != nil {
				a.log.Warn("clean up local state", "err", err)
			}
		}
	}
}

// purge deletes what this instance has committed of repartition topics. It is best effort: what it misses, the next one finds.
func (a *App) purge(ctx context.Context) {
	topics := map[string][]int32{}
	repartition := map[string]bool{}
	for _, t := range a.plan.Internal {
		repartition[t.Name] = t.Store == ""
	}
	a.mu.Lock()
	for tp := range a.inputs {
		if repartition[tp.topic] {
			topics[tp.topic] = append(topics[tp.topic], tp.partition)
		}
	}
	a.mu.Unlock()
	if len(topics) == 0 {
		return
	}
	at, err := a.cluster.committed(ctx, topics)
	if err != nil {
		a.log.Warn("purge repartition topics", "err", err)
		return
	}
	var offsets kadm.Offsets
	for _, parts := range at {
		for _, o := range parts {
			if o.At > 0 {
				offsets.Add(o)
			}
		}
	}
	if len(offsets) == 0 {
		return
	}
	deleted, err := a.cluster.admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil && ctx.Err() == nil {
		a.log.Warn("purge repartition topics: they grow until this works; the application needs Delete on them", "err", err)
	}
}
