package runtime

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// A killPlan tells a child process what to run, and where to die.
type killPlan struct {
	Brokers     []string
	Application string
	StateDir    string
	Names       killNames
	Orchestra   *orchestra // runs instead of what is made of Names
	Point       string     // of a commit; empty: run until killed from outside
	Hits        int64      // die the n-th time that the point is passed
}

// killNames are the topics of a test.
type killNames struct{ Words, Counts, Windows string }

const killEnv = "WEIR_KILL_PLAN"

// TestMain lets the test's binary be the application that is killed.
func TestMain(m *testing.M) {
	if plan := os.Getenv(killEnv); plan != "" {
		os.Exit(killChild(plan))
	}
	os.Exit(m.Run())
}

// killTopology has a repartition, a count, calls made ahead and a windowed store.
func killTopology(n killNames) (*topology.Topology, error) {
	b := stream.NewBuilder()
	words := b.Stream(stream.NewTopic(n.Words, serde.String(), serde.String()))
	words.GroupBy(func(_, word string) string { return word }, stream.NewRepartition("by-word", serde.String(), serde.String())).
		Count(state.KeyValue("counts", serde.String(), serde.Int64())).
		ToStream().
		To(stream.NewTopic(n.Counts, serde.String(), serde.Int64()))
	words.MapValuesAsync(func(_ context.Context, _, word string) (string, error) { return word, nil }).
		GroupByKey().
		Window(stream.Tumbling{Size: time.Second, Grace: time.Hour}).
		Count(state.Window("windows", serde.String(), serde.Int64())).
		To(stream.NewTopic(n.Windows, serde.TimeWindowed(serde.String(), time.Second), serde.Int64()))
	return b.Build()
}

// killChild is the child process.
func killChild(text string) int {
	var plan killPlan
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		fmt.Println("read the plan:", err)
		return 2
	}
	build := func() (*topology.Topology, error) { return killTopology(plan.Names) }
	if plan.Orchestra != nil {
		build = plan.Orchestra.build
	}
	top, err := build()
	if err != nil {
		fmt.Println("build the topology:", err)
		return 2
	}
	var app *App
	app, err = New(top, Config{
		ApplicationID: plan.Application, Brokers: plan.Brokers, StateDir: plan.StateDir, Workers: 2,
		CommitInterval: 30 * time.Millisecond, FlushInterval: 300 * time.Millisecond,
		SessionTimeout: 2 * time.Second, TransactionTimeout: 5 * time.Second, RebalanceTimeout: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), ClientOptions: []kgo.Opt{cheapCompression()},
		OnState: func(_, to State) {
			if to == Running {
				fmt.Println("running", app.Stats().Restored)
			}
		},
	})
	if err != nil {
		fmt.Println("make the application:", err)
		return 2
	}
	var hits atomic.Int64
	app.hook = func(point string) {
		if point == plan.Point && hits.Add(1) == plan.Hits {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing may run between the signal and the end
		}
	}
	// The parent's end ends the child.
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := app.Run(ctx); err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	return 0
}

// A child is a running child process.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan error
	lines chan string
	logs  *lockedBuilder
}

type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func startChild(t *testing.T, plan killPlan) *child {
	t.Helper()
	text, err := json.Marshal(plan)
	require.NoError(t, err)
	c := &child{cmd: exec.Command(os.Args[0]), done: make(chan error, 1), lines: make(chan string, 100), logs: &lockedBuilder{}}
	c.cmd.Env = append(os.Environ(), killEnv+"="+string(text))
	c.stdin, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.cmd.Stderr = c.logs
	require.NoError(t, c.cmd.Start())
	go func() {
		s := bufio.NewScanner(out)
		for s.Scan() {
			c.lines <- s.Text()
		}
		close(c.lines)
		c.done <- c.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("process %d, %q:\n%s", c.cmd.Process.Pid, plan.Point, c.logs)
		}
	})
	return c
}

// restored waits until the child runs, and returns how many changelog records it replayed; -1 if it died before.
func (c *child) restored() int64 {
	for line := range c.lines {
		if n, ok := strings.CutPrefix(line, "running "); ok {
			v, _ := strconv.ParseInt(n, 10, 64)
			return v
		}
	}
	return -1
}

