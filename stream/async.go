package stream

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// An AsyncOption fits MapValuesAsync: Concurrency, Timeout and every Common option.
type AsyncOption interface{ asyncOption(s *settings) }

func (o Common) asyncOption(s *settings) { o.apply.on(s) }

// Async is an option of MapValuesAsync.
type Async struct{ apply func(s *asyncSettings) }

func (o Async) asyncOption(s *settings) {
	if o.apply != nil {
		o.apply(&s.async)
	}
}

// Concurrency is how many calls of the operator may be on their way at once in one task, that is in one partition. Without it, 16.
func Concurrency(n int) Async { return Async{func(s *asyncSettings) { s.atOnce = &n }} }

// Timeout ends the context of each call after d of the machine's time. Without it only the stop of the task does.
func Timeout(d time.Duration) Async { return Async{func(s *asyncSettings) { s.timeout = &d }} }

// asyncSettings are the options of MapValuesAsync, nil where not given.
type asyncSettings struct {
	atOnce  *int
	timeout *time.Duration
}

const defaultConcurrency = 16

func (s asyncSettings) concurrency() int {
	if s.atOnce == nil {
		return defaultConcurrency
	}
	return *s.atOnce
}

// limit is the time that a call may take, 0 for any.
func (s asyncSettings) limit() time.Duration {
	if s.timeout == nil {
		return 0
	}
	return *s.timeout
}

// validate reports the options that make no sense.
func (s asyncSettings) validate() error {
	var errs []error
	if s.concurrency() < 1 {
		errs = append(errs, fmt.Errorf("Concurrency(%d): use 1 or more", *s.atOnce))
	}
	if s.timeout != nil && *s.timeout <= 0 {
		errs = append(errs, fmt.Errorf("Timeout(%v): use a positive duration", *s.timeout))
	}
	return errors.Join(errs...)
}

// MapValuesAsync gives each record a new value, with calls of f that are made ahead of the records and many at once: f may wait for a service without
// holding up the stream. Results come in the order of the records, and a commit covers only records that are through; so a call is made at least once: again
// after a retry, an abort or a crash.
//
// Calls for equal keys of one partition do not overlap and begin in the order of the records, the next when the one before has come back well or its record
// is decided about. Keys are compared by their values if the key's type holds no pointers, else by the bytes of the key that the record had in its topic.
// Records without a key are in no order. A record that fails further down and is tried again is called for again, after calls for later records.
//
// What lies between f and the source, or the repartition, runs once more ahead of the records: only Filter, FilterNot, Map, MapValues, FlatMap, FlatMapValues,
// SelectKey, Merge, Split and Branch may, with functions that make the same of the same. Anything else is an error of Build: put a Repartition between.
//
// ctx carries the Metadata of the call's own record, and ends when the task stops or is rolled back, and by Timeout. f runs on goroutines beside the task's, so
// it must be safe for concurrent use. In tests with streamtest f is called inline.
//
// Key, Time: kept. State: none. Errors: an error or panic of f meets the policy when its record's turn comes. Nulls: visible if the type is nullable,
// else tombstones pass uncalled; a nil pointer that f returns is a null.
func (s Stream[K, V]) MapValuesAsync[V2 any](f func(ctx context.Context, k K, v V) (V2, error), opts ...AsyncOption) Stream[K, V2] {
	if !s.ok() {
		return Stream[K, V2]{}
	}
	o := gather("map-values-async", opts, AsyncOption.asyncOption, f)
	o.Rejects = true
	if err := o.async.validate(); err != nil {
		s.b.report(o.NodeSpec, err)
	}
	op := asyncFunc[K, V, V2]{f: f, timeout: o.async.limit()}
	return with(s, s.port.AttachAsync(o.NodeSpec,
		func(c *topology.NodeContext, next topology.Processor[K, V2]) (topology.Processor[K, V], error) {
			caller, _ := c.Host().(topology.Caller)
			return &asyncMapper[K, V, V2]{
				nc: c, op: op, caller: caller, nulls: s.nulls, isNil: topology.NilCheck[V2](), plainKey: state.PointerFree[K](),
				plainValue: state.PointerFree[V](), next: next,
			}, nil
		},
		func(c *topology.NodeContext, ask func(topology.Ask)) topology.Processor[K, V] {
			return &asker[K, V, V2]{
				node: c.Name(), op: op, atOnce: o.async.concurrency(), nulls: s.nulls, plainKey: state.PointerFree[K](), ask: ask,
			}
		}))
}

