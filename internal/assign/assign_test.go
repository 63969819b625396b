package assign

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/topology"
)

func ids(subtopologies, partitions int) []topology.TaskID {
	var out []topology.TaskID
	for s := range subtopologies {
		for p := range partitions {
			out = append(out, topology.TaskID{Subtopology: s, Partition: int32(p)})
		}
	}
	return out
}

// groups draws members with what they own: tasks that exist and some that do not, none owned twice unless contested.
func groups(t *rapid.T, contested bool) (tasks []topology.TaskID, members []Member) {
	tasks = ids(rapid.IntRange(1, 4).Draw(t, "subtopologies"), rapid.IntRange(0, 12).Draw(t, "partitions"))
	n := rapid.IntRange(1, 7).Draw(t, "members")
	for i := range n {
		members = append(members, Member{ID: fmt.Sprintf("m%d", i), Capacity: rapid.IntRange(0, 5).Draw(t, "capacity")})
	}
	for _, id := range append(slices.Clone(tasks), topology.TaskID{Subtopology: 9, Partition: 9}) {
		owners := 1
		if contested {
			owners = 2
		}
		for range owners {
			if i := rapid.IntRange(-1, n-1).Draw(t, "owner"); i >= 0 && !slices.Contains(members[i].Owned, id) {
				members[i].Owned = append(members[i].Owned, id)
			}
		}
	}
	return tasks, members
}

func capacities(members []Member) (total int) {
	for _, m := range members {
		total += max(m.Capacity, 1)
	}
	return total
}

func TestTasks_GivesEachTaskToOneMember(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tasks, members := groups(t, true)
		seen := map[topology.TaskID]string{}
		for member, given := range Tasks(tasks, members) {
			require.True(t, slices.ContainsFunc(members, func(m Member) bool { return m.ID == member }))
			for _, id := range given {
				require.Empty(t, seen[id], "%v is given twice", id)
				require.Contains(t, tasks, id)
				seen[id] = member
			}
		}
		require.Len(t, seen, len(tasks))
	})
}

func TestTasks_BalancesByCapacity(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tasks, members := groups(t, true)
		given, total := Tasks(tasks, members), capacities(members)
		for _, m := range members {
			share, n := len(tasks)*max(m.Capacity, 1)/total, len(given[m.ID])
			require.True(t, n == share || n == share+1, "%d tasks, the share is %d", n, share)
		}
		for _, a := range members {
			for _, b := range members {
				load := func(m Member) float64 { return float64(len(given[m.ID])) / float64(max(m.Capacity, 1)) }
				require.LessOrEqual(t, load(a)-load(b), 1.0)
			}
		}
	})
}

func TestTasks_MovesNoMoreThanBalanceNeeds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tasks, members := groups(t, false)
		given := Tasks(tasks, members)
		for _, m := range members {
			kept, owned := 0, 0
			for _, id := range m.Owned {
				if slices.Contains(tasks, id) {
					owned++
				}
				if slices.Contains(given[m.ID], id) {
					kept++
				}
			}
			require.Equal(t, min(owned, len(given[m.ID])), kept, "a member keeps what it owns, up to its share")
		}
		for i := range members {
			members[i].Owned = given[members[i].ID]
		}
		require.Equal(t, given, Tasks(tasks, members), "what is balanced stays")
	})
}

// Most of what runs stays where it is when one member comes or goes.
func TestTasks_MovesOneShareForOneMember(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n, tasks := rapid.IntRange(1, 6).Draw(t, "members"), ids(2, rapid.IntRange(1, 20).Draw(t, "partitions"))
		var members []Member
		for i := range n {
			members = append(members, Member{ID: fmt.Sprintf("m%d", i), Capacity: 1})
		}
		before := Tasks(tasks, members)
		for i := range members {
			members[i].Owned = before[members[i].ID]
		}
		after := Tasks(tasks, append(members, Member{ID: "new", Capacity: 1}))
		require.LessOrEqual(t, len(after["new"]), len(tasks)/(n+1)+1)
		for _, m := range members {
			for _, id := range after[m.ID] {
				require.Contains(t, m.Owned, id, "no task moves between those who stay")
			}
		}
		rest := Tasks(tasks, members[1:])
		for _, m := range members[1:] {
			require.Subset(t, rest[m.ID], m.Owned, "who stays keeps all")
		}
	})
}

func TestTasks_DependsOnNoOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tasks, members := groups(t, true)
		want := Tasks(tasks, members)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		shuffle := func(s []topology.TaskID) { r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] }) }
		shuffle(tasks)
		r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		for i := range members {
			shuffle(members[i].Owned)
		}
		require.Equal(t, want, Tasks(tasks, members))
	})
}

func TestTasks_GivesNothingWithoutMembers(t *testing.T) {
	t.Parallel()
	require.Empty(t, Tasks(ids(2, 3), nil))
	require.Empty(t, Tasks(nil, []Member{{ID: "a"}})["a"])
}

func TestTasks_CountsAMemberWithoutCapacityAsOne(t *testing.T) {
	t.Parallel()
	given := Tasks(ids(1, 6), []Member{{ID: "a"}, {ID: "b", Capacity: 2}})
	require.Len(t, given["a"], 2)
	require.Len(t, given["b"], 4)
}

func TestTasks_SpreadsTheSubtopologiesOfAPartition(t *testing.T) {
	t.Parallel()
	given := Tasks(ids(2, 2), []Member{{ID: "a", Capacity: 1}, {ID: "b", Capacity: 1}})
	require.Len(t, given["a"], 2)
	require.Len(t, given["b"], 2)
}