// TestKill_LosesAndDuplicatesNothing kills one of two instances again and again, at the points of a commit where it hurts most and at random, and
// restarts it each time. A read-committed reader must see every count once, in order.
func TestKill_LosesAndDuplicatesNothing(t *testing.T) {
	b := testbroker.Start(t)
	kills := 5
	if b.Real() {
		kills = 14
	}
	names := killNames{b.Name("words"), b.Name("counts"), b.Name("windows")}
	for _, topic := range []string{names.Words, names.Counts, names.Windows} {
		b.Create(topic, 4)
	}
	base := killPlan{Brokers: b.Addrs(), Application: b.Name("kill"), Names: names}
	dirs := []string{t.TempDir(), t.TempDir()}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	points := []string{pointBeforeFlush, pointBeforeEnd, pointAfterEnd, pointBetween, ""}

	const perRound = 2_000
	sent, at := 0, time.UnixMilli(1_700_000_000_000)
	send := func() {
		rs := make([]*kgo.Record, perRound)
		for i := range rs {
			n := sent + i
			rs[i] = &kgo.Record{
				Topic: names.Words, Partition: int32(n % 4), Key: []byte(fmt.Sprintf("k%d", n%4)), Value: []byte(fmt.Sprintf("w%d", n%97)),
				Timestamp: at.Add(time.Duration(n) * time.Millisecond),
			}
		}
		b.Produce(rs...)
		sent += perRound
	}
	children := []*child{nil, nil}
	plan := func(i int) killPlan { p := base; p.StateDir = dirs[i]; return p }
	for i := range children {
		children[i] = startChild(t, plan(i))
	}
	most := int64(0)
	for k := range kills {
		i := k % 2
		p := plan(i)
		p.Point, p.Hits = points[k%len(points)], 1+random.Int64N(12)
		_ = children[i].stdin.Close() // a clean stop, so that the next life has the point
		<-children[i].done
		children[i] = startChild(t, p)
		send()
		if n := children[i].restored(); n > most {
			most = n
		}
		send()
		if p.Point == "" {
			before, progress := committedOf(b, names.Counts), random.Int64N(500)
			b.Eventually("some progress", func() bool { send(); return committedOf(b, names.Counts) > before+progress })
			_ = children[i].cmd.Process.Kill()
		}
		var died error
		b.Eventually("the child dies", func() bool {
			select {
			case err := <-children[i].done:
				died = err
				return true
			default:
				send() // a point is passed at a commit: there must be something to commit
				return false
			}
		})
		require.ErrorContains(t, died, "signal: killed", "kill %d at %q:\n%s", k, p.Point, children[i].logs)
		t.Logf("kill %d of instance %d at %q", k, i, p.Point)
		children[i] = startChild(t, plan(i))
	}
	send()
	b.Eventually("everything is counted", func() bool {
		// The markers of transactions take offsets too: what lies in the outputs does not tell whether all of the input is done.
		return committedOf(b, names.Counts) >= int64(sent) && committedOf(b, names.Windows) >= int64(sent) &&
			b.Behind(base.Application, names.Words) == 0 && b.Behind(base.Application, topology.RepartitionTopic(base.Application, "by-word")) == 0
	})
	for _, c := range children {
		_ = c.stdin.Close()
		require.NoError(t, <-c.done, c.logs.String())
	}
	requireCounts(t, b, names.Counts, sent)
	requireCounts(t, b, names.Windows, sent)
	t.Logf("%d records, %d kills, at most %d changelog records replayed at a restart", sent, kills, most)
	require.Less(t, most, int64(sent), "a restart replays the tail, not everything")
}

// committedOf is the number of offsets in a topic up to the last stable one, markers included.
func committedOf(b *testbroker.Broker, topic string) int64 {
	ends, err := b.Admin().ListCommittedOffsets(context.Background(), topic)
	if err != nil {
		return 0
	}
	n := int64(0)
	for _, o := range ends.Offsets()[topic] {
		n += o.At
	}
	return n
}

// requireCounts demands that each key counts 1, 2, 3, ... and that all add up to total.
func requireCounts(t *testing.T, b *testbroker.Broker, topic string, total int) {
	t.Helper()
	last := map[string]int64{}
	sum := int64(0)
	for _, r := range b.Read(topic) {
		n, err := serde.Int64().Decode(r.Value)
		require.NoError(t, err)
		require.Equal(t, last[string(r.Key)]+1, n, "topic %s key %q partition %d offset %d", topic, r.Key, r.Partition, r.Offset)
		last[string(r.Key)] = n
		sum++
	}
	require.Equal(t, int64(total), sum, "records of topic %s", topic)
}
