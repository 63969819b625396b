package task

import (
	"github.com/weirstream/weir/internal/wire"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A Restore writes records of changelogs into the task's state, before Start.
type Restore struct {
	t      *Task
	db     *state.Commit
	clocks []byte // the latest so far, nil if they were not looked at
}

// Restore begins one step of a restore.
func (t *Task) Restore() *Restore { return &Restore{t: t, db: t.cfg.DB.Begin()} }

// Add applies one record of the store's changelog.
func (r *Restore) Add(store state.Store, rec *topology.Raw) error {
	for _, h := range rec.Headers {
		if h.Key == ClocksHeader && store.Info().Source == "" {
			return r.addClocks(rec)
		}
	}
	if err := r.db.Restore(store, rec.Key, rec.Value, rec.TimestampMs); err != nil {
		return r.t.errorf("restore store %q at offset %d of %q: %w", store.Info().Name, rec.Offset, rec.Topic, err)
	}
	return nil
}

// addClocks keeps the clocks of the latest commit. A changelog that does not carry them any more may hold those of an old one.
func (r *Restore) addClocks(rec *topology.Raw) error {
	if r.clocks == nil {
		kept, err := r.t.cfg.DB.Clocks()
		if err != nil {
			return r.t.errorf("read clocks: %w", err)
		}
		r.clocks = kept
	}
	at := state.NoTime
	if len(r.clocks) > 0 {
		set, err := wire.DecodeClocks(r.clocks)
		if err != nil {
			return r.t.errorf("read clocks: %w", err)
		}
		at = commitNumber(set)
	}
	set, err := wire.DecodeClocks(rec.Value)
	if err != nil {
		return r.t.errorf("restore clocks at offset %d of %q: %w", rec.Offset, rec.Topic, err)
	}
	if commitNumber(set) < at {
		return nil
	}
	r.clocks = rec.Value
	return r.db.SaveClocks(rec.Value)
}

// Size is the approximate number of bytes collected.
func (r *Restore) Size() int { return r.db.Size() }

// Apply makes the step visible, with the position that it brings each of the changelogs to, by the stores' durable names.
func (r *Restore) Apply(checkpoints map[string]state.Checkpoint) error {
	for _, st := range r.t.stores {
		if cp, ok := checkpoints[st.Info().DurableName()]; ok {
			if err := r.db.SaveCheckpoint(st.Info(), cp); err != nil {
				return r.t.errorf("restore: %w", err)
			}
		}
	}
	if err := r.db.Apply(); err != nil {
		return r.t.errorf("restore: %w", err)
	}
	r.t.journal.Release()
	return nil
}
