package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/topology"
)

// A cluster is what the application knows of the cluster, and the client it asks with.
type cluster struct {
	cfg    Config
	client *kgo.Client
	admin  *kadm.Client
	log    *slog.Logger
	id     string

	mu         sync.RWMutex
	partitions map[string]int32
	topicIDs   map[string]kadm.TopicID
}

// metadataMinAge is how soon a client may ask again for metadata: with the client's own 5 s, a new topic stalls its first produce for as long.
const metadataMinAge = 100 * time.Millisecond

// options are those of every client.
func (c Config) options(role string) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID(c.ApplicationID + "-" + role), kgo.MetadataMinAge(metadataMinAge),
		kgo.SoftwareNameAndVersion("weir", "v0"),
	}, c.ClientOptions...)
}

func newCluster(c Config) (*cluster, error) {
	// Newer versions of these requests name topics by id, and their answers too: what the client cannot translate back would look like a partition
	// without an offset.
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.OffsetCommit), 9)
	versions.SetMaxKeyVersion(int16(kmsg.OffsetFetch), 9)
	client, err := kgo.NewClient(append(c.options("admin"), kgo.MaxVersions(versions))...)
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	return &cluster{
		cfg: c, client: client, admin: kadm.NewClient(client), log: c.Logger, partitions: map[string]int32{}, topicIDs: map[string]kadm.TopicID{},
	}, nil
}

func (cl *cluster) close() { cl.client.Close() }

// await returns when a broker answers. It tries for as long as ctx lasts: a broker that is down at start may come.
func (cl *cluster) await(ctx context.Context) error {
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		m, err := cl.admin.BrokerMetadata(attempt)
		cancel()
		if err == nil {
			cl.id = m.Cluster
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if ke, ok := errors.AsType[*kerr.Error](err); ok && !ke.Retriable {
			return fmt.Errorf("connect to %v: %w", cl.cfg.Brokers, err)
		}
		cl.log.Warn("no broker answers, trying again", "brokers", cl.cfg.Brokers, "in", wait, "err", err)
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}

// sleep waits; it returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// resolve returns the topology with the topics that its patterns match now.
func (cl *cluster) resolve(ctx context.Context, top *topology.Topology) (*topology.Topology, error) {
	if !top.HasPatterns() {
		return top, nil
	}
	names, err := cl.topics(ctx)
	if err != nil {
		return nil, err
	}
	return top.Resolve(cl.cfg.ApplicationID, cl.cfg.DeadLetters, names)
}

// topics are the names of all topics that the application may see.
func (cl *cluster) topics(ctx context.Context) ([]string, error) {
	m, err := cl.admin.Metadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the topics: %w", err)
	}
	var names []string
	for _, t := range m.Topics {
		if !t.IsInternal && !errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
			names = append(names, t.Topic)
		}
	}
	return names, nil
}

// reportLeftBehind logs the internal topics of the application that the program has no use for: those of stores and repartitions that are gone. They are
// never deleted: a program that still uses them may come back, and another application's name may begin like this one's.
func (cl *cluster) reportLeftBehind(ctx context.Context, top *topology.Topology, plan *topology.Plan) {
	names, err := cl.topics(ctx)
	if err != nil {
		cl.log.Warn("look for internal topics that are left behind", "err", err)
		return
	}
	if left := leftBehind(cl.cfg.ApplicationID, top, plan, names); len(left) > 0 {
		cl.log.Warn("internal topics are left behind: no store and no repartition of the program uses them; delete them when no program will, if no other "+
			"application has an id that begins with this one's", "application", cl.cfg.ApplicationID, "topics", left)
	}
}

// leftBehind are the internal topics among names that the program neither has nor reads nor writes.
func leftBehind(application string, top *topology.Topology, plan *topology.Plan, names []string) []string {
	sinks, globals := top.SinkTopics(), top.Globals()
	var left []string
	for _, name := range names {
		_, used := plan.Partitions[name]
		used = used || slices.Contains(sinks, name) || slices.ContainsFunc(globals, func(g *topology.Global) bool { return g.Topic() == name })
		if !used && topology.IsInternalTopic(application, name) {
			left = append(left, name)
		}
	}
	slices.Sort(left)
	return left
}

