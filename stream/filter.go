package stream

import (
	"context"

	"github.com/weirstream/weir/topology"
)

// Filter keeps the records for which f is true.
//
// Key, Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: visible if the type is nullable, else tombstones pass uncalled.
func (s Stream[K, V]) Filter(f func(K, V) bool, opts ...Option) Stream[K, V] {
	return s.filter(pure(node("filter", opts, f)), func(_ context.Context, k K, v V) (bool, error) { return f(k, v), nil })
}

// FilterNot drops the records for which f is true. Key, Time, State, Errors, Nulls: as Filter.
func (s Stream[K, V]) FilterNot(f func(K, V) bool, opts ...Option) Stream[K, V] {
	return s.filter(pure(node("filter-not", opts, f)), func(_ context.Context, k K, v V) (bool, error) { return !f(k, v), nil })
}

// TryFilter is Filter with a function that may fail. Key, Time, State, Errors, Nulls: as Filter; an error of f meets the policy.
func (s Stream[K, V]) TryFilter(f func(ctx context.Context, k K, v V) (bool, error), opts ...Option) Stream[K, V] {
	spec := node("filter", opts, f)
	spec.Rejects = true
	return s.filter(spec, f)
}

func (s Stream[K, V]) filter(spec topology.NodeSpec, f func(context.Context, K, V) (bool, error)) Stream[K, V] {
	if !s.ok() {
		return s
	}
	return s.same(s.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, V]) (topology.Processor[K, V], error) {
		return &filter[K, V]{nc: c, f: f, nulls: s.nulls, next: next}, nil
	}))
}

type filter[K, V any] struct {
	nc    *topology.NodeContext
	f     func(context.Context, K, V) (bool, error)
	nulls bool
	next  topology.Processor[K, V]
}

func (p *filter[K, V]) Process(r *Record[K, V]) error {
	if r.Tombstone && !p.nulls {
		return p.next.Process(r)
	}
	p.nc.Enter()
	keep, err := p.f(p.nc.Context(), r.Key, r.Value)
	switch {
	case err != nil && p.nc.Skipped(err):
		return nil
	case err != nil:
		return p.nc.Fail(err)
	case !keep:
		return nil
	}
	return p.next.Process(r)
}

// Peek calls f with each record and passes it on.
//
// Key, Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: visible if the type is nullable, else tombstones pass uncalled.
func (s Stream[K, V]) Peek(f func(K, V), opts ...Option) Stream[K, V] {
	return s.filter(node("peek", opts, f), func(_ context.Context, k K, v V) (bool, error) { f(k, v); return true, nil })
}

// TryPeek is Peek with a function that may fail. Key, Time, State, Errors, Nulls: as Peek; an error of f meets the policy.
func (s Stream[K, V]) TryPeek(f func(ctx context.Context, k K, v V) error, opts ...Option) Stream[K, V] {
	spec := node("peek", opts, f)
	spec.Rejects = true
	return s.filter(spec, func(ctx context.Context, k K, v V) (bool, error) { return true, f(ctx, k, v) })
}

// ForEach calls f with each record: the stream ends here.
//
// Key, Time: as they are. State: none. Errors: a panic of f meets the policy; what f has done outside is not undone. Nulls: as Peek.
func (s Stream[K, V]) ForEach(f func(K, V), opts ...Option) {
	s.filter(node("for-each", opts, f), func(_ context.Context, k K, v V) (bool, error) { f(k, v); return false, nil })
}

// TryForEach is ForEach with a function that may fail. Key, Time, State, Errors, Nulls: as ForEach; an error of f meets the policy.
func (s Stream[K, V]) TryForEach(f func(ctx context.Context, k K, v V) error, opts ...Option) {
	spec := node("for-each", opts, f)
	spec.Rejects = true
	s.filter(spec, func(ctx context.Context, k K, v V) (bool, error) { return false, f(ctx, k, v) })
}

// Split sends the records for which f is true to yes, the others to no. f is called once per record.
//
// Key, Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: visible if the type is nullable, else tombstones go to no.
func (s Stream[K, V]) Split(f func(K, V) bool, opts ...Option) (yes, no Stream[K, V]) {
	if !s.ok() {
		return s, s
	}
	out, rest := s.branch(pure(node("split", opts, f)), []func(K, V) bool{f})
	return out[0], rest
}

// Branch sends each record to the stream of the first predicate that is true, and to rest if none is.
//
// Key, Time: kept. State: none. Errors: a panic of a predicate meets the policy. Nulls: visible if the type is nullable, else tombstones go to rest.
func (s Stream[K, V]) Branch(predicates ...func(K, V) bool) (branches []Stream[K, V], rest Stream[K, V]) {
	if !s.ok() {
		return make([]Stream[K, V], len(predicates)), s
	}
	return s.branch(pure(node("branch", nil, functions(predicates)...)), predicates)
}

func (s Stream[K, V]) branch(spec topology.NodeSpec, predicates []func(K, V) bool) (branches []Stream[K, V], rest Stream[K, V]) {
	port := s.port.AttachEach(spec, func(c *topology.NodeContext, kids []topology.Processor[K, V]) (topology.Processor[K, V], error) {
		return &branch[K, V]{nc: c, predicates: predicates, nulls: s.nulls, kids: kids}, nil
	})
	outlet := func(op string) Stream[K, V] {
		o := topology.NodeSpec{Op: op, Pos: spec.Pos, Pure: true}
		return s.same(topology.Merge(o, port))
	}
	for range predicates {
		branches = append(branches, outlet("branch-case"))
	}
	return branches, outlet("branch-rest")
}

// branch has one child per predicate, and a last one for the rest.
type branch[K, V any] struct {
	nc         *topology.NodeContext
	predicates []func(K, V) bool
	nulls      bool
	kids       []topology.Processor[K, V]
}

func (p *branch[K, V]) Process(r *Record[K, V]) error {
	if r.Tombstone && !p.nulls {
		return p.kids[len(p.predicates)].Process(r)
	}
	p.nc.Enter()
	for i, f := range p.predicates {
		if f(r.Key, r.Value) {
			return p.kids[i].Process(r)
		}
	}
	return p.kids[len(p.predicates)].Process(r)
}
