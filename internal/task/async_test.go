package task_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/stream"
)

// A desk takes the calls of a task and ends them when the test says so.
type desk struct {
	open  []*openCall // begun and not ended
	begun []string    // values, in the order of their calls
}

type openCall struct {
	ctx        context.Context
	key, value string
	answer     chan reply
	left       chan struct{} // is closed when the goroutine has ended
}

type reply struct {
	value string
	err   error
	panic any
}

// hire gives the task a desk: calls begin on goroutines, and the test sees them one after the other.
func hire(d *desk, calls chan *openCall) func(c *task.Config) {
	return func(c *task.Config) {
		c.Go = func(f func()) {
			left := make(chan struct{})
			go func() { defer close(left); f() }()
			oc := <-calls
			oc.left = left
			d.open = append(d.open, oc)
			d.begun = append(d.begun, oc.value)
		}
		c.Wake = func() {}
	}
}

// asyncBench is a program with one asynchronous operator behind a stretch, and its desk.
type asyncBench struct {
	*bench
	desk *desk
}

func newAsync(
	t *testing.T, fallback dlq.Policy, stretch func(s stream.Stream[string, string]) stream.Stream[string, string], opts ...stream.AsyncOption,
) *asyncBench {
	t.Helper()
	d, calls := &desk{}, make(chan *openCall)
	b := stream.NewBuilder().OnError(fallback)
	s := stretch(b.Stream(lines("a")).Merge(b.Stream(lines("b")))).
		MapValuesAsync(func(ctx context.Context, k, v string) (string, error) {
			oc := &openCall{ctx: ctx, key: k, value: v, answer: make(chan reply, 1)}
			calls <- oc
			r := <-oc.answer
			if r.panic != nil {
				panic(r.panic)
			}
			return r.value, r.err
		}, opts...)
	s.To(lines("out"))
	be := newBench(t, b, hire(d, calls))
	t.Cleanup(func() {
		for len(d.open) > 0 {
			d.end(0, reply{})
		}
	})
	return &asyncBench{be, d}
}

func direct(s stream.Stream[string, string]) stream.Stream[string, string] { return s }

// end ends the i-th open call.
func (d *desk) end(i int, r reply) {
	oc := d.open[i]
	d.open = append(d.open[:i:i], d.open[i+1:]...)
	oc.answer <- r
	<-oc.left
}

// well ends the open call of that value with its result.
func (b *asyncBench) well(value string) {
	b.t.Helper()
	b.answer(value, reply{value: value + "!"})
}

func (b *asyncBench) answer(value string, r reply) {
	b.t.Helper()
	for i, oc := range b.desk.open {
		if oc.value == value {
			b.desk.end(i, r)
			return
		}
	}
	require.FailNow(b.t, "no open call", value)
}

func TestAsync_ResultsComeInOrderOfTheRecords(t *testing.T) {
	t.Parallel()
	b := newAsync(t, nil, direct)
	for i, v := range []string{"1", "2", "3"} {
		b.add("a", "k"+v, v, int64(i))
	}
	b.idle()
	require.Equal(t, []string{"1", "2", "3"}, b.desk.begun, "all at once")
	b.well("3")
	b.well("2")
	b.idle()
	require.Empty(t, b.values())
	require.Zero(t, b.commit().Offsets[0].Offset, "a commit covers what is through")
	b.well("1")
	b.drain()
	require.Equal(t, []string{"1!", "2!", "3!"}, b.values())
	require.EqualValues(t, 3, b.commit().Offsets[0].Offset)
}

func TestAsync_CallsForOneKeyDoNotOverlap(t *testing.T) {
	t.Parallel()
	b := newAsync(t, nil, direct)
	for i, r := range []string{"x1", "y2", "x3", "x4", "y5"} {
		b.add("a", r[:1], r, int64(i))
	}
	b.idle()
	require.Equal(t, []string{"x1", "y2"}, b.desk.begun)
	b.well("y2")
	b.idle()
	require.Equal(t, []string{"x1", "y2", "y5"}, b.desk.begun)
	b.well("x1")
	b.drain()
	require.Equal(t, []string{"x1", "y2", "y5", "x3"}, b.desk.begun)
	b.well("x3")
	b.drain()
	b.well("x4")
	b.well("y5")
	b.drain()
	require.Equal(t, []string{"x1!", "y2!", "x3!", "x4!", "y5!"}, b.values())
}

