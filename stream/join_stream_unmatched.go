package stream

import (
	"math"
	"time"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/state"
)

// unmatched is the waiting room of a left or outer join.
//
// # When a record leaves
//
// A record waits until the join's stream time has passed its time by leftMs or rightMs: the end of its window and the grace. The rules by which
// that is found out are those of Kafka Streams, since they decide which results there are: a record that waits longer may still find a partner. No
// look is taken while the time in least, with the wait of the side that asks, is not over. A look goes through the records by time, the right side before
// the left, until it has seen that records of both sides are still to wait, and leaves the time of the last record that it came to in least; a record that
// begins to wait lowers it to its own.
//
// Both clocks are state of the task: a restart changes nothing.
type unmatched[K, L, R, VR any] struct {
	store           *state.JoinBufferStore[state.SideKey[K], state.SideValue[L, R]]
	clock           *state.Clock // the join's stream time
	least           *state.Clock // math.MaxInt64 if nothing waits
	leftMs, rightMs int64
	f               func(Opt[L], Opt[R]) VR
	over            []state.BufferEntry[state.SideKey[K], state.SideValue[L, R]] // those of a look
}

func (u *unmatched[K, L, R, VR]) advance(ms int64) int64 { return u.clock.Advance(ms) }

func (u *unmatched[K, L, R, VR]) add(left bool, k K, at time.Time, v state.SideValue[L, R]) error {
	u.least.Set(min(u.least.Now(), at.UnixMilli()))
	return u.store.Add(at, state.SideKey[K]{Left: left, Key: k}, v)
}

func (u *unmatched[K, L, R, VR]) remove(left bool, k K, at time.Time) error {
	if u.empty() {
		return nil
	}
	for e, err := range u.store.At(at, state.SideKey[K]{Left: left, Key: k}) {
		if err != nil {
			return err
		}
		u.store.Remove(e)
	}
	return nil
}

// empty tells that nothing waits; something that does not may not be known.
func (u *unmatched[K, L, R, VR]) empty() bool { return u.least.Now() == math.MaxInt64 }

func (u *unmatched[K, L, R, VR]) release(waitMs int64, headers []Header, out *joinResults[K, VR]) error {
	if u.empty() || u.least.Now()+waitMs >= u.clock.Now() {
		return nil
	}
	return u.look(headers, out)
}

func (u *unmatched[K, L, R, VR]) idle(now int64, out *joinResults[K, VR]) error {
	if u.clock.Now() >= now {
		return nil
	}
	if u.clock.Advance(now); u.empty() {
		return nil
	}
	return u.look(nil, out)
}

// look sends the results of the records whose time to wait is over. It writes nothing before it has seen them all: a read of the first of many rows, which
// most looks are, is cheap as long as none changes.
func (u *unmatched[K, L, R, VR]) look(headers []Header, out *joinResults[K, VR]) error {
	now := u.clock.Now()
	u.least.Set(math.MaxInt64)
	u.over = u.over[:0]
	defer func() { clear(u.over) }()
	var leftWaits, rightWaits bool
	out.nc.Enter()
	for e, err := range u.store.All() {
		if err != nil {
			return out.nc.FailAt(dlq.Encode, err)
		}
		ms := e.At.UnixMilli()
		u.least.Set(ms)
		if leftWaits && rightWaits {
			break
		}
		switch {
		case e.Key.Left && ms+u.leftMs >= now:
			leftWaits = true
		case !e.Key.Left && ms+u.rightMs >= now:
			rightWaits = true
		default:
			u.over = append(u.over, e)
		}
	}
	for i := range u.over {
		if err := u.sendAlone(&u.over[i], headers, out); err != nil {
			return err
		}
	}
	return nil
}

func (u *unmatched[K, L, R, VR]) sendAlone(
	e *state.BufferEntry[state.SideKey[K], state.SideValue[L, R]], headers []Header, out *joinResults[K, VR],
) error {
	out.nc.Enter()
	outer := out.nc.EnterHeld()
	v := u.f(Opt[L]{e.Value.Left, e.Key.Left}, Opt[R]{e.Value.Right, !e.Key.Left})
	u.store.Remove(*e)
	if err := out.send(e.Key.Key, false, v, e.At, headers); err != nil {
		return err
	}
	out.nc.LeaveHeld(outer)
	out.nc.Enter()
	return nil
}
