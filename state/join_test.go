package state_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

func TestJoin_NamesItsStores(t *testing.T) {
	t.Parallel()
	spec := state.Join("pairs", serde.String(), serde.Int64(), serde.String()).Retention(retention)
	require.Equal(t, "pairs", spec.Name())
	left, right, unmatched := spec.Left().Info(), spec.Right().Info(), spec.Unmatched().Info()
	require.Equal(t, []string{"pairs-left", "pairs-right", "pairs-unmatched"}, []string{left.Name, right.Name, unmatched.Name})
	require.Equal(t, []state.Kind{state.KindDuplicates, state.KindDuplicates, state.KindJoinBuffer}, []state.Kind{left.Kind, right.Kind, unmatched.Kind})
	require.Equal(t, retention, left.Retention)
	require.Zero(t, unmatched.Retention)
	for _, i := range []state.Info{left, right, unmatched} {
		require.NoError(t, i.Validate())
		require.True(t, i.Changelog)
		require.False(t, i.InMemory)
	}
	for _, s := range []state.Spec{spec.InMemory().Left(), spec.InMemory().Right(), spec.InMemory().Unmatched()} {
		require.True(t, s.Info().InMemory)
	}
	for _, s := range []state.Spec{spec.WithoutChangelog().Left(), spec.WithoutChangelog().Right(), spec.WithoutChangelog().Unmatched()} {
		require.False(t, s.Info().Changelog)
	}
}

func TestJoin_KeepsUnmatchedRecordsByTimeAndTheRightSideFirst(t *testing.T) {
	t.Parallel()
	spec := state.Join("pairs", serde.String(), serde.Int64(), serde.String()).Unmatched()
	r := newRoom(t, state.NewMemory(), spec, 0)
	st := spec.Open(r)
	add := func(ms int64, left bool, k string, n int64) {
		v := state.SideValue[int64, string]{IsLeft: left, Left: n}
		if !left {
			v.Left, v.Right = 0, fmt.Sprint("r", n)
		}
		require.NoError(t, st.Add(at(ms), state.SideKey[string]{Left: left, Key: k}, v))
	}
	add(5, true, "a", 1)
	add(5, false, "b", 2)
	add(4, true, "c", 3)
	add(5, true, "a", 4)
	r.commit()
	add(5, false, "a", 5)
	list := func() []string {
		out := []string{}
		for e, err := range st.All() {
			require.NoError(t, err)
			require.Equal(t, e.Key.Left, e.Value.IsLeft)
			out = append(out, fmt.Sprintf("%d %v %s %d%s", e.At.UnixMilli(), e.Key.Left, e.Key.Key, e.Value.Left, e.Value.Right))
		}
		return out
	}
	want := []string{"4 true c 3", "5 false a 0r5", "5 false b 0r2", "5 true a 1", "5 true a 4"}
	require.Equal(t, want, list())
	r.commit()
	r = r.restored(state.NewMemory(), 0)
	st = spec.Open(r)
	require.Equal(t, want, list())
	key, value := spec.Serdes()
	for _, b := range [][]byte{nil, {2, 'a'}} {
		_, err := key.Decode(b)
		require.ErrorContains(t, err, "do not begin with a side of a join")
		_, err = value.Decode(b)
		require.ErrorContains(t, err, "do not begin with a side of a join")
	}
}
