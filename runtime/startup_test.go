package runtime

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

func TestConfig_ReportsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	err := Config{
		ApplicationID: "no spaces", Workers: 2000, Guarantee: 7, CommitInterval: time.Hour, TransactionTimeout: time.Second, SessionTimeout: -1,
		TaskIdle: -1, MemoryBytes: 5, ReplicationFactor: -2, MaxRecordBytes: -1,
	}.Validate()
	for _, field := range []string{
		`ApplicationID: "no spaces"`, "Brokers: there are none", "Workers: 2000", "Guarantee: 7", "CommitInterval: 1h0m0s: use at most half",
		"SessionTimeout: -1ns is negative", "TaskIdle", "MemoryBytes: 5", "ReplicationFactor: -2", "MaxRecordBytes",
	} {
		require.ErrorContains(t, err, "config: "+field)
	}
	require.NoError(t, Config{ApplicationID: "orders", Brokers: []string{"localhost:9092"}}.Validate(), "zero values are useful")
}

func TestNew_ReportsAMissingTopologyBesideTheConfig(t *testing.T) {
	t.Parallel()
	_, err := New(nil, Config{})
	require.ErrorContains(t, err, "topology: there is none")
	require.ErrorContains(t, err, "config: ApplicationID")
}

// refused runs an application that cannot start, and returns why.
func refused(t *testing.T, top *topology.Topology, cfg Config) error {
	t.Helper()
	i := launch(t, top, cfg)
	err := i.wait()
	require.Error(t, err)
	require.Equal(t, Failed, i.app.State())
	require.ErrorContains(t, err, fmt.Sprintf("application %q: ", cfg.ApplicationID))
	return err
}

func TestRun_NamesTheTopicsThatAreMissing(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, out := b.Name("in"), b.Name("out")
	s := stream.NewBuilder()
	s.Stream(text(in)).To(text(out))
	err := refused(t, built(t, s), quick(b, b.Name("app")))
	require.ErrorContains(t, err, fmt.Sprintf("topic %q does not exist: create it, the application at", in))
	require.ErrorContains(t, err, "startup_test.go:")
	require.ErrorContains(t, err, fmt.Sprintf("topic %q: it does not exist: create it, the topology writes to it", out), "all of them at once")
}

func TestRun_NamesTheInputsThatAreNotCopartitioned(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	left, right := b.Name("left"), b.Name("right")
	b.Create(left, 2)
	b.Create(right, 3)
	s := stream.NewBuilder()
	table := s.Table(text(right), state.KeyValue("right", serde.String(), serde.String()))
	s.Stream(text(left)).JoinTable(table, func(l, r string) string { return l + r }).ForEach(func(string, string) {})
	err := refused(t, built(t, s), quick(b, b.Name("app")))
	for _, part := range []string{left, right, "2", "3", "startup_test.go:"} {
		require.ErrorContains(t, err, part)
	}
}

func TestRun_NamesAnInternalTopicOfAnotherSize(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	changelog := topology.ChangelogTopic(p.application, "counts")
	b.Create(changelog, 5)
	err := refused(t, p.build(t, newTrace(p)), quick(b, p.application))
	require.ErrorContains(t, err, fmt.Sprintf("topic %q: it has 5 partitions, the topology needs 2", changelog))
	var topic *TopicError
	require.ErrorAs(t, err, &topic)
	require.Equal(t, changelog, topic.Topic)
}

func TestRun_RefusesAStateDirectoryInUse(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 1)
	cfg := quick(b, p.application)
	cfg.StateDir = t.TempDir()
	i := launch(t, p.build(t, newTrace(p)), cfg)
	i.running(b)
	err := refused(t, p.build(t, newTrace(p)), cfg)
	require.ErrorIs(t, err, state.ErrInUse)
	require.ErrorContains(t, err, filepath.Join(cfg.StateDir, p.application))
	require.ErrorContains(t, err, "give each instance on a machine a StateDir of its own")
	i.end()
	launch(t, p.build(t, newTrace(p)), cfg).running(b)
}

func TestRun_RefusesStateThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, content string }{
		{"another application's", ""}, {"another format", "some database 7\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := testbroker.Start(t)
			p := newPipeline(b, 1)
			cfg := quick(b, p.application)
			cfg.StateDir = t.TempDir()
			dir := filepath.Join(cfg.StateDir, p.application, "0_0")
			require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o755))
			if c.content == "" {
				require.NoError(t, state.PrepareDir(dir, state.DirIdentity{Application: "other", Task: "0_0"}))
			} else {
				require.NoError(t, os.MkdirAll(dir, 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(dir, "FORMAT"), []byte(c.content), 0o644))
			}
			err := refused(t, p.build(t, newTrace(p)), cfg)
			var format *state.FormatError
			require.ErrorAs(t, err, &format)
			require.ErrorContains(t, err, "open task 0_0")
			require.ErrorContains(t, err, dir)
		})
	}
}

