package state

import (
	"slices"
	"sort"
)

// chunkRows is how many rows a chunk of a sortedMap holds at most: it bounds what an insertion moves.
const chunkRows = 512

// A sortedMap keeps values by key in the order of the keys' unsigned bytes. The zero value is empty and ready.
//
// It is a list of chunks, each a pair of sorted slices: a search is two binary searches, a change moves the rows of
// one chunk, and a walk runs over plain slices. One change in a few hundred also moves the list of chunks, one word
// for some hundred rows. A tree would do the same with a pointer for every row.
//
// Invariant: no chunk is empty, and the keys of a chunk are below those of the next.
type sortedMap[V any] struct {
	chunks []*sortedChunk[V]
	rows   int
}

type sortedChunk[V any] struct {
	keys   []string
	values []V
}

func (m *sortedMap[V]) len() int { return m.rows }

// find returns where key is or, if ok is false, belongs: a chunk and a place in it, which may be just behind its last
// row. With no chunks at all it returns 0, 0, false.
func (m *sortedMap[V]) find(key string) (chunk, row int, ok bool) {
	if len(m.chunks) == 0 {
		return 0, 0, false
	}
	// The first chunk that starts above key; key belongs to the one before.
	chunk = sort.Search(len(m.chunks), func(i int) bool { return m.chunks[i].keys[0] > key })
	chunk = max(chunk-1, 0)
	row, ok = slices.BinarySearch(m.chunks[chunk].keys, key)
	return chunk, row, ok
}

func (m *sortedMap[V]) get(key string) (V, bool) {
	chunk, row, ok := m.find(key)
	if !ok {
		var none V
		return none, false
	}
	return m.chunks[chunk].values[row], true
}

// set tells whether key is new.
func (m *sortedMap[V]) set(key string, v V) (inserted bool) {
	chunk, row, ok := m.find(key)
	if ok {
		m.chunks[chunk].values[row] = v
		return false
	}
	m.rows++
	if len(m.chunks) == 0 {
		m.chunks = append(m.chunks, &sortedChunk[V]{})
	}
	if c := m.chunks[chunk]; len(c.keys) == chunkRows {
		// Keys that come in order leave full chunks behind them; halves would waste the other half for good.
		at := chunkRows / 2
		if row == chunkRows && chunk == len(m.chunks)-1 {
			at = chunkRows
		}
		m.chunks = slices.Insert(m.chunks, chunk+1, c.split(at))
		if row >= at {
			chunk, row = chunk+1, row-at
		}
	}
	c := m.chunks[chunk]
	c.keys = slices.Insert(c.keys, row, key)
	c.values = slices.Insert(c.values, row, v)
	return true
}

// delete tells whether key was there.
func (m *sortedMap[V]) delete(key string) bool {
	chunk, row, ok := m.find(key)
	if !ok {
		return false
	}
	m.chunks[chunk].cut(row, row+1)
	m.rows--
	m.tidy(chunk)
	return true
}

// deleteRange removes the keys of [lo, hi), without hasHi all from lo on.
func (m *sortedMap[V]) deleteRange(lo, hi string, hasHi bool) {
	if len(m.chunks) == 0 || hasHi && lo >= hi {
		return
	}
	first, from, _ := m.find(lo)
	last, to := len(m.chunks)-1, len(m.chunks[len(m.chunks)-1].keys)
	if hasHi {
		last, to, _ = m.find(hi)
	}
	if first == last {
		m.rows -= to - from
		m.chunks[first].cut(from, to)
		m.tidy(first)
		return
	}
	m.rows -= len(m.chunks[first].keys) - from + to
	m.chunks[first].cut(from, len(m.chunks[first].keys))
	m.chunks[last].cut(0, to)
	for _, c := range m.chunks[first+1 : last] {
		m.rows -= len(c.keys)
	}
	m.chunks = slices.Delete(m.chunks, first+1, last)
	m.tidy(first + 1)
	m.tidy(first)
}

// tidy restores the invariant after rows were cut from a chunk, and joins it with a neighbour if both have become
// small.
func (m *sortedMap[V]) tidy(chunk int) {
	n := len(m.chunks[chunk].keys)
	if n == 0 {
		m.chunks = slices.Delete(m.chunks, chunk, chunk+1)
		return
	}
	if n > chunkRows/4 {
		return
	}
	// Half a chunk at most: a join must not be followed by a split soon.
	for _, left := range [2]int{chunk - 1, chunk} {
		if left < 0 || left+1 >= len(m.chunks) {
			continue
		}
		a, b := m.chunks[left], m.chunks[left+1]
		if len(a.keys)+len(b.keys) <= chunkRows/2 {
			a.keys, a.values = append(a.keys, b.keys...), append(a.values, b.values...)
			m.chunks = slices.Delete(m.chunks, left+1, left+2)
			return
		}
	}
}

// ascend calls f upwards with the rows of [lo, hi), without hasHi with all from lo on, until f returns false. f must
// not change the map.
func (m *sortedMap[V]) ascend(lo, hi string, hasHi bool, f func(key string, v V) bool) {
	first, row, _ := m.find(lo)
	for _, c := range m.chunks[first:] {
		for ; row < len(c.keys); row++ {
			if hasHi && c.keys[row] >= hi || !f(c.keys[row], c.values[row]) {
				return
			}
		}
		row = 0
	}
}

// descend is ascend downwards: from the last key below hi, or the last of all, to lo.
func (m *sortedMap[V]) descend(lo, hi string, hasHi bool, f func(key string, v V) bool) {
	if len(m.chunks) == 0 {
		return
	}
	last, row := len(m.chunks)-1, len(m.chunks[len(m.chunks)-1].keys)
	if hasHi {
		last, row, _ = m.find(hi)
	}
	for ; last >= 0; last-- {
		c := m.chunks[last]
		for row--; row >= 0; row-- {
			if c.keys[row] < lo || !f(c.keys[row], c.values[row]) {
				return
			}
		}
		if last > 0 {
			row = len(m.chunks[last-1].keys)
		}
	}
}

// split cuts the chunk and returns the rows from at on as a new one.
func (c *sortedChunk[V]) split(at int) *sortedChunk[V] {
	tail := &sortedChunk[V]{keys: slices.Clone(c.keys[at:]), values: slices.Clone(c.values[at:])}
	c.cut(at, len(c.keys))
	return tail
}

// cut removes the rows of [from, to) and lets go of what they refer to.
func (c *sortedChunk[V]) cut(from, to int) {
	c.keys, c.values = slices.Delete(c.keys, from, to), slices.Delete(c.values, from, to)
}