func TestAsync_KeepsToItsConcurrency(t *testing.T) {
	t.Parallel()
	b := newAsync(t, nil, direct, stream.Concurrency(2))
	for i := range 20 {
		b.add("a", fmt.Sprint(i), fmt.Sprint(i), int64(i))
	}
	for i := range 20 {
		b.idle()
		require.Len(t, b.desk.open, min(2, 20-i))
		b.well(fmt.Sprint(i))
		b.step()
	}
	require.Len(t, b.values(), 20)
}

func TestAsync_LooksAheadOnlySoFar(t *testing.T) {
	t.Parallel()
	b := newAsync(t, nil, direct, stream.Concurrency(1))
	b.add("a", "k", "first", 0)
	for i := range 20 {
		b.add("a", fmt.Sprint(i), fmt.Sprint(i), int64(i))
	}
	b.idle()
	b.well("first")
	for i := range 3 {
		b.drain() // the window is four calls for each slot
		b.well(fmt.Sprint(i))
	}
	b.drain()
	require.Len(t, b.desk.begun, 5)
}

// An input whose head waits for its calls is not empty: later records of other inputs do not overtake it.
func TestAsync_HoldsUpTheOtherInputs(t *testing.T) {
	t.Parallel()
	b := newAsync(t, nil, direct)
	b.add("a", "k", "early", 1)
	b.add("b", "k", "late", 2)
	b.idle()
	require.Equal(t, []string{"early", "late"}, b.desk.begun, "keys of two inputs are in no order")
	b.well("late")
	b.idle()
	b.well("early")
	b.drain()
	require.Equal(t, []string{"early!", "late!"}, b.values())
	require.Zero(t, b.count(task.Forced))
}

func TestAsync_AFailedCallMeetsThePolicyAtItsRecordsTurn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy dlq.Policy
		reply  reply
		out    []string
		kind   task.CountKind
	}{
		"skip":          {dlq.Skip(), reply{err: errBad}, []string{"1!", "3!"}, task.Dropped},
		"ErrSkip":       {dlq.Fail(), reply{err: stream.ErrSkip}, []string{"1!", "3!"}, task.Dropped},
		"send":          {dlq.Send(), reply{err: errBad}, []string{"1!", "2", "3!"}, task.DeadLetter},
		"reject":        {dlq.Fail(), reply{err: dlq.Reject("no-such-thing", errBad)}, []string{"1!", "2", "3!"}, task.DeadLetter},
		"panic to skip": {dlq.Skip(), reply{panic: "oh"}, []string{"1!", "3!"}, task.Dropped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newAsync(t, c.policy, direct)
			for i, v := range []string{"1", "2", "3"} {
				b.add("a", "k", v, int64(i))
			}
			b.idle()
			b.well("1")
			b.drain()
			b.answer("2", c.reply)
			b.drain()
			b.drain()
			b.well("3")
			b.drain()
			require.Equal(t, c.out, b.values())
			b.commit()
			require.EqualValues(t, 1, b.count(c.kind))
		})
	}
}

func TestAsync_FailsTheTaskWithoutAPolicy(t *testing.T) {
	t.Parallel()
	b := newAsync(t, nil, direct)
	b.add("a", "k", "1", 0)
	b.add("a", "j", "2", 1)
	b.idle()
	b.answer("2", reply{err: errBad})
	b.idle()
	b.answer("1", reply{panic: errBad})
	_, err := b.task.Step(b.now)
	require.ErrorContains(t, err, `offset 0`)
	require.ErrorContains(t, err, "map-values-async")
	p, ok := errors.AsType[*dlq.PanicError](err)
	require.True(t, ok)
	require.NotEmpty(t, p.Stack)
}

