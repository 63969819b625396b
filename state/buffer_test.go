package state_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

func bufferSpec() state.BufferSpec[string, string] {
	return state.Buffer("waiting", serde.String(), serde.String())
}

// bufferRows lists what a buffer yields.
func bufferRows[V any](t fataler, b *state.BufferStore[string, V]) []string {
	t.Helper()
	rows := []string{}
	for e, err := range b.All() {
		require.NoError(t, err)
		rows = append(rows, fmt.Sprintf("%q: %v @%d", e.Key, e.Value, e.At.UnixMilli()))
	}
	return rows
}

type bufferRow struct {
	at    int64
	value string
}

// A bufferModel is what a buffer must be.
type bufferModel map[string]bufferRow

func (m bufferModel) order() []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[a].at, m[b].at), cmp.Compare(a, b))
	})
}

func (m bufferModel) rows() []string {
	rows := []string{}
	for _, k := range m.order() {
		rows = append(rows, fmt.Sprintf("%q: %v @%d", k, m[k].value, m[k].at))
	}
	return rows
}

func (m bufferModel) bytes() (n int64) {
	for k, r := range m {
		n += int64(8 + len(k) + len(r.value))
	}
	return n
}

func (m bufferModel) require(t fataler, b *state.BufferStore[string, string]) {
	t.Helper()
	require.Equal(t, m.rows(), bufferRows(t, b))
	n, err := b.Len()
	require.NoError(t, err)
	require.EqualValues(t, len(m), n)
	bytes, err := b.Bytes()
	require.NoError(t, err)
	require.Equal(t, m.bytes(), bytes)
}

func TestBufferStore_IsAQueueThatCommitsRollsBackAndRestores(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, open func() state.Engine) {
		open = wiped(t, open)
		rapid.Check(t, func(rt *rapid.T) { checkBuffer(rt, open()) })
	})
}

func checkBuffer(rt *rapid.T, e state.Engine) {
	spec := bufferSpec()
	r := newRoom(rt, e, spec, rapid.SampledFrom([]int64{0, 300, 1 << 20}).Draw(rt, "cache"))
	b := spec.Open(r)
	now := bufferModel{}
	record, committed := maps.Clone(now), maps.Clone(now)
	keys := rapid.SampledFrom([]string{"", "a", "aa", "a\x00", "\xff", "b"})
	first := func(rt *rapid.T, until int64, e state.Buffered[string, string], ok bool) {
		order := now.order()
		if len(order) == 0 || now[order[0]].at > until {
			require.False(rt, ok)
			return
		}
		require.True(rt, ok)
		require.Equal(rt, now[order[0]], bufferRow{e.At.UnixMilli(), e.Value})
		require.Equal(rt, order[0], e.Key)
	}
	rt.Repeat(map[string]func(*rapid.T){
		"put": func(rt *rapid.T) {
			k, ms, v := keys.Draw(rt, "key"), rapid.Int64Range(0, 9).Draw(rt, "time"), rapid.StringN(0, 3, 9).Draw(rt, "value")
			require.NoError(rt, b.Put(k, at(ms), v))
			if was, ok := now[k]; ok {
				ms = was.at
			}
			now[k] = bufferRow{ms, v}
		},
		"remove": func(rt *rapid.T) {
			k := keys.Draw(rt, "key")
			require.NoError(rt, b.Remove(k))
			delete(now, k)
		},
		"take": func(rt *rapid.T) {
			e, ok, err := b.First()
			require.NoError(rt, err)
			first(rt, math.MaxInt64, e, ok)
			if ok {
				require.NoError(rt, b.Remove(e.Key))
				delete(now, e.Key)
			}
		},
		"look": func(rt *rapid.T) {
			ms := rapid.Int64Range(-1, 10).Draw(rt, "time")
			e, ok, err := b.FirstUntil(at(ms))
			require.NoError(rt, err)
			first(rt, ms, e, ok)
			n := 0
			for e, err := range b.Until(at(ms)) {
				require.NoError(rt, err)
				require.Equal(rt, now.order()[n], e.Key)
				n++
			}
			require.False(rt, n < len(now) && now[now.order()[n]].at <= ms)
		},
		"get": func(rt *rapid.T) {
			k := keys.Draw(rt, "key")
			v, ok, err := b.Get(k)
			require.NoError(rt, err)
			want, has := now[k]
			require.Equal(rt, has, ok)
			require.Equal(rt, want.value, v)
		},
		"count":               func(rt *rapid.T) { now.require(rt, b) },
		"end of a record":     func(*rapid.T) { r.journal.Release(); record = maps.Clone(now) },
		"failure of a record": func(*rapid.T) { r.journal.Undo(); now = maps.Clone(record) },
		"commit":              func(*rapid.T) { r.commit(); record, committed = maps.Clone(now), maps.Clone(now) },
		"abort":               func(*rapid.T) { r.rollback(); now, record = maps.Clone(committed), maps.Clone(committed) },
		"restart": func(*rapid.T) {
			r.open()
			b = spec.Open(r)
			now, record = maps.Clone(committed), maps.Clone(committed)
		},
		"": func(rt *rapid.T) { require.Equal(rt, now.rows(), bufferRows(rt, b)) },
	})
	committed.require(rt, spec.Open(r.restored(state.NewMemory(), 0)))
	committed.require(rt, spec.Open(restoredInSteps(rt, r)))
}

