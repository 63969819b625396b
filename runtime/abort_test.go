package runtime

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/topology"
)

// A faultCase is something that goes wrong while an application runs.
type faultCase struct {
	name   string
	strike func(f *faulty) // makes it happen, and returns when it has
	aborts bool            // a rollback must follow
	fake   bool            // only the embedded cluster can do it
	change func(c *Config)
}

// faulty is what a fault has to do with.
type faulty struct {
	t    *testing.T
	b    *testbroker.Broker
	p    *pipeline
	cfg  Config
	gate *testbroker.Gate
	tr   *trace
}

// inject makes the cluster answer one request with an error, and waits until it did. Work goes on meanwhile.
func (f *faulty) inject(fault kfake.Fault) {
	h := f.b.Fake.Fault(fault)
	n := max(fault.Count, 1)
	f.b.Eventually("the fault is met", func() bool {
		f.p.send(10)
		return h.Hits() >= n
	})
	h.Remove()
}

// lose loses requests or answers of an API key until one was hit, and some more.
func (f *faulty) lose(key kmsg.Key, arm func(key int16, n int)) {
	before := f.gate.Lost(int16(key))
	arm(int16(key), -1)
	f.b.Eventually("it is lost", func() bool {
		f.p.send(10)
		return f.gate.Lost(int16(key)) > before
	})
	arm(int16(key), 0)
}

func (f *faulty) refuse(key kmsg.Key, err *kerr.Error, n int) {
	f.inject(kfake.Fault{Keys: []kmsg.Key{key}, TxnID: transactionalID(f.t, f.cfg, 0), Err: err, Count: n})
}

var faultCases = []faultCase{
	{name: "a produce is refused by the producer's epoch", fake: true, aborts: true, strike: func(f *faulty) {
		f.inject(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: f.p.counts, Err: kerr.InvalidProducerEpoch})
	}},
	{name: "a produce to a changelog is refused", fake: true, aborts: true, strike: func(f *faulty) {
		topic := topology.ChangelogTopic(f.p.application, "counts")
		f.inject(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.TransactionAbortable})
	}},
	{name: "the broker forgets the producer", fake: true, aborts: true, strike: func(f *faulty) {
		f.inject(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: f.p.repartition(), Err: kerr.UnknownProducerID})
	}},
	{name: "a produce is answered too late", fake: true, strike: func(f *faulty) {
		f.inject(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: f.p.counts, Err: kerr.RequestTimedOut, Count: 2})
	}},
	{name: "the offsets are refused by the generation", fake: true, strike: func(f *faulty) {
		f.refuse(kmsg.TxnOffsetCommit, kerr.IllegalGeneration, 1)
	}},
	{name: "the offsets are refused by the member", fake: true, aborts: true, strike: func(f *faulty) {
		f.refuse(kmsg.TxnOffsetCommit, kerr.UnknownMemberID, 1)
	}},
	{name: "the offsets make the transaction abortable", fake: true, aborts: true, strike: func(f *faulty) {
		f.refuse(kmsg.TxnOffsetCommit, kerr.TransactionAbortable, 1)
	}},
	{name: "the coordinator is loading", fake: true, strike: func(f *faulty) {
		f.refuse(kmsg.TxnOffsetCommit, kerr.CoordinatorLoadInProgress, 1)
	}},
	{name: "the end is refused as abortable", fake: true, aborts: true, strike: func(f *faulty) {
		f.refuse(kmsg.EndTxn, kerr.TransactionAbortable, 1)
	}},
	{name: "the end is refused by the state", fake: true, aborts: true, strike: func(f *faulty) {
		f.refuse(kmsg.EndTxn, kerr.InvalidTxnState, 1)
	}},
	{name: "the end is refused as fenced", fake: true, aborts: true, strike: func(f *faulty) {
		f.refuse(kmsg.EndTxn, kerr.ProducerFenced, 1)
	}},
	{name: "the last transaction is still being completed", fake: true, strike: func(f *faulty) {
		f.refuse(kmsg.EndTxn, kerr.ConcurrentTransactions, 3)
	}},
	{name: "the answer to the end is lost", strike: func(f *faulty) {
		f.lose(kmsg.EndTxn, f.gate.LoseAnswers)
	}},
	{name: "the end is lost", strike: func(f *faulty) {
		f.lose(kmsg.EndTxn, f.gate.LoseRequests)
	}},
	{name: "all answers to the end are lost for longer than a commit may take", strike: func(f *faulty) {
		f.loseLong(f.gate.LoseAnswers)
	}, change: func(c *Config) { c.RequestTimeout = 700 * time.Millisecond }},
	{name: "no end arrives for longer than a commit may take", aborts: true, strike: func(f *faulty) {
		f.loseLong(f.gate.LoseRequests)
	}, change: func(c *Config) { c.RequestTimeout = 700 * time.Millisecond }},
	{name: "no produce arrives for longer than a commit may take", aborts: true, strike: func(f *faulty) {
		aborts := f.tr.rolledBack()
		f.gate.LoseRequests(int16(kmsg.Produce), -1)
		f.b.Eventually("the worker gives up", func() bool { f.p.send(1); return f.tr.rolledBack() > aborts })
		f.gate.LoseRequests(int16(kmsg.Produce), 0)
	}, change: func(c *Config) { c.RequestTimeout = 700 * time.Millisecond }},
	{name: "another producer takes the transactional id", aborts: true, strike: func(f *faulty) {
		c := f.b.Client(kgo.TransactionalID(transactionalID(f.t, f.cfg, 0)))
		_, _, err := c.ProducerID(context.Background())
		require.NoError(f.t, err)
		c.Close()
		aborts := f.tr.rolledBack()
		f.b.Eventually("the worker notices", func() bool { f.p.send(10); return f.tr.rolledBack() > aborts })
	}},
	{name: "a transaction is open for too long", fake: true, aborts: true, strike: func(f *faulty) {
		for aborts := f.tr.rolledBack(); f.tr.rolledBack() == aborts; {
			f.holdOpen()
			f.p.send(10)
			f.p.awaitCounted(f.t)
		}
	}, change: func(c *Config) {
		c.Workers, c.TransactionTimeout, c.CommitInterval = 1, time.Second, 300*time.Millisecond
	}},
}

