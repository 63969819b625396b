package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/assign"
	"github.com/weirstream/weir/internal/wire"
	"github.com/weirstream/weir/topology"
)

// A balancer takes part in the group for one instance: it tells the leader about the instance and, as the leader, gives out tasks. It
// speaks the group's consumer protocol, so that Kafka's own tools can read the group; what it adds is in the user data.
//
// The protocol is cooperative: a task that is to move is first given to nobody; its owner gives it up and joins again, and only then it
// goes to the new owner.
type balancer struct {
	self      wire.Subscription
	manifest  topology.Manifest
	tasks     []topology.TaskPlan
	onJoin    func()      // a join begins
	onRefused func(error) // the leader has refused this instance
	// expelled tells that the group has given this member up while it was about to join. The client then joins under a new id and takes its old
	// partitions for kept, although others have had them: the next assignment is refused, and the client loses everything first.
	expelled bool
	member   func() string // the present member id
	// tasksWith lays the tasks out with the topics that any member reads, by their numbers of partitions; nil for a topology without patterns. A member that
	// has started later may know a topic that this one does not, and the other way round: nobody is given a topic that it does not read.
	tasksWith func(topics map[string]int32) ([]topology.TaskPlan, error)
}

// ProtocolName implements kgo.GroupBalancer.
func (b *balancer) ProtocolName() string { return "weir-cooperative" }

// IsCooperative implements kgo.GroupBalancer.
func (b *balancer) IsCooperative() bool { return true }

// JoinGroupMetadata implements kgo.GroupBalancer.
func (b *balancer) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	b.onJoin()
	if len(current) > 0 && b.member() == "" {
		b.expelled = true
	}
	if b.expelled {
		current, generation = nil, -1
	}
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics, m.Generation = 3, topics, generation
	m.UserData = b.self.Append(nil)
	for topic, partitions := range current {
		o := kmsg.NewConsumerMemberMetadataOwnedPartition()
		o.Topic, o.Partitions = topic, partitions
		m.OwnedPartitions = append(m.OwnedPartitions, o)
	}
	slices.SortFunc(m.OwnedPartitions, func(x, y kmsg.ConsumerMemberMetadataOwnedPartition) int {
		if x.Topic < y.Topic {
			return -1
		}
		return 1
	})
	return m.AppendTo(nil)
}

// ParseSyncAssignment implements kgo.GroupBalancer.
func (b *balancer) ParseSyncAssignment(raw []byte) (map[string][]int32, error) {
	if b.expelled {
		b.expelled = false
		return nil, errExpelled
	}
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(raw); err != nil {
		return nil, fmt.Errorf("read assignment: %w", err)
	}
	if len(a.UserData) > 0 {
		b.onRefused(fmt.Errorf("the group refuses this instance: %s", a.UserData))
		return map[string][]int32{}, nil
	}
	out := make(map[string][]int32, len(a.Topics))
	for _, t := range a.Topics {
		out[t.Topic] = t.Partitions
	}
	return out, nil
}

// errExpelled makes the client lose its partitions before it joins again.
var errExpelled = errors.New("the group has given this member up: its partitions are lost")

// MemberBalancer implements kgo.GroupBalancer.
func (b *balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	g := &generation{b: b}
	topics := map[string]struct{}{}
	for _, m := range members {
		var meta kmsg.ConsumerMemberMetadata
		if err := meta.ReadFrom(m.ProtocolMetadata); err != nil {
			return nil, nil, fmt.Errorf("read metadata of member %q: %w", m.MemberID, err)
		}
		j := joiner{id: m.MemberID, generation: meta.Generation, topics: meta.Topics, owned: map[string][]int32{}}
		for _, o := range meta.OwnedPartitions {
			j.owned[o.Topic] = append(j.owned[o.Topic], o.Partitions...)
		}
		var err error
		if j.sub, err = wire.DecodeSubscription(meta.UserData); err == nil {
			j.manifest, err = topology.DecodeManifest(j.sub.Manifest)
		}
		if err != nil {
			j.refused = err.Error()
		}
		for _, t := range meta.Topics {
			topics[t] = struct{}{}
		}
		g.members = append(g.members, j)
	}
	return g, topics, nil
}

// A joiner is a member that has joined, as the leader sees it.
type joiner struct {
	id         string
	generation int32
	sub        wire.Subscription
	manifest   topology.Manifest
	topics     []string // that it reads: an instance may not know yet a topic that has come to match a pattern
	owned      map[string][]int32
	refused    string
}

// A generation is one assignment in the making.
type generation struct {
	b       *balancer
	tasks   []topology.TaskPlan
	members []joiner
	strange bool // the leader, this instance, is refused itself
}

// Balance implements kgo.GroupMemberBalancer; BalanceOrError is used in its place.
func (g *generation) Balance(topics map[string]int32) kgo.IntoSyncAssignment {
	a, _ := g.BalanceOrError(topics)
	return a
}

