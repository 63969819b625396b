package state

import (
	"cmp"
	"slices"
)

// A recency keeps keys in the order of their last use. What a failed record changed is undone with it, and reset goes back to the last commit.
//
// It is a ring of keys, the one that was used longest ago first. Every key has the number of its last use, and that of its last use before the commit: the
// order of the ring is that of the former, and a reset sorts by the latter.
type recency struct {
	journal *Journal
	keys    map[string]*use
	ring    use    // holds no key: next is the first, prev the last
	uses    uint64 // numbered so far

	saved     []savedUse // of the record in process
	touched   bool
	committed uint64 // uses at the last commit
	gone      []*use // what was committed and is no more in the ring
}

type use struct {
	key        string
	prev, next *use // nil outside of the ring
	n          uint64
	committed  uint64 // 0 if the key was not there
}

// A savedUse is where a key was before a change.
type savedUse struct {
	u     *use
	n     uint64
	after *use // nil if it was not there
}

func newRecency(j *Journal) *recency {
	r := &recency{journal: j}
	r.clear()
	return r
}

func (r *recency) clear() {
	r.keys, r.gone = map[string]*use{}, nil
	r.ring.prev, r.ring.next = &r.ring, &r.ring
}

// use makes the key the last.
func (r *recency) use(key []byte) {
	u := r.keys[string(key)]
	if u == nil {
		u = &use{key: string(key)}
	} else if r.ring.prev == u {
		return
	}
	r.save(u)
	r.uses++
	u.n = r.uses
	r.take(u)
	r.link(u, r.ring.prev)
}

// drop forgets the key.
func (r *recency) drop(key []byte) {
	u := r.keys[string(key)]
	if u == nil {
		return
	}
	r.save(u)
	r.take(u)
	if u.committed > 0 {
		r.gone = append(r.gone, u)
	}
}

// oldest is the key that was used longest ago.
func (r *recency) oldest() (key string, ok bool) { return r.ring.next.key, r.ring.next != &r.ring }

func (r *recency) len() int { return len(r.keys) }

// number is that of the key's last use, 0 if it is not there.
func (r *recency) number(key string) uint64 {
	if u := r.keys[key]; u != nil {
		return u.n
	}
	return 0
}

func (r *recency) link(u, after *use) {
	u.prev, u.next = after, after.next
	after.next.prev, after.next = u, u
	r.keys[u.key] = u
}

// take takes a key out of the ring, if it is there.
func (r *recency) take(u *use) {
	if u.next == nil {
		return
	}
	u.prev.next, u.next.prev = u.next, u.prev
	u.prev, u.next = nil, nil
	delete(r.keys, u.key)
}

func (r *recency) save(u *use) {
	if !r.touched {
		r.touched = true
		r.journal.touch(r)
	}
	r.saved = append(r.saved, savedUse{u, u.n, u.prev})
}

// undo goes back step by step: the neighbour of each step is there again when its turn comes.
func (r *recency) undo() {
	for _, s := range slices.Backward(r.saved) {
		r.take(s.u)
		s.u.n = s.n
		if s.after != nil {
			r.link(s.u, s.after)
		}
	}
	r.release()
}

func (r *recency) release() {
	clear(r.saved)
	r.saved, r.touched = r.saved[:0], false
}

// commit makes the order the one that reset goes back to.
func (r *recency) commit() {
	for u := r.ring.prev; u != &r.ring && u.n > r.committed; u = u.prev {
		u.committed = u.n
	}
	clear(r.gone)
	r.gone, r.committed = r.gone[:0], r.uses
}

// reset goes back to the last commit.
func (r *recency) reset() {
	var all []*use
	add := func(u *use) {
		if u.committed > 0 {
			all = append(all, u)
		}
	}
	for u := r.ring.next; u != &r.ring; u = u.next {
		add(u)
	}
	for _, u := range r.gone {
		if r.keys[u.key] != u {
			add(u)
		}
	}
	slices.SortFunc(all, func(a, b *use) int { return cmp.Compare(a.committed, b.committed) })
	all = slices.Compact(all) // what was dropped, undone and dropped again is twice among the gone
	r.clear()
	r.release()
	for _, u := range all {
		u.n = u.committed
		r.link(u, r.ring.prev)
	}
}
