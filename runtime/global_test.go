package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/topology"
)

// A rating looks the values of records up in a global table, and writes what it finds.
type rating struct {
	t                  *testing.T
	b                  *testbroker.Broker
	rates, in, out, id string
	dir                string
	store              state.KeyValueSpec[string, string]
	sent               int
}

const ratePartitions = 3

func newRating(t *testing.T) *rating {
	t.Helper()
	b := testbroker.Start(t)
	r := &rating{t: t, b: b, rates: b.Name("rates"), in: b.Name("in"), out: b.Name("out"), id: b.Name("app"), dir: t.TempDir()}
	r.store = state.KeyValue("rates", serde.String(), serde.String())
	b.Create(r.rates, ratePartitions)
	b.Create(r.in, 2)
	b.Create(r.out, 1)
	return r
}

func (r *rating) build(opts ...stream.Option) *topology.Topology {
	r.t.Helper()
	s := stream.NewBuilder()
	table := s.GlobalTable(text(r.rates), r.store, opts...)
	s.Stream(text(r.in)).LeftJoinGlobal(table, func(_, v string) string { return v }, func(v string, row stream.Opt[string]) string {
		return v + "=" + row.Value
	}).To(text(r.out))
	return built(r.t, s)
}

func (r *rating) start(changes ...func(a *App)) *instance {
	r.t.Helper()
	cfg := quick(r.b, r.id)
	cfg.StateDir = r.dir
	return launch(r.t, r.build(), cfg, changes...)
}

// set writes a row of the global table, into the partition of its number.
func (r *rating) set(n int, value string) {
	r.t.Helper()
	r.b.Produce(&kgo.Record{Topic: r.rates, Partition: int32(n % ratePartitions), Key: []byte(fmt.Sprintf("k%d", n)), Value: []byte(value)})
}

func (r *rating) fill(n int, value string) {
	r.t.Helper()
	rs := make([]*kgo.Record, n)
	for i := range rs {
		rs[i] = &kgo.Record{Topic: r.rates, Partition: int32(i % ratePartitions), Key: []byte(fmt.Sprintf("k%d", i)), Value: []byte(value)}
	}
	// Not the test's own client: it would write to a topic that is gone, by its id.
	require.NoError(r.t, r.b.Client().ProduceSync(r.t.Context(), rs...).FirstErr())
}

// ask looks up each of n keys once, and returns the answers by key.
func (r *rating) ask(n int, instances ...*instance) map[string]string {
	r.t.Helper()
	rs := make([]*kgo.Record, n)
	for i := range rs {
		rs[i] = &kgo.Record{Topic: r.in, Partition: int32(i % 2), Key: []byte(fmt.Sprintf("q%d", i)), Value: []byte(fmt.Sprintf("k%d", i))}
	}
	r.b.Produce(rs...)
	return r.answers(n, instances...)
}

// answers waits for n more answers.
func (r *rating) answers(n int, instances ...*instance) map[string]string {
	r.t.Helper()
	r.sent += n
	var all []*kgo.Record
	r.b.Eventually("all is answered", func() bool {
		for _, i := range instances {
			select {
			case <-i.done:
				require.NoError(r.t, i.err)
			default:
			}
		}
		if committedOf(r.b, r.out) < int64(r.sent) {
			return false
		}
		all = r.b.Read(r.out)
		return len(all) >= r.sent
	})
	require.Len(r.t, all, r.sent)
	out := map[string]string{}
	for _, rec := range all[r.sent-n:] {
		out[string(rec.Key)] = string(rec.Value)
	}
	return out
}

func requireRated(t *testing.T, answers map[string]string, n int, value string) {
	t.Helper()
	for i := range n {
		require.Equal(t, fmt.Sprintf("k%d=%s", i, value), answers[fmt.Sprintf("q%d", i)])
	}
}