// BalanceOrError implements kgo.GroupMemberBalancerOrError.
func (g *generation) BalanceOrError(topics map[string]int32) (kgo.IntoSyncAssignment, error) {
	g.tasks = g.b.tasks
	g.refuseOthers()
	if g.b.tasksWith != nil && !g.strange {
		// Where that fails the tasks stay as this instance has them: the group must go on, and who starts next is told what is wrong.
		if tasks, err := g.b.tasksWith(topics); err == nil {
			g.tasks = tasks
		}
	}
	owner := g.owners()
	var members []assign.Member
	for _, m := range g.members {
		if m.refused == "" {
			members = append(members, assign.Member{ID: m.id, Capacity: int(m.sub.Workers), Owned: g.tasksOf(m)})
		}
	}
	ids := make([]topology.TaskID, len(g.tasks))
	plans := make(map[topology.TaskID]topology.TaskPlan, len(ids))
	for i, t := range g.tasks {
		ids[i], plans[t.ID] = t.ID, t
	}
	given := assign.Tasks(ids, members)
	if g.strange {
		// This leader's topology is not the group's: it knows nothing of its tasks. Everybody keeps what it has until a member of the group leads.
		given = nil
	}
	var out syncAssignment
	for _, m := range g.members {
		a := kmsg.NewConsumerMemberAssignment()
		a.Version = 1
		a.UserData = []byte(m.refused)
		parts := map[string][]int32{}
		if g.strange && m.refused == "" {
			parts = m.owned
		}
		for _, id := range given[m.id] {
			for _, topic := range plans[id].Topics {
				if o, held := owner[topicPartition{topic, id.Partition}]; (!held || o == m.id) && g.reads(m, topic) {
					parts[topic] = append(parts[topic], id.Partition)
				}
			}
		}
		for _, topic := range sortedKeys(parts) {
			t := kmsg.NewConsumerMemberAssignmentTopic()
			t.Topic, t.Partitions = topic, parts[topic]
			a.Topics = append(a.Topics, t)
		}
		s := kmsg.NewSyncGroupRequestGroupAssignment()
		s.MemberID, s.MemberAssignment = m.id, a.AppendTo(nil)
		out = append(out, s)
	}
	return out, nil
}

type topicPartition struct {
	topic     string
	partition int32
}

// refuseOthers marks the members whose topology is not the group's: that of the member that has been in it for longest.
func (g *generation) refuseOthers() {
	eldest := -1
	for i, m := range g.members {
		if m.refused == "" && (eldest < 0 || m.generation > g.members[eldest].generation) {
			eldest = i
		}
	}
	if eldest < 0 {
		return
	}
	theirs := g.members[eldest].manifest
	want := theirs.Signature()
	g.strange = g.b.manifest.Signature() != want
	for i := range g.members {
		if m := &g.members[i]; m.refused == "" && m.manifest.Signature() != want {
			m.refused = otherTopology(topology.Compare(theirs, m.manifest))
		}
	}
}

// otherTopology tells a member that is refused what it has changed.
func otherTopology(ds topology.Differences) string {
	var w strings.Builder
	w.WriteString("another topology runs under this application id. What is different here: ")
	for i, d := range ds {
		if i == mentioned {
			fmt.Fprintf(&w, "and %d more; ", len(ds)-i)
			break
		}
		fmt.Fprintf(&w, "%s %q %s; ", d.What, d.Name, d.Change)
	}
	w.WriteString("give each application an id of its own, or stop all instances before changing what is durable (source topics, repartitions, stores)")
	return w.String()
}

// mentioned is how many differences a refusal names.
const mentioned = 50

// reads tells whether the member may be given a topic. Only patterns make a difference.
func (g *generation) reads(m joiner, topic string) bool {
	return g.b.tasksWith == nil || slices.Contains(m.topics, topic)
}

// owners tells who holds which partition. What a refused member holds is held by nobody: it will run nothing.
func (g *generation) owners() map[topicPartition]string {
	owner, since := map[topicPartition]string{}, map[topicPartition]int32{}
	for _, m := range g.members {
		if m.refused != "" {
			continue
		}
		for topic, parts := range m.owned {
			for _, p := range parts {
				tp := topicPartition{topic, p}
				if gen, ok := since[tp]; !ok || m.generation > gen {
					owner[tp], since[tp] = m.id, m.generation
				}
			}
		}
	}
	return owner
}

// tasksOf are the tasks of which the member holds a partition.
func (g *generation) tasksOf(m joiner) []topology.TaskID {
	var ids []topology.TaskID
	for _, t := range g.tasks {
		if slices.ContainsFunc(t.Topics, func(topic string) bool { return slices.Contains(m.owned[topic], t.ID.Partition) }) {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

type syncAssignment []kmsg.SyncGroupRequestGroupAssignment

// IntoSyncAssignment implements kgo.IntoSyncAssignment.
func (a syncAssignment) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment { return a }
