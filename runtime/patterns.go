package runtime

import (
	"context"
	"slices"

	"github.com/weirstream/weir/topology"
)

// lookForTopics tells of topics that have come to match a pattern since the start. They are read when the instances have been started anew: the tasks and
// their inputs are laid out once, at the start.
func (a *App) lookForTopics(ctx context.Context) {
	if !a.top.HasPatterns() {
		return
	}
	top, err := a.cluster.resolve(ctx, a.top)
	if err != nil {
		if ctx.Err() == nil {
			a.log.Warn("look for topics that match a pattern: the application would not start as things are", "err", err)
		}
		return
	}
	known := sourceTopics(a.top, a.cfg.ApplicationID)
	var found []string
	for _, topic := range sourceTopics(top, a.cfg.ApplicationID) {
		if !slices.Contains(known, topic) {
			found = append(found, topic)
		}
	}
	if fresh := a.stats.newTopics(found); len(fresh) > 0 {
		a.log.Warn("topics have come to match a pattern: they are read when all instances have been started anew", "topics", fresh)
	}
}

// sourceTopics are all topics that a topology reads.
func sourceTopics(top *topology.Topology, application string) []string {
	var topics []string
	for _, s := range top.Subtopologies() {
		for _, t := range s.SourceTopics(application) {
			topics = append(topics, t.Name)
		}
	}
	return topics
}

// tasksWith are the tasks of the application where its patterns find their matches among these topics.
func (a *App) tasksWith(topics map[string]int32) ([]topology.TaskPlan, error) {
	top, err := a.top.Resolve(a.cfg.ApplicationID, a.cfg.DeadLetters, sortedKeys(topics))
	if err != nil {
		return nil, err
	}
	plan, err := top.Plan(a.cfg.ApplicationID, func(topic string) (int32, bool) { n, ok := topics[topic]; return n, ok })
	if err != nil {
		return nil, err
	}
	return plan.Tasks, nil
}