func TestGlobal_IsLoadedBeforeTheFirstRecord(t *testing.T) {
	t.Parallel()
	r := newRating(t)
	r.fill(5000, "old")
	r.fill(5000, "new")
	for i := range 200 {
		r.b.Produce(&kgo.Record{Topic: r.in, Key: []byte(fmt.Sprintf("q%d", i)), Value: []byte(fmt.Sprintf("k%d", i))})
	}
	i := r.start()
	requireRated(t, r.answers(200, i), 200, "new")
	require.EqualValues(t, 10_000, i.app.Stats().Loaded)
	r.set(7, "newer")
	r.b.Eventually("an update is seen", func() bool { return r.ask(10, i)["q7"] == "k7=newer" })
	r.b.Produce(&kgo.Record{Topic: r.rates, Partition: 1, Key: []byte("k7")})
	r.b.Eventually("a delete is seen", func() bool { return r.ask(10, i)["q7"] == "k7=" })
	i.end()
}

func TestGlobal_ReadsOnlyTheTailBehindARestart(t *testing.T) {
	t.Parallel()
	r := newRating(t)
	r.fill(900, "a")
	i := r.start()
	requireRated(t, r.ask(50, i), 50, "a")
	i.end()
	r.set(3, "b")
	r.set(4, "b")
	i = r.start()
	answers := r.ask(50, i)
	require.Equal(t, "k3=b", answers["q3"])
	require.Equal(t, "k5=a", answers["q5"])
	require.EqualValues(t, 2, i.app.Stats().Loaded)
	require.Zero(t, i.app.Stats().Wiped)
	i.end()
}

func TestGlobal_InMemoryIsLoadedAnewAtEachStart(t *testing.T) {
	t.Parallel()
	r := newRating(t)
	r.store = r.store.InMemory()
	r.fill(300, "a")
	for range 2 {
		i := r.start()
		requireRated(t, r.ask(50, i), 50, "a")
		require.EqualValues(t, 300, i.app.Stats().Loaded)
		i.end()
	}
}

func TestGlobal_IsLoadedAnewWhereItsStateCannotBeContinued(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(t *testing.T, r *rating)
		want   string // of all keys
	}{
		{"the topic was created again", func(t *testing.T, r *rating) {
			_, err := r.b.Admin().DeleteTopic(t.Context(), r.rates)
			require.NoError(t, err)
			r.b.Eventually("the topic is gone", func() bool {
				m, err := r.b.Admin().Metadata(t.Context(), r.rates)
				return err == nil && m.Topics[r.rates].Err != nil
			})
			r.b.Create(r.rates, ratePartitions)
			r.fill(400, "b")
		}, "b"},
		{"the topic was cut off behind the state", func(t *testing.T, r *rating) {
			r.fill(400, "c")
			r.fill(400, "d")
			var offsets kadm.Offsets
			for p := range ratePartitions {
				offsets.Add(kadm.Offset{Topic: r.rates, Partition: int32(p), At: 260})
			}
			_, err := r.b.Admin().DeleteRecords(t.Context(), offsets)
			require.NoError(t, err)
			r.fill(400, "d")
		}, "d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRating(t)
			r.fill(400, "a")
			r.set(1000, "only in the state")
			i := r.start()
			requireRated(t, r.ask(50, i), 50, "a")
			i.end()
			c.change(t, r)
			i = r.start()
			requireRated(t, r.ask(50, i), 50, c.want)
			require.EqualValues(t, 1, i.app.Stats().Wiped)
			r.b.Produce(&kgo.Record{Topic: r.in, Key: []byte("gone"), Value: []byte("k1000")})
			require.Equal(t, "k1000=", r.answers(1, i)["gone"])
			i.end()
		})
	}
}

func TestGlobal_IsWholeOnEachInstance(t *testing.T) {
	t.Parallel()
	r := newRating(t)
	r.fill(600, "a")
	one := r.start()
	one.running(r.b)
	r.dir = t.TempDir()
	two := r.start()
	r.b.Eventually("both have a task", func() bool { return len(one.app.Stats().Tasks) == 1 && len(two.app.Stats().Tasks) == 1 })
	requireRated(t, r.ask(600, one, two), 600, "a")
	require.EqualValues(t, 600, one.app.Stats().Loaded)
	require.EqualValues(t, 600, two.app.Stats().Loaded)
	for _, i := range []*instance{one, two} {
		i.end()
	}
}

