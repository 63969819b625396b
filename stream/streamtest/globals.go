package streamtest

import (
	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// globals are the global stores of the application. A record of a global topic is applied, and committed, as soon as it is committed to the topic;
// one that a test sends, when the tasks are done with it.
type globals struct {
	d    *Driver
	disk state.Engine // outlives a crash
	db   *state.DB
	task *task.Global

	begun map[topicPartition]int64 // what was handed over
	held  *topicPartition          // whose records wait for the tasks
}

type topicPartition struct {
	topic     string
	partition int32
}

// open opens the stores and brings them up to date, before any task runs.
func (g *globals) open() error {
	d := g.d
	if len(d.top.Globals()) == 0 {
		return nil
	}
	if g.disk == nil {
		g.disk = state.NewMemory()
	}
	var err error
	if g.db, err = state.NewDB(keep{g.disk}, state.NewMemory()); err != nil {
		return err
	}
	if g.task, err = task.OpenGlobal(task.GlobalConfig{
		Application: d.cfg.application, Topology: d.top, DB: g.db, Context: d.ctx,
	}); err != nil {
		return err
	}
	g.begun = map[topicPartition]int64{}
	for i, gl := range d.top.Globals() {
		for p := range d.log.partitionsOf(gl.Topic()) {
			cp, _, err := g.db.PartitionCheckpoint(gl.Store().Info(), p)
			if err != nil {
				return err
			}
			g.task.Begin(i, p, cp.Offset)
			tp := topicPartition{gl.Topic(), p}
			if at, ok := g.begun[tp]; !ok || cp.Offset < at {
				g.begun[tp] = cp.Offset
			}
		}
	}
	return g.apply()
}

// apply brings the stores up to date with the committed records of their topics.
func (g *globals) apply() error {
	if g.task == nil {
		return nil
	}
	for _, gl := range g.d.top.Globals() {
		for p := range g.d.log.partitionsOf(gl.Topic()) {
			g.feed(topicPartition{gl.Topic(), p})
		}
	}
	for {
		did, err := g.task.Step(g.d.now)
		if err != nil {
			return err
		}
		if !did {
			break
		}
	}
	return g.task.Commit(false, func(_ string, _ int32, offset int64, epoch int32) state.Checkpoint {
		return state.Checkpoint{Offset: offset, LeaderEpoch: epoch, AppliedAt: g.d.now}
	})
}

func (g *globals) feed(tp topicPartition) {
	if g.held != nil && *g.held == tp {
		return
	}
	p := g.d.log.partition(tp.topic, tp.partition)
	for i := g.begun[tp]; i < int64(p.stable); i++ {
		if p.records[i].committed {
			g.task.Add(tp.topic, tp.partition, []topology.Raw{p.records[i].Raw})
		}
	}
	g.begun[tp] = int64(p.stable)
}

// reads tells whether a topic fills a global store.
func (g *globals) reads(topic string) bool {
	for _, gl := range g.d.top.Globals() {
		if gl.Topic() == topic {
			return true
		}
	}
	return false
}

func (g *globals) crash() { g.task, g.db, g.held = nil, nil, nil }

func (g *globals) counts() []task.Count {
	if g.task == nil {
		return nil
	}
	return g.task.Counts()
}

// Global returns the rows of a global store, as tasks see them now.
func Global[K, V any](d *Driver, spec state.KeyValueSpec[K, V]) *state.KeyValueView[K, V] {
	d.tb.Helper()
	return spec.View(viewer{d})
}

type viewer struct{ d *Driver }

// ViewStore implements state.Viewer.
func (v viewer) ViewStore(spec state.Spec) (state.Committed, error) {
	v.d.tb.Helper()
	if v.d.globals.task == nil {
		v.d.tb.Fatalf("open global store %q: the topology has no global stores, or has crashed", spec.Info().Name)
	}
	return v.d.globals.task.Committed(spec.Info().Name)
}