// holdOpen holds a record up while a transaction is open, if one is, until the broker gives it up.
func (f *faulty) holdOpen() {
	release, id := make(chan struct{}), transactionalID(f.t, f.cfg, 0)
	defer close(release)
	f.tr.block(release, 100)
	f.p.send(200)
	f.b.Eventually("a record is held up", f.tr.holds)
	open := func() bool {
		r, err := f.b.Admin().DescribeTransactions(context.Background(), id)
		return err == nil && r[id].State == "Ongoing"
	}
	look := time.Now().Add(200 * time.Millisecond)
	f.b.Eventually("a look at the transaction", func() bool { return open() || time.Now().After(look) })
	f.b.Eventually("the broker gives it up", func() bool { return !open() })
}

// loseLong loses the ends of transactions until the time for a commit is over.
func (f *faulty) loseLong(arm func(key int16, n int)) {
	arm(int16(kmsg.EndTxn), -1)
	f.b.Eventually("it is lost", func() bool { f.p.send(10); return f.gate.Lost(int16(kmsg.EndTxn)) > 0 })
	until := time.Now().Add(2 * f.cfg.RequestTimeout)
	f.b.Eventually("a commit takes too long", func() bool { return time.Now().After(until) })
	arm(int16(kmsg.EndTxn), 0)
}

func TestAbort_GoesOnFromTheCommittedOffsets(t *testing.T) {
	t.Parallel()
	for _, c := range faultCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := testbroker.Start(t)
			if c.fake && b.Real() {
				t.Skip("a real cluster does not do that on demand")
			}
			p := newPipeline(b, 4)
			f := &faulty{t: t, b: b, p: p, cfg: quick(b, p.application), gate: testbroker.NewGate(), tr: newTrace(p)}
			f.cfg.StateDir, f.cfg.ClientOptions = t.TempDir(), append(f.cfg.ClientOptions, f.gate.Option())
			f.cfg.TransactionTimeout = 5 * time.Minute // nothing may wait for the broker to give a transaction up
			if c.change != nil {
				c.change(&f.cfg)
			}
			i := launch(t, p.build(t, f.tr), f.cfg, f.tr.observe)
			i.running(b)
			p.send(100)
			c.strike(f)
			p.send(50)
			c.strike(f)
			p.send(50)
			p.awaitCounted(t, i)
			i.end()
			requireCounts(t, b, p.counts, p.sent)
			f.tr.requireResumed(t)
			s := i.app.Stats()
			if c.aborts {
				require.Positive(t, s.Aborts)
			}
			require.Zero(t, s.Wiped)
		})
	}
}
