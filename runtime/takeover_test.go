package runtime

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// with are the lines that have all of the parts.
func (l *lines) with(parts ...string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
lines:
	for line := range strings.Lines(l.b.String()) {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue lines
			}
		}
		out = append(out, line)
	}
	return out
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// keeping is a program that keeps the last values of a topic in stores.
func keeping(t *testing.T, topic string, stores ...state.KeyValueSpec[string, string]) *topology.Topology {
	t.Helper()
	s := stream.NewBuilder()
	in := s.Stream(text(topic))
	in.ForEach(func(string, string) {})
	for _, st := range stores {
		in.ToTable(st)
	}
	return built(t, s)
}

func kept(name string) state.KeyValueSpec[string, string] {
	return state.KeyValue(name, serde.String(), serde.String())
}

func TestTakeover_LogsOnceWhatIsDifferent(t *testing.T) {
	t.Parallel()
	d := &stateDir{dir: t.TempDir()}
	run := func(top *topology.Topology) *lines {
		log := &lines{}
		taken, err := d.planTakeover(top)
		require.NoError(t, err)
		require.NoError(t, taken.done(log.logger(), "app"))
		return log
	}
	require.Empty(t, run(keeping(t, "in", kept("a"))).with(), "nothing ran before")
	require.Empty(t, run(keeping(t, "in", kept("a"))).with(), "the same program")
	require.Empty(t, run(keeping(t, "in", kept("other").RenamedFrom("a"))).with(), "the store is the same")
	log := run(keeping(t, "in", kept("b"), kept("c").WithoutChangelog()))
	require.Len(t, log.with(), 3)
	require.Len(t, log.with("level=WARN", "what=store", "name=a", "is gone", "topic=app-a-changelog", "RenamedFrom"), 1)
	require.Len(t, log.with("level=INFO", "what=store", "name=b", "is new"), 1)
	require.Empty(t, run(keeping(t, "in", kept("b"), kept("c").WithoutChangelog())).with())
	log = run(keeping(t, "in", kept("b").WithoutChangelog()))
	require.Len(t, log.with("level=WARN", "name=b", "no longer logged", "topic=app-b-changelog"), 1)
	require.Len(t, log.with("level=WARN", "name=c", "is gone"), 1)
	require.Empty(t, log.with("app-c-changelog"))
	require.Equal(t, []string{"manifest"}, names(t, d.dir), "nothing else is left in the directory")
}

func TestTakeover_RefusesAProgramThatCannotReadTheState(t *testing.T) {
	t.Parallel()
	d := &stateDir{dir: t.TempDir()}
	taken, err := d.planTakeover(keeping(t, "in", kept("a")))
	require.NoError(t, err)
	require.NoError(t, taken.done((&lines{}).logger(), "app"))
	path := filepath.Join(d.dir, "manifest")
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	s := stream.NewBuilder()
	s.Stream(text("in")).GroupByKey().Count(state.KeyValue("a", serde.String(), serde.Int64()))
	_, err = d.planTakeover(built(t, s))
	var incompatible *topology.IncompatibleError
	require.ErrorAs(t, err, &incompatible)
	require.Len(t, incompatible.Differences, 1)
	for _, part := range []string{`store "a" changes its value type from string to int64`, "RenamedFrom", "another id", d.dir, path} {
		require.ErrorContains(t, err, part)
	}
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoError(t, os.Remove(path))
	_, err = d.planTakeover(built(t, func() *stream.Builder {
		s := stream.NewBuilder()
		s.Stream(text("in")).GroupByKey().Count(state.KeyValue("a", serde.String(), serde.Int64()))
		return s
	}()))
	require.NoError(t, err, "whoever knows better removes the file")
}

func TestTakeover_RefusesAManifestThatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "not json", `{"version":99}`} {
		d := &stateDir{dir: t.TempDir()}
		path := filepath.Join(d.dir, "manifest")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		_, err := d.planTakeover(keeping(t, "in"))
		require.ErrorContains(t, err, "find out which program ran last, from the file")
		require.ErrorContains(t, err, path)
	}
}

func TestLeftBehind_AreInternalTopicsThatNothingUses(t *testing.T) {
	t.Parallel()
	s := stream.NewBuilder()
	s.Stream(text("app-read-changelog")).Repartition(stream.NewRepartition("by", serde.String(), serde.String())).ToTable(kept("a")).
		ToStream().To(text("app-written-repartition"))
	s.GlobalTable(text("app-global-changelog"), kept("g"))
	top := built(t, s)
	plan, err := top.Plan("app", func(string) (int32, bool) { return 1, true })
	require.NoError(t, err)
	require.Equal(t, []string{"app-a-repartition", "app-gone-changelog"}, leftBehind("app", top, plan, []string{
		"app-read-changelog", "app-written-repartition", "app-global-changelog", "app-by-repartition", "app-a-changelog", // used
		"app-gone-changelog", "app-a-repartition", "app-in", "other-a-changelog", "app", "changelog",
	}))
}

func TestRun_ComparesTheProgramWithTheOneThatRanLast(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, id := b.Name("in"), b.Name("app")
	b.Create(in, 1)
	run := func(top *topology.Topology, cfg Config) *lines {
		log := &lines{}
		cfg.Logger = log.logger()
		i := launch(t, top, cfg)
		i.running(b)
		i.end()
		return log
	}
	cfg := quick(b, id)
	cfg.StateDir = t.TempDir()
	require.Empty(t, run(keeping(t, in, kept("a"), kept("b")), cfg).with("left behind"))
	changelog := topology.ChangelogTopic(id, "b")
	log := run(keeping(t, in, kept("a")), cfg)
	require.Len(t, log.with("leaves something behind", "name=b", "topic="+changelog), 1)
	require.Len(t, log.with("internal topics are left behind", changelog), 1)
	log = run(keeping(t, in, kept("a")), cfg)
	require.Empty(t, log.with("name=b"), "differences are told once")
	require.Len(t, log.with("internal topics are left behind", changelog), 1, "what is there is told at every start")

	s := stream.NewBuilder()
	s.Stream(text(in)).GroupByKey().Count(state.KeyValue("a", serde.String(), serde.Int64()))
	err := refused(t, built(t, s), cfg)
	var incompatible *topology.IncompatibleError
	require.ErrorAs(t, err, &incompatible)
	require.ErrorContains(t, err, `store "a" changes its value type`)
	run(keeping(t, in, kept("a")), cfg) // the refused one has left nothing
}

func TestRun_TellsAMemberOfAnotherTopologyWhatIsDifferent(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	in, id := b.Name("in"), b.Name("app")
	b.Create(in, 1)
	one := launch(t, keeping(t, in, kept("a")), quick(b, id))
	one.running(b)
	err := refused(t, keeping(t, in, kept("b")), quick(b, id))
	require.ErrorContains(t, err, `the group refuses this instance: another topology runs under this application id. What is different here: `+
		`store "a" is gone; store "b" is new; `)
	one.running(b)
	one.end()
}
