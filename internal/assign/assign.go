package assign

import (
	"cmp"
	"slices"

	"github.com/weirstream/weir/topology"
)

// A Member is one instance of the application.
type Member struct {
	// ID is unique in the group; it breaks ties.
	ID string
	// Capacity is the number of workers: a member with twice as many gets twice as many tasks.
	Capacity int
	// Owned are the tasks that it runs now.
	Owned []topology.TaskID
}

// Tasks gives every task to one member: balanced by capacity, and left where it is as far as balance allows. Members without capacity
// count as having one. Without members, nothing is given.
//
// Guarantees: each task has exactly one owner; a member's load per capacity differs from another's by one task at most; a task moves
// only if its owner has more than its share; the result depends on the set of members and tasks, not on their order.
func Tasks(tasks []topology.TaskID, members []Member) map[string][]topology.TaskID {
	out := make(map[string][]topology.TaskID, len(members))
	if len(members) == 0 {
		return out
	}
	ms := slices.Clone(members)
	slices.SortFunc(ms, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	todo := slices.Clone(tasks)
	slices.SortFunc(todo, compare)
	quota := quotas(len(todo), ms)

	owner := map[topology.TaskID]string{}
	for _, m := range ms {
		for _, t := range m.Owned {
			if _, taken := owner[t]; !taken {
				owner[t] = m.ID
			}
		}
	}
	var homeless []topology.TaskID
	for _, t := range todo {
		if id, ok := owner[t]; ok && len(out[id]) < quota[id] {
			out[id] = append(out[id], t)
		} else {
			homeless = append(homeless, t)
		}
	}
	for _, t := range homeless {
		best := ""
		for _, m := range ms {
			if len(out[m.ID]) < quota[m.ID] && (best == "" || emptier(m.ID, best, out, quota)) {
				best = m.ID
			}
		}
		out[best] = append(out[best], t)
	}
	for _, ts := range out {
		slices.SortFunc(ts, compare)
	}
	return out
}

// quotas shares n tasks out by capacity. What the division leaves goes to those who own most already, so that nothing moves for it.
func quotas(n int, ms []Member) map[string]int {
	total := 0
	for _, m := range ms {
		total += max(m.Capacity, 1)
	}
	quota, given := map[string]int{}, 0
	for _, m := range ms {
		quota[m.ID] = n * max(m.Capacity, 1) / total
		given += quota[m.ID]
	}
	order := slices.Clone(ms)
	slices.SortStableFunc(order, func(a, b Member) int {
		return cmp.Compare(len(b.Owned)-quota[b.ID], len(a.Owned)-quota[a.ID])
	})
	for i := 0; given < n; i++ {
		quota[order[i%len(order)].ID]++
		given++
	}
	return quota
}

// emptier tells whether a has a smaller part of its quota filled than b.
func emptier(a, b string, out map[string][]topology.TaskID, quota map[string]int) bool {
	return len(out[a])*quota[b] < len(out[b])*quota[a]
}

func compare(a, b topology.TaskID) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Subtopology, b.Subtopology))
}