func TestGlobal_PicksUpNewPartitions(t *testing.T) {
	t.Parallel()
	r := newRating(t)
	r.fill(30, "a")
	i := r.start(func(a *App) { a.look = 50 * time.Millisecond })
	requireRated(t, r.ask(30, i), 30, "a")
	_, err := r.b.Admin().CreatePartitions(t.Context(), 2, r.rates)
	require.NoError(t, err)
	r.b.Eventually("the partition can be written", func() bool {
		return r.b.Client().ProduceSync(t.Context(), &kgo.Record{
			Topic: r.rates, Partition: ratePartitions + 1, Key: []byte("k5"), Value: []byte("b"),
		}).FirstErr() == nil
	})
	r.b.Eventually("its rows are seen", func() bool { return r.ask(10, i)["q5"] == "k5=b" })
	i.end()
	i = r.start()
	require.Equal(t, "k5=b", r.ask(10, i)["q5"])
	require.Zero(t, i.app.Stats().Loaded)
	i.end()
}

func TestGlobal_EndsWhereItsTopicIsCreatedAgain(t *testing.T) {
	t.Parallel()
	r := newRating(t)
	r.fill(30, "a")
	i := r.start(func(a *App) { a.look = 50 * time.Millisecond })
	i.running(r.b)
	_, err := r.b.Admin().DeleteTopic(t.Context(), r.rates)
	require.NoError(t, err)
	r.b.Create(r.rates, ratePartitions)
	err = i.wait()
	require.ErrorContains(t, err, fmt.Sprintf("topic %q", r.rates))
	topic, ok := errors.AsType[*TopicError](err)
	require.True(t, ok)
	require.Equal(t, r.rates, topic.Topic)
	r.fill(30, "b")
	i = r.start()
	requireRated(t, r.ask(30, i), 30, "b")
	i.end()
}

// numbered reads the global topic as numbers.
func (r *rating) numbered(policy dlq.Policy) *topology.Topology {
	s := stream.NewBuilder()
	table := s.GlobalTable(stream.NewTopic(r.rates, serde.String(), serde.Int64()), state.KeyValue("rates", serde.String(), serde.Int64()),
		stream.OnError(policy), stream.Named("rates"))
	s.Stream(text(r.in)).JoinGlobal(table, func(_, v string) string { return v }, func(v string, n int64) string {
		return fmt.Sprint(v, "=", n)
	}).To(text(r.out))
	return built(r.t, s)
}

func (r *rating) corrupt() {
	good, err := serde.Int64().Append(nil, 5)
	require.NoError(r.t, err)
	r.b.Produce(&kgo.Record{Topic: r.rates, Key: []byte("k0"), Value: good}, &kgo.Record{Topic: r.rates, Key: []byte("k0"), Value: []byte("?")},
		&kgo.Record{Topic: r.rates, Key: []byte("k1"), Value: good}, &kgo.Record{Topic: r.rates, Value: good})
}

func TestGlobal_DropsCorruptRecordsUnderSkipAndSend(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]dlq.Policy{"skip": dlq.Skip(), "send": dlq.Send()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRating(t)
			r.corrupt()
			i := launch(t, r.numbered(policy), quick(r.b, r.id))
			answers := r.ask(2, i)
			require.Equal(t, map[string]string{"q0": "k0=5", "q1": "k1=5"}, answers)
			require.EqualValues(t, 1, i.app.Stats().Count("dropped", "failed"))
			require.EqualValues(t, 1, i.app.Stats().Count("dropped", "null-key"))
			i.end()
		})
	}
}

func TestGlobal_EndsAtACorruptRecordUnderFail(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late %v", late), func(t *testing.T) {
			t.Parallel()
			r := newRating(t)
			if !late {
				r.corrupt()
			}
			i := launch(t, r.numbered(dlq.Fail()), quick(r.b, r.id))
			if late {
				i.running(r.b)
				r.corrupt()
			}
			err := i.wait()
			require.ErrorContains(t, err, fmt.Sprintf("topic %q partition 0 offset 1", r.rates))
			require.ErrorContains(t, err, "decode value as int64")
			require.Equal(t, Failed, i.app.State())
		})
	}
}