func TestRun_RefusesAChangedProcessID(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 1)
	cfg := quick(b, p.application)
	cfg.StateDir = t.TempDir()
	file := filepath.Join(cfg.StateDir, p.application, "process-id")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("short"), 0o644))
	require.ErrorContains(t, refused(t, p.build(t, newTrace(p)), cfg), fmt.Sprintf("read process id %q", file))
}

func TestRun_RunsOnce(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 1)
	i := launch(t, p.build(t, newTrace(p)), quick(b, p.application))
	i.running(b)
	require.ErrorContains(t, i.app.Run(t.Context()), "it has run already: make a new App")
	require.Equal(t, Running, i.app.State(), "the first run goes on")
	i.end()
	require.ErrorContains(t, i.app.Run(t.Context()), "it has run already")
	require.Equal(t, Stopped, i.app.State())
}

// A newcomer with another topology is refused, whoever leads the group; those that run go on.
func TestRun_RefusesAnotherTopologyUnderTheSameID(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	i := launch(t, p.build(t, newTrace(p)), quick(b, p.application))
	i.running(b)
	p.send(50)
	s := stream.NewBuilder()
	s.Stream(text(p.words)).To(stream.NewTopic(p.counts, serde.String(), serde.String()))
	err := refused(t, built(t, s), quick(b, p.application))
	require.ErrorContains(t, err, "the group refuses this instance: another topology runs under this application id")
	p.send(50)
	p.awaitCounted(t, i)
	i.end()
	requireCounts(t, b, p.counts, p.sent)
}

func TestRun_WaitsForABrokerThatIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	gate := testbroker.NewGate()
	gate.Shut()
	i, _ := p.member(t, func(c *Config) { c.ClientOptions = append(c.ClientOptions, gate.Option()) })
	p.send(100)
	b.Eventually("it waits", func() bool { return i.app.State() == Starting })
	gate.Open()
	p.awaitCounted(t, i)
	i.end()
	requireCounts(t, b, p.counts, p.sent)
}

func TestRun_EndsWhileItWaitsForABroker(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	gate := testbroker.NewGate()
	gate.Shut()
	i, _ := p.member(t, func(c *Config) { c.ClientOptions = append(c.ClientOptions, gate.Option()) })
	b.Eventually("it waits", func() bool { return i.app.State() == Starting })
	i.end()
}

// A cluster that goes away is waited for, longer than requests, sessions and rebalances may take.
func TestRun_SurvivesAClusterThatGoesAway(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	gate := testbroker.NewGate()
	i, tr := p.member(t, func(c *Config) {
		c.ClientOptions = append(c.ClientOptions, gate.Option())
		c.RequestTimeout, c.RebalanceTimeout, c.TransactionTimeout = time.Second, 2*time.Second, 2*time.Second
		if !b.Real() {
			c.SessionTimeout = 1500 * time.Millisecond
		}
	})
	i.running(b)
	p.send(100)
	gate.Shut()
	p.send(100)
	until := time.Now().Add(4 * time.Second)
	b.Eventually("it is away for a while", func() bool { return time.Now().After(until) })
	gate.Open()
	p.awaitCounted(t, i)
	i.end()
	requireCounts(t, b, p.counts, p.sent)
	tr.requireResumed(t)
}

// A stop does not wait for a cluster that does not come back.
func TestRun_EndsWhileTheClusterIsAway(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	gate := testbroker.NewGate()
	cfg := quick(b, p.application)
	cfg.StateDir, cfg.ClientOptions, cfg.RequestTimeout = t.TempDir(), append(cfg.ClientOptions, gate.Option()), time.Second
	i := launch(t, p.build(t, newTrace(p)), cfg)
	i.running(b)
	p.send(100)
	p.awaitCounted(t, i)
	gate.Shut()
	i.stop()
	_ = i.wait()
	gate.Open()
	p.send(100)
	again := launch(t, p.build(t, newTrace(p)), cfg)
	p.awaitCounted(t, again)
	again.end()
	requireCounts(t, b, p.counts, p.sent)
}

