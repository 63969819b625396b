package stream

import (
	"context"
	"iter"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// MapValues gives each record a new value. strings.ToLower fits as it is.
//
// Key, Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: visible if the type is nullable, else tombstones pass uncalled; a
// nil pointer that f returns is a null.
func (s Stream[K, V]) MapValues[V2 any](f func(V) V2, opts ...Option) Stream[K, V2] {
	return mapValues(s, pure(node("map-values", opts, f)), func(_ context.Context, _ K, v V) (V2, error) { return f(v), nil })
}

// MapValuesWithKey is MapValues with a function that sees the key. Key, Time, State, Errors, Nulls: as MapValues.
func (s Stream[K, V]) MapValuesWithKey[V2 any](f func(K, V) V2, opts ...Option) Stream[K, V2] {
	return mapValues(s, pure(node("map-values", opts, f)), func(_ context.Context, k K, v V) (V2, error) { return f(k, v), nil })
}

// TryMapValues is MapValues with a function that may fail. Key, Time, State, Errors, Nulls: as MapValues; an error of f meets the policy.
func (s Stream[K, V]) TryMapValues[V2 any](f func(ctx context.Context, k K, v V) (V2, error), opts ...Option) Stream[K, V2] {
	spec := node("map-values", opts, f)
	spec.Rejects = true
	return mapValues(s, spec, f)
}

func mapValues[K, V, V2 any](s Stream[K, V], spec topology.NodeSpec, f func(context.Context, K, V) (V2, error)) Stream[K, V2] {
	if !s.ok() {
		return Stream[K, V2]{}
	}
	return with(s, s.port.Attach(spec, func(c *topology.NodeContext, next topology.Processor[K, V2]) (topology.Processor[K, V], error) {
		return &mapper[K, V, V2]{nc: c, f: f, nulls: s.nulls, isNil: topology.NilCheck[V2](), next: next}, nil
	}))
}

type mapper[K, V, V2 any] struct {
	nc    *topology.NodeContext
	f     func(context.Context, K, V) (V2, error)
	nulls bool
	isNil func(V2) bool
	next  topology.Processor[K, V2]
	out   Record[K, V2]
}

func (p *mapper[K, V, V2]) Process(r *Record[K, V]) error {
	o := &p.out
	o.Key, o.NullKey, o.Timestamp, o.Headers = r.Key, r.NullKey, r.Timestamp, r.Headers
	if r.Tombstone && !p.nulls {
		var zero V2
		o.Value, o.Tombstone = zero, true
		return p.next.Process(o)
	}
	p.nc.Enter()
	v, err := p.f(p.nc.Context(), r.Key, r.Value)
	if err != nil {
		if p.nc.Skipped(err) {
			return nil
		}
		return p.nc.Fail(err)
	}
	o.Value, o.Tombstone = v, p.isNil != nil && p.isNil(v)
	return p.next.Process(o)
}

// Map gives each record a new key and value. Behind it the stream is not partitioned by its key.
//
// Key: f's. Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: visible if the type is nullable, else tombstones are
// dropped, counted; nil pointers that f returns are nulls.
func (s Stream[K, V]) Map[K2, V2 any](f func(K, V) (K2, V2), opts ...KeyOption) Stream[K2, V2] {
	return flatMap(s, gather("map", opts, KeyOption.keyOption, f).pure(), func(_ context.Context, k K, v V) (iter.Seq2[K2, V2], error) {
		k2, v2 := f(k, v)
		return one(k2, v2), nil
	}, 0)
}

// TryMap is Map with a function that may fail. Key, Time, State, Errors, Nulls: as Map; an error of f meets the policy.
func (s Stream[K, V]) TryMap[K2, V2 any](f func(ctx context.Context, k K, v V) (K2, V2, error), opts ...KeyOption) Stream[K2, V2] {
	o := gather("map", opts, KeyOption.keyOption, f)
	o.Rejects = true
	return flatMap(s, o, func(ctx context.Context, k K, v V) (iter.Seq2[K2, V2], error) {
		k2, v2, err := f(ctx, k, v)
		return one(k2, v2), err
	}, 0)
}

// FlatMap turns each record into any number of records with new keys and values, in the order of the sequence. Behind it the stream
// is not partitioned by its key.
//
// Key: the sequence's. Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: as Map.
func (s Stream[K, V]) FlatMap[K2, V2 any](f func(K, V) iter.Seq2[K2, V2], opts ...KeyOption) Stream[K2, V2] {
	return flatMap(s, gather("flat-map", opts, KeyOption.keyOption, f).pure(), func(_ context.Context, k K, v V) (iter.Seq2[K2, V2], error) { return f(k, v), nil }, 0)
}

// TryFlatMap is FlatMap with a function that may fail. Key, Time, State, Errors, Nulls: as FlatMap; an error of f meets the policy.
func (s Stream[K, V]) TryFlatMap[K2, V2 any](
	f func(ctx context.Context, k K, v V) (iter.Seq2[K2, V2], error), opts ...KeyOption,
) Stream[K2, V2] {
	o := gather("flat-map", opts, KeyOption.keyOption, f)
	o.Rejects = true
	return flatMap(s, o, f, 0)
}

// FlatMapValues turns each record into any number of records with its key, in the order of the slice. strings.Fields fits as it is.
//
// Key, Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: visible if the type is nullable, else tombstones are dropped,
// counted.
func (s Stream[K, V]) FlatMapValues[V2 any](f func(V) []V2, opts ...Option) Stream[K, V2] {
	return flatMapValues(s, pure(node("flat-map-values", opts, f)), func(_ context.Context, _ K, v V) ([]V2, error) { return f(v), nil })
}

// TryFlatMapValues is FlatMapValues with a function that may fail. Key, Time, State, Errors, Nulls: as FlatMapValues; an error of f meets the
// policy.
func (s Stream[K, V]) TryFlatMapValues[V2 any](f func(ctx context.Context, k K, v V) ([]V2, error), opts ...Option) Stream[K, V2] {
	spec := node("flat-map-values", opts, f)
	spec.Rejects = true
	return flatMapValues(s, spec, f)
}

func flatMapValues[K, V, V2 any](s Stream[K, V], spec topology.NodeSpec, f func(context.Context, K, V) ([]V2, error)) Stream[K, V2] {
	out := flatMap(s, settings{NodeSpec: spec}, func(ctx context.Context, k K, v V) (iter.Seq2[K, V2], error) {
		values, err := f(ctx, k, v)
		return func(yield func(K, V2) bool) {
			for _, v2 := range values {
				if !yield(k, v2) {
					return
				}
			}
		}, err
	}, keepsKey)
	out.rekey = s.rekey
	return out
}

// SelectKey gives each record a new key. Behind it the stream is not partitioned by its key.
//
// Key: f's. Time: kept. State: none. Errors: a panic of f meets the policy. Nulls: visible if the type is nullable, else tombstones are
// dropped, counted; a nil pointer that f returns is a record without a key.
func (s Stream[K, V]) SelectKey[K2 any](f func(K, V) K2, opts ...KeyOption) Stream[K2, V] {
	return selectKey(s, gather("select-key", opts, KeyOption.keyOption, f), f)
}

func selectKey[K, V, K2 any](s Stream[K, V], o settings, f func(K, V) K2) Stream[K2, V] {
	out := flatMap(s, o.pure(), func(_ context.Context, k K, v V) (iter.Seq2[K2, V], error) {
		return one(f(k, v), v), nil
	}, keepsValue)
	out.nulls = s.nulls
	return out
}

// keeps says which of a record's flags flatMap leaves as they are.
type keeps uint8

const (
	keepsKey   keeps = 1 << iota // that of a record without a key
	keepsValue                   // that of a tombstone
)

func flatMap[K, V, K2, V2 any](
	s Stream[K, V], o settings, f func(context.Context, K, V) (iter.Seq2[K2, V2], error), keep keeps,
) Stream[K2, V2] {
	if !s.ok() {
		return Stream[K2, V2]{}
	}
	return rekeyed(s, o, s.port.Attach(o.NodeSpec, func(c *topology.NodeContext, next topology.Processor[K2, V2]) (topology.Processor[K, V], error) {
		return &flatMapper[K, V, K2, V2]{
			nc: c, f: f, nulls: s.nulls, keep: keep, nilKey: topology.NilCheck[K2](), nilValue: topology.NilCheck[V2](),
			drops: c.Drops("null-value"), next: next,
		}, nil
	}))
}

type flatMapper[K, V, K2, V2 any] struct {
	nc       *topology.NodeContext
	f        func(context.Context, K, V) (iter.Seq2[K2, V2], error)
	nulls    bool
	keep     keeps
	nilKey   func(K2) bool
	nilValue func(V2) bool
	drops    *state.Counter
	next     topology.Processor[K2, V2]
	out      Record[K2, V2]
}

func (p *flatMapper[K, V, K2, V2]) Process(r *Record[K, V]) error {
	if r.Tombstone && !p.nulls {
		p.drops.Add(1)
		return nil
	}
	p.nc.Enter()
	seq, err := p.f(p.nc.Context(), r.Key, r.Value)
	if err != nil {
		if p.nc.Skipped(err) {
			return nil
		}
		return p.nc.Fail(err)
	}
	if seq == nil {
		return nil
	}
	o := &p.out
	for k, v := range seq {
		o.Key, o.Value, o.Timestamp, o.Headers = k, v, r.Timestamp, r.Headers
		o.NullKey = p.keep&keepsKey != 0 && r.NullKey || p.nilKey != nil && p.nilKey(k)
		o.Tombstone = p.keep&keepsValue != 0 && r.Tombstone || p.nilValue != nil && p.nilValue(v)
		if err := p.next.Process(o); err != nil {
			return err
		}
		p.nc.Enter()
	}
	return nil
}
