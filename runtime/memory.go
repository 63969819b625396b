package runtime

import "github.com/weirstream/weir/topology"

// Config.MemoryBytes is shared out here: fixed parts of the budget, divided by the number of tasks of the whole application, since any instance may come to
// have all of them.

// taskMemory is what one task may use.
type taskMemory struct {
	cache int64 // of clean rows, per store
	dirty int64 // of uncommitted rows, all stores together: then a commit is due
}

const (
	minCache    = 64 << 10
	minDirty    = 1 << 20
	minMemTable = 256 << 10
	minAhead    = 1 << 20
)

// tasks is the number of shares: the global stores of the instance count as one more.
func (a *App) tasks() int64 {
	n := len(a.plan.Tasks)
	if len(a.top.Globals()) > 0 {
		n++
	}
	return int64(max(n, 1))
}

// globalDirtyBytes is the size of the uncommitted rows of global stores at which a commit is due.
func (a *App) globalDirtyBytes() int64 { return max(a.cfg.MemoryBytes/8/a.tasks(), minDirty) }

// taskShare is the part of a task in what rows above the engine may take.
func (a *App) taskShare(id topology.TaskID) taskMemory {
	share := a.cfg.MemoryBytes / 8 / a.tasks()
	stores := int64(max(len(a.top.Subtopologies()[id.Subtopology].Stores()), 1))
	return taskMemory{cache: max(share/stores, minCache), dirty: max(share, minDirty)}
}

// memTableBytes is the size of one task's memtable. Pebble may hold a few of them at a time while it writes them out.
func (a *App) memTableBytes() uint64 {
	return uint64(min(max(a.cfg.MemoryBytes/8/a.tasks(), minMemTable), 64<<20))
}

// aheadBytes is how much may be fetched ahead of one partition.
func (a *App) aheadBytes() int64 {
	partitions := int64(0)
	for _, t := range a.plan.Tasks {
		partitions += int64(len(t.Topics))
	}
	return max(a.cfg.MemoryBytes/4/max(partitions, 1), minAhead)
}