// prepare lays the topology out on the cluster: it checks the topics that the application needs, and creates its own.
func (cl *cluster) prepare(ctx context.Context, top *topology.Topology) (*topology.Plan, error) {
	var external []string
	for _, s := range top.Subtopologies() {
		for _, t := range s.SourceTopics(cl.cfg.ApplicationID) {
			if !t.Repartition {
				external = append(external, t.Name)
			}
		}
	}
	for _, g := range top.Globals() {
		external = append(external, g.Topic())
	}
	sinks := top.SinkTopics()
	if err := cl.load(ctx, slices.Concat(external, sinks, top.DeadLetterTopics())); err != nil {
		return nil, err
	}
	var errs []error
	for _, g := range top.Globals() {
		if _, ok := cl.known(g.Topic()); !ok {
			errs = append(errs, &TopicError{g.Topic(), fmt.Errorf("it does not exist: create it, it fills the global store at %s", g.Pos())})
		}
	}
	for _, t := range top.DeadLetterTopics() {
		if _, ok := cl.known(t); !ok {
			errs = append(errs, &TopicError{t, errors.New("it does not exist: create it, a policy sends dead letters to it")})
		}
	}
	for _, t := range sinks {
		if _, ok := cl.known(t); !ok && !slices.Contains(external, t) {
			errs = append(errs, &TopicError{t, errors.New("it does not exist: create it, the topology writes to it")})
		}
	}
	plan, err := top.Plan(cl.cfg.ApplicationID, cl.known)
	if err = errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("check the cluster: %w", err)
	}
	if err := cl.checkSourceLogs(ctx, top.SourceLogs()); err != nil {
		return nil, err
	}
	if err := cl.createInternal(ctx, plan); err != nil {
		return nil, err
	}
	return plan, cl.createDeadLetters(ctx, top)
}

// checkSourceLogs demands that the topics which stores are restored from keep the last record of each key for good.
func (cl *cluster) checkSourceLogs(ctx context.Context, topics []string) error {
	if len(topics) == 0 {
		return nil
	}
	configs, err := cl.admin.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return fmt.Errorf("read the configuration of %q: %w", topics, err)
	}
	var errs []error
	for _, c := range configs {
		if c.Err != nil {
			errs = append(errs, &TopicError{c.Name, fmt.Errorf("read its configuration, a store is restored from it: %w", c.Err)})
			continue
		}
		for _, entry := range c.Configs {
			if policy := entry.MaybeValue(); entry.Key == "cleanup.policy" && policy != "compact" {
				errs = append(errs, &TopicError{c.Name, fmt.Errorf("its cleanup.policy is %q, and a store is restored from it: "+
					"set it to compact, or leave SourceIsChangelog out", policy)})
			}
		}
	}
	return errors.Join(errs...)
}

// load reads the metadata of topics. Those that do not exist are left out.
func (cl *cluster) load(ctx context.Context, topics []string) error {
	if len(topics) == 0 {
		return nil
	}
	req := kmsg.NewPtrMetadataRequest()
	for _, t := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(t)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, cl.client)
	if err != nil {
		return fmt.Errorf("read the metadata of topics: %w", err)
	}
	var errs []error
	cl.mu.Lock()
	defer cl.mu.Unlock()
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		name, err := *t.Topic, kerr.ErrorForCode(t.ErrorCode)
		switch {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			errs = append(errs, &TopicError{name, fmt.Errorf("%w: grant the application Describe on it, with Read or Write", err)})
		case err != nil && !kerr.IsRetriable(err):
			errs = append(errs, &TopicError{name, err})
		default:
			if n := int32(len(t.Partitions)); n > 0 {
				cl.partitions[name], cl.topicIDs[name] = n, t.TopicID
			}
		}
	}
	return errors.Join(errs...)
}

func (cl *cluster) known(topic string) (int32, bool) {
	cl.mu.RLock()
	defer cl.mu.RUnlock()
	n, ok := cl.partitions[topic]
	return n, ok
}

func (cl *cluster) topicID(topic string) [16]byte {
	cl.mu.RLock()
	defer cl.mu.RUnlock()
	return cl.topicIDs[topic]
}

// partitionsOf is the number of partitions of a topic that is written to. It asks the cluster about a topic that is new to it.
func (cl *cluster) partitionsOf(ctx context.Context, topic string) (int32, error) {
	if n, ok := cl.known(topic); ok {
		return n, nil
	}
	ctx, cancel := context.WithTimeout(ctx, cl.cfg.RequestTimeout)
	defer cancel()
	if err := cl.load(ctx, []string{topic}); err != nil {
		if c := classify(err); c == retry || c == abort {
			err = serde.Unavailable(err) // no fault of the record: its partition waits
		}
		return 0, err
	}
	if n, ok := cl.known(topic); ok {
		return n, nil
	}
	return 0, &TopicError{topic, errors.New("it does not exist: create it")}
}

