package streamtest

import "github.com/weirstream/weir/topology"

// RestartWith starts another program after a Crash, from what the one before had committed, as a deployment does: the tasks of both have the same state where
// their ids are the same.
func (d *Driver) RestartWith(top *topology.Topology) {
	d.tb.Helper()
	before := d.tasks
	for _, in := range before {
		if in.task != nil {
			d.tb.Fatalf("restart with another topology: the application runs: call Crash first")
		}
	}
	plan, err := top.Plan(d.cfg.application, func(topic string) (int32, bool) { return d.log.partitionsOf(topic), true })
	if err != nil {
		d.tb.Fatalf("restart with another topology: %v", err)
	}
	for topic, n := range plan.Partitions {
		d.log.partitions[topic] = n
	}
	d.top, d.tasks = top, nil
	d.place(plan)
	for _, in := range d.tasks {
		for _, old := range before {
			if old.id == in.id {
				in.disk, in.committed, in.clocks = old.disk, old.committed, old.clocks
			}
		}
	}
	d.Restart()
}