// A retry makes the call again, and the calls behind it for the same key wait for that.
func TestAsync_RetriesKeepTheOrderOfTheKey(t *testing.T) {
	t.Parallel()
	b := newAsync(t, dlq.Retry(3, dlq.Constant(time.Second)), direct)
	b.add("a", "k", "1", 0)
	b.add("a", "k", "2", 1)
	b.add("a", "j", "3", 2)
	b.idle()
	b.answer("1", reply{err: errBad})
	b.step()
	b.well("3")
	b.idle()
	require.Equal(t, []string{"1", "3"}, b.desk.begun)
	b.now = b.now.Add(time.Second)
	b.idle()
	require.Equal(t, []string{"1", "3", "1"}, b.desk.begun)
	b.well("1")
	b.drain()
	b.well("2")
	b.drain()
	require.Equal(t, []string{"1!", "2!", "3!"}, b.values())
	b.commit()
	require.EqualValues(t, 1, b.count(task.Retried))
}

// A record that fails behind the operator is called for again; a later call for its key that is on its way comes to its end first.
func TestAsync_ARecordThatFailsFurtherDownIsCalledForAgain(t *testing.T) {
	t.Parallel()
	d, calls := &desk{}, make(chan *openCall)
	fails := 1
	b := stream.NewBuilder().OnError(dlq.Retry(3, dlq.Constant(time.Second)))
	b.Stream(lines("a")).MapValuesAsync(func(_ context.Context, k, v string) (string, error) {
		oc := &openCall{key: k, value: v, answer: make(chan reply, 1)}
		calls <- oc
		r := <-oc.answer
		return r.value, r.err
	}).TryPeek(func(context.Context, string, string) error {
		if fails--; fails >= 0 {
			return errBad
		}
		return nil
	}).To(lines("out"))
	be := &asyncBench{newBench(t, b, hire(d, calls)), d}
	be.add("a", "k", "1", 0)
	be.add("a", "k", "2", 1)
	be.idle()
	be.well("1")
	be.step()
	require.Equal(t, []string{"1", "2"}, d.begun)
	be.now = be.now.Add(time.Second)
	be.idle()
	require.Equal(t, []string{"1", "2"}, d.begun, "the call for 2 is on its way")
	be.well("2")
	be.idle()
	require.Equal(t, []string{"1", "2", "1"}, d.begun)
	be.well("1")
	be.drain()
	require.Equal(t, []string{"1!", "2!"}, be.values())
}

// The calls of one record that come behind a failed one for the same key are never made: it is decided about without them.
func TestAsync_ARecordWithManyCallsFailsWithTheFirst(t *testing.T) {
	t.Parallel()
	b := newAsync(t, dlq.Skip(), func(s stream.Stream[string, string]) stream.Stream[string, string] {
		return s.FlatMapValues(func(v string) []string { return []string{v + "a", v + "b", v + "c"} })
	})
	b.add("a", "k", "1", 0)
	b.add("a", "k", "2", 1)
	b.idle()
	b.well("1a")
	b.idle()
	b.answer("1b", reply{err: errBad})
	b.drain()
	require.Equal(t, []string{"1a", "1b", "2a"}, b.desk.begun)
	for _, v := range []string{"2a", "2b", "2c"} {
		b.idle()
		b.well(v)
	}
	b.drain()
	require.Equal(t, []string{"2a!", "2b!", "2c!"}, b.values())
}

func TestAsync_RollbackAbandonsCalls(t *testing.T) {
	t.Parallel()
	b := newAsync(t, nil, direct)
	b.add("a", "k", "1", 0)
	b.add("a", "j", "2", 1)
	b.idle()
	require.NoError(t, b.desk.open[0].ctx.Err())
	b.well("2")
	require.NoError(t, b.task.Rollback(b.start(), nil))
	require.ErrorIs(t, b.desk.open[0].ctx.Err(), context.Canceled)
	b.next["a"] = 0
	b.add("a", "k", "1", 0)
	b.add("a", "j", "2", 1)
	b.idle()
	require.Equal(t, []string{"1", "2"}, b.desk.begun, "no call overlaps with one of before")
	b.answer("1", reply{value: "of before"})
	b.idle()
	require.Equal(t, []string{"1", "2", "1", "2"}, b.desk.begun)
	b.well("2")
	b.well("1")
	b.drain()
	require.Equal(t, []string{"1!", "2!"}, b.values())
}

