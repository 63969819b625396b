package topology

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/arena"
	"github.com/weirstream/weir/state"
)

// trialHost is a task that never gets a record: Build wires the graph into one.
type trialHost struct {
	meta    Metadata
	cursor  Cursor
	arena   arena.Arena
	ctx     context.Context
	journal state.Journal
	stores  map[string]state.Store
	globals map[string]state.Committed
}

// trialContext is a context that never ends: Build has none to take.
type trialContext struct{}

func (trialContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (trialContext) Done() <-chan struct{}       { return nil }
func (trialContext) Err() error                  { return nil }
func (trialContext) Value(any) any               { return nil }

func newTrialHost(stores []state.Spec, globals []*Global) (*trialHost, error) {
	h := &trialHost{stores: map[string]state.Store{}, globals: map[string]state.Committed{}, meta: Metadata{Partition: -1, Offset: -1}}
	h.ctx = WithMetadata(trialContext{}, &h.meta)
	db, err := state.NewDB(state.NewMemory(), state.NewMemory())
	if err != nil {
		return nil, err
	}
	env := state.Env{Journal: &h.journal, Clock: h.Clock, Time: func() time.Time { return time.UnixMilli(0).UTC() }}
	for _, spec := range stores {
		name := spec.Info().Name
		if h.stores[name], err = db.Open(spec, env); err != nil {
			return nil, &BuildError{Op: "store", Name: name, Err: err}
		}
	}
	for _, g := range globals {
		name := g.spec.Info().Name
		if h.globals[name], err = db.Committed(g.spec.Info()); err != nil {
			return nil, &BuildError{Op: "store", Name: name, Err: err}
		}
	}
	return h, nil
}

func (h *trialHost) Application() string                   { return "trial" }
func (h *trialHost) Partition() int32                      { return 0 }
func (h *trialHost) Context() context.Context              { return h.ctx }
func (h *trialHost) Metadata() *Metadata                   { return &h.meta }
func (h *trialHost) Cursor() *Cursor                       { return &h.cursor }
func (h *trialHost) Arena() *arena.Arena                   { return &h.arena }
func (h *trialHost) Clock(string) *state.Clock             { return state.NewClock(&h.journal) }
func (h *trialHost) Counter(string, string) *state.Counter { return state.NewCounter(&h.journal) }
func (h *trialHost) Now(c ClockType) (time.Time, bool)     { return time.UnixMilli(0).UTC(), c == WallTime }
func (h *trialHost) RequestCommit()                        {}
func (h *trialHost) Emit(Output) error                     { return nil }
func (h *trialHost) Partitions(string) (int32, error)      { return 1, nil }
func (h *trialHost) Sticky(int32) int32                    { return 0 }

func (h *trialHost) OnCommit(func() error) {}

func (h *trialHost) OnIdle(string, time.Duration, func(int64) error) {}

func (h *trialHost) Schedule(string, ClockType, time.Duration, func(time.Time) error) {}

func (h *trialHost) Store(name string) (state.Store, error) {
	if st := h.stores[name]; st != nil {
		return st, nil
	}
	return nil, fmt.Errorf("store %q is not declared", name)
}

func (h *trialHost) Global(name string) (state.Committed, error) {
	if c, ok := h.globals[name]; ok {
		return c, nil
	}
	return state.Committed{}, fmt.Errorf("global store %q is not declared", name)
}