// asyncFunc is the user's function with its time limit.
type asyncFunc[K, V, V2 any] struct {
	f       func(ctx context.Context, k K, v V) (V2, error)
	timeout time.Duration
}

var errTimeout = errors.New("the call's time is over")

// call calls f. An error of a call whose time was over says so.
func (a asyncFunc[K, V, V2]) call(ctx context.Context, k K, v V) (V2, error) {
	if a.timeout == 0 {
		return a.f(ctx, k, v)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, errTimeout)
	defer cancel()
	out, err := a.f(ctx, k, v)
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
		err = fmt.Errorf("call ended by its Timeout of %v: %w", a.timeout, err)
	}
	return out, err
}

// asyncMapper is the operator in the graph: it takes what was called ahead, or calls.
type asyncMapper[K, V, V2 any] struct {
	nc                   *topology.NodeContext
	op                   asyncFunc[K, V, V2]
	caller               topology.Caller // nil where calls are made inline
	nulls                bool
	isNil                func(V2) bool
	plainKey, plainValue bool
	next                 topology.Processor[K, V2]
	out                  Record[K, V2]
}

func (p *asyncMapper[K, V, V2]) Process(r *Record[K, V]) error {
	o := &p.out
	o.Key, o.NullKey, o.Timestamp, o.Headers = r.Key, r.NullKey, r.Timestamp, r.Headers
	if r.Tombstone && !p.nulls {
		var zero V2
		o.Value, o.Tombstone = zero, true
		return p.next.Process(o)
	}
	p.nc.Enter()
	v, err := p.result(r)
	if err != nil {
		if p.nc.Skipped(err) {
			return nil
		}
		return p.nc.Fail(err)
	}
	o.Value, o.Tombstone = v, p.isNil != nil && p.isNil(v)
	return p.next.Process(o)
}

func (p *asyncMapper[K, V, V2]) result(r *Record[K, V]) (V2, error) {
	if p.caller != nil {
		if c, ok := p.caller.Called(p.nc.Name()).(*asyncCall[K, V, V2]); ok && p.answers(c, r) {
			return c.out, c.err
		}
	}
	return p.op.call(p.nc.Context(), r.Key, r.Value)
}

// answers tells whether the call was for this record: not so where a function upstream makes one thing ahead and another later. What holds pointers is
// not compared: f may have changed it.
func (p *asyncMapper[K, V, V2]) answers(c *asyncCall[K, V, V2], r *Record[K, V]) bool {
	return c.nullKey == r.NullKey && c.tombstone == r.Tombstone &&
		(!p.plainKey || any(c.key) == any(r.Key)) && (!p.plainValue || any(c.value) == any(r.Value))
}

// asyncCall is one call, made ahead.
type asyncCall[K, V, V2 any] struct {
	op                 asyncFunc[K, V, V2]
	key                K
	value              V
	nullKey, tombstone bool
	out                V2
	err                error
}

// Make implements topology.Call.
func (c *asyncCall[K, V, V2]) Make(ctx context.Context) {
	c.err = errors.New("the function has ended its goroutine instead of returning")
	defer func() {
		if v := recover(); v != nil {
			c.err = &dlq.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	c.out, c.err = c.op.call(ctx, c.key, c.value)
}

// Failed implements topology.Call.
func (c *asyncCall[K, V, V2]) Failed() bool { return c.err != nil && !dlq.IsSkip(c.err) }

// asker is the operator in the copy of the graph that runs ahead.
type asker[K, V, V2 any] struct {
	node     string
	op       asyncFunc[K, V, V2]
	atOnce   int
	nulls    bool
	plainKey bool
	ask      func(topology.Ask)
}

func (p *asker[K, V, V2]) Process(r *Record[K, V]) error {
	if r.Tombstone && !p.nulls {
		return nil
	}
	a := topology.Ask{
		Call: &asyncCall[K, V, V2]{op: p.op, key: r.Key, value: r.Value, nullKey: r.NullKey, tombstone: r.Tombstone},
		Node: p.node, AtOnce: p.atOnce, Unordered: r.NullKey,
	}
	if p.plainKey && !r.NullKey {
		key := any(r.Key)
		a.Key, a.Unordered = key, key != any(r.Key) // a key with a NaN is equal to none
	}
	p.ask(a)
	return nil
}