func TestAsync_CallsHaveTheMetadataOfTheirRecord(t *testing.T) {
	t.Parallel()
	b := newAsync(t, nil, direct)
	b.add("a", "k", "1", 10)
	b.add("a", "j", "2", 20)
	b.idle()
	for i, oc := range b.desk.open {
		m := stream.Metadata(oc.ctx)
		require.Equal(t, "a", m.Topic)
		require.EqualValues(t, i, m.Offset)
		require.Equal(t, at(int64(10*(i+1))), m.Timestamp)
	}
}

// Where a function upstream makes one thing ahead and another later, the call is made for what is there, inline.
func TestAsync_DoesNotTrustFunctionsThatLie(t *testing.T) {
	t.Parallel()
	n := 0
	got := []string{}
	b := stream.NewBuilder()
	b.Stream(lines("a")).MapValues(func(v string) string {
		n++
		return fmt.Sprint(v, n)
	}).FlatMapValues(func(v string) []string { return []string{v, "same"}[:1+n%2] }).
		MapValuesAsync(func(_ context.Context, _, v string) (string, error) {
			got = append(got, v)
			return v + "!", nil
		}).To(lines("out"))
	be := newBench(t, b, func(c *task.Config) { c.Go, c.Wake = func(f func()) { f() }, func() {} })
	be.add("a", "k", "v", 0)
	for range 3 { // calls end at once, and are looked at by the next step
		be.drain()
	}
	require.Equal(t, []string{"v2!"}, be.values())
	require.Equal(t, []string{"v1", "same", "v2"}, got)
}

// Whatever the order in which calls end, well or not: the output is that of calls made one by one, and calls of a key keep their order.
func TestAsync_IsLikeCallsOneByOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(rt, "concurrency")
		keys := rapid.SliceOfN(rapid.IntRange(0, 3), 1, 25).Draw(rt, "keys")
		fails := map[string]int{} // by value: attempts that fail
		b := newAsync(t, dlq.Retry(2, dlq.Constant(time.Millisecond)).Then(dlq.Skip()), func(s stream.Stream[string, string]) stream.Stream[string, string] {
			return s.Filter(func(_, v string) bool { return v[len(v)-1] != '7' })
		}, stream.Concurrency(n))
		want := []string{}
		for i, k := range keys {
			v := fmt.Sprint(k, ":", i)
			fails[v] = max(0, rapid.IntRange(-6, 4).Draw(rt, "fails"))
			if v[len(v)-1] != '7' && fails[v] <= 2 {
				want = append(want, v+"!")
			}
			b.add("a", fmt.Sprint(k), v, int64(i))
		}
		last := map[string]int{}
		for b.task.Buffered("a") > 0 {
			b.drain()
			busy := map[string]bool{}
			require.LessOrEqual(t, len(b.desk.open), n)
			for _, oc := range b.desk.open {
				require.False(t, busy[oc.key], "calls overlap")
				busy[oc.key] = true
			}
			if len(b.desk.open) == 0 {
				b.now = b.now.Add(time.Millisecond)
				continue
			}
			i := rapid.IntRange(0, len(b.desk.open)-1).Draw(rt, "ends")
			oc := b.desk.open[i]
			var at int
			_, _ = fmt.Sscanf(oc.value[2:], "%d", &at)
			require.GreaterOrEqual(t, at, last[oc.key], "the order of the key")
			last[oc.key] = at
			if fails[oc.value]--; fails[oc.value] >= 0 {
				b.desk.end(i, reply{err: errBad})
			} else {
				b.desk.end(i, reply{value: oc.value + "!"})
			}
		}
		require.Equal(t, want, b.values())
	})
}
