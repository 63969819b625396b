package statetest

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/state"
)

// testModel compares an engine with a map, whatever is done to both.
func testModel(t *testing.T, open func(t *testing.T) state.Engine) {
	rapid.Check(t, func(r *rapid.T) {
		e := open(t)
		m := &model{r: r, e: e, rows: map[string]string{}}
		r.Repeat(map[string]func(*rapid.T){
			"apply":    m.apply,
			"drop":     m.drop,
			"flush":    func(r *rapid.T) { require.NoError(r, e.Flush()) },
			"get":      m.get,
			"scan":     func(r *rapid.T) { m.open(r)() },
			"snapshot": m.snapshot,
		})
		m.closeSnapshots()
		require.Equal(r, m.scan(nil, nil, false), all(r, e))
		require.NoError(r, e.Close())
	})
}

type model struct {
	r         *rapid.T
	e         state.Engine
	rows      map[string]string
	snapshots []func() // each reads an iterator opened before, compares and closes it
}

// keyBytes are few, for keys to meet, with the ends of the order and a neighbour among them.
var keyBytes = []byte{0, 'a', 'b', 0xfe, 0xff}

func drawKey(r *rapid.T, label string) []byte {
	return rapid.SliceOfN(rapid.SampledFrom(keyBytes), 1, 3).Draw(r, label)
}

// drawBound returns a key or, now and then, nil.
func drawBound(r *rapid.T, label string) []byte {
	if rapid.IntRange(0, 7).Draw(r, label+" is nil") == 0 {
		return nil
	}
	return drawKey(r, label)
}

func inRange(key string, lo, hi []byte) bool {
	return key >= string(lo) && (hi == nil || key < string(hi))
}

func (m *model) apply(r *rapid.T) {
	b := m.e.NewBatch()
	next := maps.Clone(m.rows)
	for range rapid.IntRange(0, 12).Draw(r, "writes") {
		switch rapid.IntRange(0, 5).Draw(r, "write") {
		case 0:
			key := drawKey(r, "delete")
			require.NoError(r, b.Delete(key))
			delete(next, string(key))
		case 1:
			lo, hi := drawBound(r, "lo"), drawBound(r, "hi")
			require.NoError(r, b.DeleteRange(lo, hi))
			maps.DeleteFunc(next, func(k, _ string) bool { return inRange(k, lo, hi) })
		default:
			key, value := drawKey(r, "put"), rapid.StringN(0, 4, 8).Draw(r, "value")
			require.NoError(r, b.Put(key, []byte(value)))
			next[string(key)] = value
		}
	}
	if rapid.IntRange(0, 9).Draw(r, "discard") == 0 {
		require.NoError(r, b.Discard())
		return
	}
	require.NoError(r, m.e.Apply(b))
	m.rows = next
}

func (m *model) drop(r *rapid.T) {
	m.closeSnapshots()
	lo, hi := drawBound(r, "lo"), drawBound(r, "hi")
	require.NoError(r, m.e.Drop(lo, hi))
	maps.DeleteFunc(m.rows, func(k, _ string) bool { return inRange(k, lo, hi) })
}

func (m *model) get(r *rapid.T) {
	key := drawKey(r, "key")
	want, wantOK := m.rows[string(key)]
	v, ok, err := m.e.Get(nil, key)
	require.NoError(r, err)
	require.Equal(r, wantOK, ok)
	require.Equal(r, want, string(v))
}

func (m *model) snapshot(r *rapid.T) {
	if len(m.snapshots) < 4 {
		m.snapshots = append(m.snapshots, m.open(r))
	}
}

func (m *model) closeSnapshots() {
	for _, read := range m.snapshots {
		read()
	}
	m.snapshots = nil
}

func (m *model) open(r *rapid.T) (read func()) {
	lo, hi := drawBound(r, "lo"), drawBound(r, "hi")
	reverse := rapid.Bool().Draw(r, "reverse")
	it, err := m.e.Iterate(lo, hi, reverse)
	require.NoError(r, err)
	want := m.scan(lo, hi, reverse)
	return func() { require.Equal(m.r, want, rows(m.r, it)) }
}

func (m *model) scan(lo, hi []byte, reverse bool) []string {
	all := []string{}
	for _, key := range slices.Sorted(maps.Keys(m.rows)) {
		if inRange(key, lo, hi) {
			all = append(all, key+"="+m.rows[key])
		}
	}
	if reverse {
		slices.Reverse(all)
	}
	return all
}