// createInternal creates the internal topics that are missing, and checks the others.
func (cl *cluster) createInternal(ctx context.Context, plan *topology.Plan) error {
	var names []string
	for _, t := range plan.Internal {
		names = append(names, t.Name)
	}
	if err := cl.load(ctx, names); err != nil {
		return err
	}
	var errs []error
	for _, t := range plan.Internal {
		n, ok := cl.known(t.Name)
		switch {
		case ok && n != t.Partitions:
			errs = append(errs, &TopicError{t.Name, fmt.Errorf("it has %d partitions, the topology needs %d: the number of an input has changed, or another "+
				"topology has this application id: use another id, or stop the application and delete its internal topics and offsets", n, t.Partitions)})
		case !ok:
			if err := cl.create(ctx, t.Name, t.Partitions, t.Config); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("create internal topics: %w", errors.Join(errs...))
	}
	return cl.awaitTopics(ctx, names)
}

// createDeadLetters creates the dead-letter topics that are missing, with as many partitions as their source.
func (cl *cluster) createDeadLetters(ctx context.Context, top *topology.Topology) error {
	var names []string
	for _, source := range top.DeadLetterSources() {
		name, err := cl.cfg.DeadLetters.Topic(source)
		if err != nil {
			return fmt.Errorf("name the dead-letter topic of %q: %w", source, err)
		}
		if err := cl.load(ctx, []string{name}); err != nil {
			return err
		}
		if _, ok := cl.known(name); !ok {
			n, _ := cl.known(source)
			// A letter has the time of the record that failed.
			if err := cl.create(ctx, name, n, topology.AnyTime()); err != nil {
				return fmt.Errorf("create dead-letter topics: %w", err)
			}
		}
		names = append(names, name)
	}
	return cl.awaitTopics(ctx, names)
}

func (cl *cluster) create(ctx context.Context, topic string, partitions int32, config map[string]string) error {
	configs := map[string]*string{}
	for k, v := range config {
		configs[k] = kadm.StringPtr(v)
	}
	r, err := cl.admin.CreateTopic(ctx, partitions, cl.cfg.ReplicationFactor, configs, topic)
	if limits := len(configs); errors.Is(err, kerr.InvalidConfig) {
		// A broker before Kafka 3.6 does not know these limits, and has none by default.
		delete(configs, "message.timestamp.before.max.ms")
		delete(configs, "message.timestamp.after.max.ms")
		if len(configs) < limits {
			r, err = cl.admin.CreateTopic(ctx, partitions, cl.cfg.ReplicationFactor, configs, topic)
		}
	}
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists): // another instance was faster
	case err != nil:
		msg := ""
		if r.ErrMessage != "" {
			msg = ": " + r.ErrMessage
		}
		return &TopicError{topic, fmt.Errorf("create it with %d partitions: %w%s", partitions, err, msg)}
	}
	return nil
}

// awaitTopics returns when the metadata of new topics has reached the broker that answers.
func (cl *cluster) awaitTopics(ctx context.Context, topics []string) error {
	for {
		var missing []string
		for _, t := range topics {
			if _, ok := cl.known(t); !ok {
				missing = append(missing, t)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		if err := cl.load(ctx, missing); err != nil {
			return err
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}

// committed reads the group's offsets for some partitions, with their metadata. It waits for transactions that are open on them to end: what it
// returns is final.
func (cl *cluster) committed(ctx context.Context, topics map[string][]int32) (map[string]map[int32]kadm.Offset, error) {
	for {
		offsets, err := cl.tryCommitted(ctx, topics)
		if err == nil || classify(err) != retry || ctx.Err() != nil {
			return offsets, err
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return nil, context.Cause(ctx)
		}
	}
}

func (cl *cluster) tryCommitted(ctx context.Context, topics map[string][]int32) (map[string]map[int32]kadm.Offset, error) {
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = cl.cfg.ApplicationID
	for topic, partitions := range topics {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = topic, partitions
		group.Topics = append(group.Topics, t)
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(ctx, cl.client)
	if err != nil {
		return nil, fmt.Errorf("read committed offsets: %w", err)
	}
	out := map[string]map[int32]kadm.Offset{}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return nil, fmt.Errorf("read committed offsets of group %q: %w", cl.cfg.ApplicationID, err)
		}
		for _, t := range g.Topics {
			out[t.Topic] = map[int32]kadm.Offset{}
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("read committed offset of topic %q partition %d: %w", t.Topic, p.Partition, err)
				}
				o := kadm.Offset{Topic: t.Topic, Partition: p.Partition, At: p.Offset, LeaderEpoch: p.LeaderEpoch}
				if p.Metadata != nil {
					o.Metadata = *p.Metadata
				}
				out[t.Topic][p.Partition] = o
			}
		}
	}
	return out, nil
}