// grants are what an application needs on a cluster with permissions; without says which to leave out.
func grants(application string, in, out string, without func(a kfake.ACL) bool) []kfake.ACL {
	allow := func(kind kmsg.ACLResourceType, pattern kmsg.ACLResourcePatternType, name string, ops ...kmsg.ACLOperation) (acls []kfake.ACL) {
		for _, op := range ops {
			acls = append(acls, kfake.ACL{Resource: kind, Name: name, Pattern: pattern, Operation: op, Allow: true})
		}
		return acls
	}
	const exact, prefix = kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLResourcePatternTypePrefixed
	var all []kfake.ACL
	for _, acls := range [][]kfake.ACL{
		allow(kmsg.ACLResourceTypeTopic, exact, in, kmsg.ACLOperationRead, kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeTopic, exact, out, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeTopic, prefix, application, kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe,
			kmsg.ACLOperationCreate, kmsg.ACLOperationDelete),
		allow(kmsg.ACLResourceTypeTopic, exact, in+".dlq", kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationCreate),
		allow(kmsg.ACLResourceTypeGroup, exact, application, kmsg.ACLOperationRead, kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeTransactionalId, prefix, application, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe),
	} {
		for _, a := range acls {
			if without == nil || !without(a) {
				all = append(all, a)
			}
		}
	}
	return all
}

func TestRun_NamesWhatItMayNotDo(t *testing.T) {
	t.Parallel()
	of := func(kind kmsg.ACLResourceType, name string) func(kfake.ACL) bool {
		return func(a kfake.ACL) bool { return a.Resource == kind && a.Name == name }
	}
	for _, c := range []struct {
		name    string
		without func(kfake.ACL) bool
		want    []string
		err     error
	}{
		{"nothing is missing", nil, nil, nil},
		{"the input", of(kmsg.ACLResourceTypeTopic, "words"), []string{`"words"`}, kerr.TopicAuthorizationFailed},
		{"the output", of(kmsg.ACLResourceTypeTopic, "counts"), []string{`"counts"`}, kerr.TopicAuthorizationFailed},
		{"to read the input", func(a kfake.ACL) bool {
			return a.Name == "words" && a.Operation == kmsg.ACLOperationRead
		}, []string{`"words"`}, kerr.TopicAuthorizationFailed},
		{"internal topics", of(kmsg.ACLResourceTypeTopic, "app"), []string{
			`"app-by-word-repartition"`, `"app-counts-changelog"`,
		}, kerr.TopicAuthorizationFailed},
		{"to create internal topics", func(a kfake.ACL) bool {
			return a.Name == "app" && a.Operation == kmsg.ACLOperationCreate
		}, []string{`"app-by-word-repartition"`, "create"}, kerr.TopicAuthorizationFailed},
		{"the group", of(kmsg.ACLResourceTypeGroup, "app"), []string{`group "app"`}, kerr.GroupAuthorizationFailed},
		{"transactional ids", of(kmsg.ACLResourceTypeTransactionalId, "app"), []string{`transactional id "app-`}, kerr.TransactionalIDAuthorizationFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := testbroker.StartSecured(t, grants("app", "words", "counts", c.without)...)
			p := &pipeline{b: b, words: "words", counts: "counts", application: "app", partitions: 2}
			b.Create(p.words, 2)
			b.Create(p.counts, 2)
			cfg := quick(b, p.application)
			cfg.ClientOptions = append(cfg.ClientOptions, testbroker.AsUser())
			if c.err == nil {
				i := launch(t, p.build(t, newTrace(p)), cfg)
				p.send(100)
				p.awaitCounted(t, i)
				i.end()
				return
			}
			p.send(10)
			err := refused(t, p.build(t, newTrace(p)), cfg)
			require.ErrorIs(t, err, c.err)
			for _, part := range c.want {
				require.ErrorContains(t, err, part)
			}
		})
	}
}

func TestRun_NamesTheClusterThatRefusesItsCredentials(t *testing.T) {
	t.Parallel()
	b := testbroker.StartSecured(t)
	b.Create("in", 1)
	b.Fake.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Fake.KeepControl()
		resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	s := stream.NewBuilder()
	s.Stream(text("in")).ForEach(func(string, string) {})
	cfg := quick(b, "app")
	cfg.ClientOptions = append(cfg.ClientOptions, testbroker.AsUser())
	err := refused(t, built(t, s), cfg)
	require.ErrorIs(t, err, kerr.SaslAuthenticationFailed)
	require.ErrorContains(t, err, b.Addrs()[0])
}

func TestRun_ReturnsAtOnceWhenItsContextHasEnded(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 1)
	cfg := quick(b, p.application)
	cfg.StateDir, cfg.Logger = t.TempDir(), testLogger(t)
	app, err := New(p.build(t, newTrace(p)), cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, app.Run(ctx))
	require.Equal(t, Stopped, app.State())
}