func TestGlobal_NamesAMissingTopic(t *testing.T) {
	t.Parallel()
	r := newRating(t)
	r.rates = r.b.Name("nowhere")
	err := refused(t, r.build(), quick(r.b, r.id))
	require.ErrorContains(t, err, fmt.Sprintf("topic %q: it does not exist: create it, it fills the global store at global_test.go:", r.rates))
}

func TestGlobal_WaitsWhileARecordIsRetried(t *testing.T) {
	t.Parallel()
	r := newRating(t)
	r.fill(30, "a")
	var attempts atomic.Int64
	var ready atomic.Bool
	s := stream.NewBuilder()
	table := s.GlobalStore(text(r.rates), r.store, func(n *stream.GlobalNode) (func(context.Context, stream.Record[string, string]) error, error) {
		st := r.store.Open(n)
		return func(_ context.Context, rec stream.Record[string, string]) error {
			if rec.Key == "k4" && !ready.Load() {
				attempts.Add(1)
				return errBad
			}
			return st.Put(rec.Key, rec.Value+rec.Value)
		}, nil
	}, stream.OnError(dlq.Retry(1000, dlq.Constant(5*time.Millisecond))))
	s.Stream(text(r.in)).JoinGlobal(table, func(_, v string) string { return v }, func(v, row string) string { return v + "=" + row }).To(text(r.out))
	i := launch(t, built(t, s), quick(r.b, r.id))
	r.b.Eventually("it is tried again", func() bool { return attempts.Load() > 5 })
	require.Equal(t, Starting, i.app.State(), "no task runs before the table is whole")
	ready.Store(true)
	requireRated(t, r.ask(30, i), 30, "aa")
	i.end()
}

func TestGlobal_LeavesNothingBehind(t *testing.T) {
	r := newRating(t)
	r.fill(30, "a")
	before := goleak.IgnoreCurrent()
	i := r.start()
	requireRated(t, r.ask(30, i), 30, "a")
	i.end()
	const conn = "github.com/twmb/franz-go/pkg/kfake.(*clientConn)."
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction(conn+"read"), goleak.IgnoreAnyFunction(conn+"read.func1"),
		goleak.IgnoreAnyFunction(conn+"write"))
	_, err := os.Stat(filepath.Join(r.dir, r.id, globalDir, "rows"))
	require.NoError(t, err)
}

func TestGlobal_StopsWhileItLoads(t *testing.T) {
	t.Parallel()
	r := newRating(t)
	r.fill(1, "a")
	held := r.b.Client(kgo.TransactionalID(r.b.Name("other")))
	require.NoError(t, held.BeginTransaction())
	require.NoError(t, held.ProduceSync(t.Context(), &kgo.Record{Topic: r.rates, Key: []byte("k9"), Value: []byte("open")}).FirstErr())
	i := r.start()
	r.b.Eventually("it loads", func() bool { _, err := os.Stat(filepath.Join(r.dir, r.id, globalDir)); return err == nil })
	require.Equal(t, Starting, i.app.State(), "what an open transaction holds is waited for")
	i.end()
	require.NoError(t, held.EndTransaction(t.Context(), kgo.TryCommit))
	i = r.start()
	require.Equal(t, "k9=open", r.ask(10, i)["q9"])
	i.end()
}

func TestGlobal_LeavesAProcessorBehindThatDoesNotStop(t *testing.T) {
	t.Parallel()
	r := newRating(t)
	busy, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	s := stream.NewBuilder()
	table := s.GlobalStore(text(r.rates), r.store, func(*stream.GlobalNode) (func(context.Context, stream.Record[string, string]) error, error) {
		return func(_ context.Context, rec stream.Record[string, string]) error {
			if rec.Key == "k0" {
				close(busy)
				<-release
			}
			return nil
		}, nil
	})
	s.Stream(text(r.in)).LeftJoinGlobal(table, func(_, v string) string { return v }, func(v string, _ stream.Opt[string]) string { return v }).To(text(r.out))
	i := launch(t, built(t, s), quick(r.b, r.id), func(a *App) { a.grace = 50 * time.Millisecond })
	i.running(r.b)
	r.set(0, "block")
	<-busy
	require.Len(t, r.ask(5, i), 5, "tasks go on meanwhile")
	i.stop()
	require.ErrorContains(t, i.wait(), "the processor of a global store does not stop")
}