// restoredInSteps is room.restored with more than one batch.
func restoredInSteps(rt *rapid.T, r *room) *room {
	out := newRoom(rt, state.NewMemory(), r.spec, 0)
	c := out.db.Begin()
	for _, l := range r.log {
		var value []byte
		if !l.deleted {
			value = append([]byte{}, l.value...)
		}
		require.NoError(rt, c.Restore(out.store, []byte(l.key), value, l.ms))
		if rapid.Bool().Draw(rt, "apply") {
			require.NoError(rt, c.Apply())
			c = out.db.Begin()
		}
	}
	require.NoError(rt, c.Apply())
	return out
}

func TestBufferStore_KeepsThePlaceOfAKeyThatIsPutAgain(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), bufferSpec(), 0)
	b := bufferSpec().Open(r)
	for _, row := range []struct {
		key string
		at  int64
	}{{"b", 5}, {"c", 4}, {"b", 1}, {"a", 5}, {"c", 9}} {
		require.NoError(t, b.Put(row.key, at(row.at), fmt.Sprint(row.at)))
	}
	require.Equal(t, []string{`"c": 9 @4`, `"a": 5 @5`, `"b": 1 @5`}, bufferRows(t, b))
	require.NoError(t, b.Remove("b"))
	require.NoError(t, b.Put("b", at(1), "x"))
	require.Equal(t, []string{`"b": x @1`, `"c": 9 @4`, `"a": 5 @5`}, bufferRows(t, b), "a key that was gone is new")
}

func TestBufferStore_LetsItselfBeEmptiedInALoop(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), bufferSpec(), 0)
	b := bufferSpec().Open(r)
	for i, k := range []string{"a", "b", "c"} {
		require.NoError(t, b.Put(k, at(int64(i)), k))
	}
	r.commit()
	var seen []string
	for e, err := range b.All() {
		require.NoError(t, err)
		seen = append(seen, e.Key)
		require.NoError(t, b.Remove("b"))
		require.NoError(t, b.Put("d", at(9), "d"))
	}
	require.Equal(t, []string{"a", "c"}, seen)
	require.Equal(t, []string{`"a": a @0`, `"c": c @2`, `"d": d @9`}, bufferRows(t, b))
}

func TestBufferStore_CountsWhatRowsOfAnotherFormSayOfThemselves(t *testing.T) {
	t.Parallel()
	spec := bufferSpec().MaxRecords(3).MaxBytes(400).
		Rows(serde.String(), serde.Int64(), func(n int64) int64 { return 100 * n })
	records, bytes := spec.Bounds()
	require.Equal(t, []int64{3, 400}, []int64{records, bytes})
	r := newRoom(t, state.NewMemory(), spec, 0)
	b := spec.Open(r)
	size := func(want int64) {
		t.Helper()
		got, err := b.Bytes()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.NoError(t, b.Put("key", at(1), 1))
	size(8 + 3 + 100)
	require.NoError(t, b.Put("key", at(1), 2))
	size(8 + 3 + 200)
	r.commit()
	r.open()
	b = spec.Open(r)
	size(8 + 3 + 200)
	require.NoError(t, b.Remove("key"))
	size(0)
}

func TestBufferSpec_DescribesItsStore(t *testing.T) {
	t.Parallel()
	require.Equal(t, state.Info{
		Name: "waiting", Kind: state.KindBuffer, KeyType: "string", ValueType: "string", Changelog: true, Layout: "key",
	}, bufferSpec().Info())
	info := bufferSpec().InMemory().WithoutChangelog().Info()
	require.True(t, info.InMemory)
	require.False(t, info.Changelog)
	records, bytes := bufferSpec().Bounds()
	require.Equal(t, []int64{math.MaxInt64, math.MaxInt64}, []int64{records, bytes})
	key, value := bufferSpec().Serdes()
	require.Equal(t, serde.String(), key)
	require.Equal(t, serde.String(), value)
}

func TestBufferStore_ThatIsNotOpenSaysSo(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), bufferSpec(), 0)
	b := state.Buffer("waiting", serde.String(), serde.Int64()).Open(r) // another type
	_, _, err := b.First()
	require.ErrorContains(t, err, `store "waiting" is not open: another descriptor of that name is declared`)
	_, _, err = b.Get("k")
	require.Error(t, err)
	require.Error(t, b.Put("k", at(1), 1))
	require.Error(t, b.Remove("k"))
	_, err = b.Len()
	require.Error(t, err)
	_, err = b.Bytes()
	require.Error(t, err)
	for _, err := range b.All() {
		require.Error(t, err)
	}
}

func TestBufferStore_RefusesTimesBefore1970(t *testing.T) {
	t.Parallel()
	r := newRoom(t, state.NewMemory(), bufferSpec(), 0)
	require.ErrorContains(t, bufferSpec().Open(r).Put("k", at(-1), "v"), "before 1970")
}

func TestBufferStore_NamesStateThatIsDamaged(t *testing.T) {
	t.Parallel()
	e := state.NewMemory()
	r := newRoom(t, e, bufferSpec(), 0)
	b := e.NewBatch()
	require.NoError(t, b.Put([]byte("\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x05k"), make([]byte, 8)))
	require.NoError(t, e.Apply(b))
	_, _, err := bufferSpec().Open(r).First()
	require.ErrorContains(t, err, "the state is damaged")
}
