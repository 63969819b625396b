package state

import (
	"iter"
	"slices"
)

// An index holds the keys of a store's rows in a second order, in a part of its own of the store's rows in the engine. It has no changelog: a restore
// makes it anew from the rows. Undo, commits and reads are those of the overlay.
type index struct {
	rows *overlay[struct{}]
}

// part is the table of one of several parts of a store's rows. A store with parts has no rows outside of them.
func (t table) part(n byte) table {
	return table{t.engine, append(slices.Clip(t.prefix), n)}
}

// newIndex returns the index in that part of the store's table.
func newIndex(info Info, env *Env, part byte) *index {
	own := *env
	own.table = env.table.part(part)
	return &index{newOverlay(info, codec[struct{}, struct{}]{value: nothing{}}, &own)}
}

// put adds a key, if it is not known to be there.
func (x *index) put(key []byte) error {
	r := x.rows.row(key)
	if r.state == present {
		return nil
	}
	return x.rows.put(r, struct{}{}, 0)
}

// remove takes a key out.
func (x *index) remove(key []byte) { x.rows.remove(x.rows.row(key), 0) }

// scan yields the keys in [lo, hi), each valid for one step: see overlay.scan.
func (x *index) scan(lo, hi []byte, reverse bool) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for r, err := range x.rows.scan(lo, hi, reverse) {
			if !yield(r.key, err) || err != nil {
				return
			}
		}
	}
}

// prepare writes the keys that changed, but for those that skip leaves out.
func (x *index) prepare(w *Writer, skip func(key string) bool) error {
	own := Writer{batch: w.batch}
	return x.rows.prepare(&own, nil, skip)
}

// restore adds a key to b, or takes it out.
func (x *index) restore(b Batch, key []byte, there bool) error {
	if there {
		return x.rows.restore(b, key, []byte{}, 0)
	}
	return x.rows.restore(b, key, nil, 0)
}

// nothing is the serde of no value.
type nothing struct{}

func (nothing) Append(dst []byte, _ struct{}) ([]byte, error) { return dst, nil }
func (nothing) Decode([]byte) (struct{}, error)               { return struct{}{}, nil }
