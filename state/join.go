package state

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/serde"
)

// A JoinSpec describes what a join of two streams keeps: the records of both sides for as long as partners may come, and those of an outer side that
// have found none yet. Make one with Join; the methods return changed copies.
//
// It stands for up to three stores, which Left, Right and Unmatched describe one by one: to read them in a test (streamtest.Window), or in a processor
// that declares them. A processor of the same program must see them with the retention that the join gives them: set it with Retention then.
type JoinSpec[K, L, R any] struct {
	settings
	key   serde.Serde[K]
	left  serde.Serde[L]
	right serde.Serde[R]
}

// Join describes the stores of a stream join of that durable name: <name>-left and <name>-right, and for left and outer joins <name>-unmatched. They are
// kept on disk and logged to changelogs, and the rows of the first two are dropped when they are older than the retention. The join sets the
// retention itself (what Before and After span, and the grace) unless the descriptor asks for more.
func Join[K, L, R any](name string, key serde.Serde[K], left serde.Serde[L], right serde.Serde[R]) JoinSpec[K, L, R] {
	return JoinSpec[K, L, R]{settings: settings{name: name}, key: key, left: left, right: right}
}

// InMemory keeps the committed rows on the heap: faster, bounded by memory, restored from the changelogs at every start.
func (s JoinSpec[K, L, R]) InMemory() JoinSpec[K, L, R] { s.inMemory = true; return s }

// WithoutChangelog stops logging the stores: what they hold is lost with the machine, or at every restart if they are in memory.
func (s JoinSpec[K, L, R]) WithoutChangelog() JoinSpec[K, L, R] { s.unlogged = true; return s }

// Retention keeps the records of either side until the newest of that side is d later.
func (s JoinSpec[K, L, R]) Retention(d time.Duration) JoinSpec[K, L, R] { s.retention = d; return s }

// Name is the durable name.
func (s JoinSpec[K, L, R]) Name() string { return s.name }

// Left describes the store of the left side's records: see WindowSpec.Duplicates. A row's start is the record's time.
func (s JoinSpec[K, L, R]) Left() WindowSpec[K, L] {
	return WindowSpec[K, L]{s.part("-left"), codec[K, L]{key: s.key, value: s.left}}.Duplicates()
}

// Right describes the store of the right side's records: see Left.
func (s JoinSpec[K, L, R]) Right() WindowSpec[K, R] {
	return WindowSpec[K, R]{s.part("-right"), codec[K, R]{key: s.key, value: s.right}}.Duplicates()
}

// Unmatched describes the store of the records that have found no partner yet, of either side: by time, right before left, then by the bytes of the
// key. An inner join has no such store.
func (s JoinSpec[K, L, R]) Unmatched() JoinBufferSpec[SideKey[K], SideValue[L, R]] {
	own := s.part("-unmatched")
	own.retention = 0
	return JoinBufferSpec[SideKey[K], SideValue[L, R]]{own, codec[SideKey[K], SideValue[L, R]]{
		key: sideKeys[K]{s.key}, value: sideValues[L, R]{s.left, s.right},
	}}
}

func (s JoinSpec[K, L, R]) part(suffix string) settings {
	s.name += suffix
	if s.renamedFrom != "" {
		s.renamedFrom += suffix
	}
	return s.settings
}

// DurableName is the name under which the join's clocks go on: Name, unless the join was renamed.
func (s JoinSpec[K, L, R]) DurableName() string { return s.durable() }

// A SideKey is the key of a record on one side of a join.
type SideKey[K any] struct {
	Left bool
	Key  K
}

// A SideValue is the value of a record on one side of a join: Left or Right.
type SideValue[L, R any] struct {
	IsLeft bool
	Left   L
	Right  R
}

// A side's byte is in front of keys and values. The right side sorts before the left.
const (
	rightSide byte = iota
	leftSide
)

func side(left bool) byte {
	if left {
		return leftSide
	}
	return rightSide
}

func splitSide(b []byte) (left bool, rest []byte, err error) {
	if len(b) == 0 || b[0] > leftSide {
		return false, nil, fmt.Errorf("%d bytes do not begin with a side of a join: the state is damaged", len(b))
	}
	return b[0] == leftSide, b[1:], nil
}

type sideKeys[K any] struct{ key serde.Serde[K] }

func (s sideKeys[K]) Append(dst []byte, k SideKey[K]) ([]byte, error) {
	return s.key.Append(append(dst, side(k.Left)), k.Key)
}

func (s sideKeys[K]) Decode(b []byte) (k SideKey[K], err error) {
	if k.Left, b, err = splitSide(b); err != nil {
		return k, err
	}
	k.Key, err = s.key.Decode(b)
	return k, err
}

// Bind implements serde.Binder.
func (s sideKeys[K]) Bind(store string, _ serde.Role) (serde.Serde[SideKey[K]], error) {
	c, err := codec[K, struct{}]{key: s.key, value: nothing{}}.bind(store)
	return sideKeys[K]{c.key}, err
}

type sideValues[L, R any] struct {
	left  serde.Serde[L]
	right serde.Serde[R]
}

func (s sideValues[L, R]) Append(dst []byte, v SideValue[L, R]) ([]byte, error) {
	dst = append(dst, side(v.IsLeft))
	if v.IsLeft {
		return s.left.Append(dst, v.Left)
	}
	return s.right.Append(dst, v.Right)
}

func (s sideValues[L, R]) Decode(b []byte) (v SideValue[L, R], err error) {
	if v.IsLeft, b, err = splitSide(b); err != nil {
		return v, err
	}
	if v.IsLeft {
		v.Left, err = s.left.Decode(b)
	} else {
		v.Right, err = s.right.Decode(b)
	}
	return v, err
}

// Bind implements serde.Binder.
func (s sideValues[L, R]) Bind(store string, _ serde.Role) (serde.Serde[SideValue[L, R]], error) {
	left, err := codec[struct{}, L]{key: nothing{}, value: s.left}.bind(store)
	if err != nil {
		return nil, err
	}
	right, err := codec[struct{}, R]{key: nothing{}, value: s.right}.bind(store)
	return sideValues[L, R]{left.value, right.value}, err
}
