package state_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
)

func TestSpecs_DescribeTheirStores(t *testing.T) {
	t.Parallel()
	kv := state.KeyValue("kv", serde.String(), serde.Int64())
	require.Equal(t, state.Info{
		Name: "kv", Kind: state.KindKeyValue, KeyType: "string", ValueType: "int64", Changelog: true, Layout: "key",
	}, kv.Info())
	require.Equal(t, state.Info{
		Name: "kv", Kind: state.KindKeyValue, KeyType: "string", ValueType: "int64", InMemory: true, Layout: "key",
	}, kv.InMemory().WithoutChangelog().Info())
	require.True(t, kv.Info().Changelog, "the methods return copies")
	w := state.Window("w", serde.String(), serde.Bytes()).Retention(time.Hour).InMemory().WithoutChangelog()
	require.Equal(t, state.Info{
		Name: "w", Kind: state.KindWindow, KeyType: "string", ValueType: "[]uint8", InMemory: true, Retention: time.Hour,
		Layout: "segment of 1800000 ms, key, start",
	}, w.Info())
	key, value := kv.Serdes()
	require.Equal(t, serde.String(), key)
	require.Equal(t, serde.Int64(), value)
}

func TestSpecs_KnowWhatIsWrongWithThem(t *testing.T) {
	t.Parallel()
	require.NoError(t, state.KeyValue("kv", serde.String(), serde.Int64()).Info().Validate())
	for _, name := range []string{"", "a b", "a/b", "-a", "\x00"} {
		require.ErrorContains(t, state.KeyValue(name, serde.String(), serde.Int64()).Info().Validate(), "store name")
	}
	require.ErrorContains(t, state.Window("w", serde.String(), serde.Int64()).Info().Validate(), "set it with Retention")
	db := openDB(t, state.NewMemory())
	var j state.Journal
	_, err := db.Open(state.KeyValue[string, int64]("kv", nil, serde.Int64()), env(&j))
	require.ErrorContains(t, err, `open store "kv": store "kv" has no serde for its key or its value`)
}

// Whether values may be kept decoded shows in what a store does with a pointer's target.
func TestStores_KeepValuesThatShareMemoryAsBytes(t *testing.T) {
	t.Parallel()
	type inner struct{ N []int }
	type outer struct {
		Name string
		In   inner
		At   time.Time
	}
	spec := state.KeyValue("s", serde.String(), serde.JSON[outer]())
	r := newRoom(t, state.NewMemory(), spec, 1<<20)
	kv := spec.Open(r)
	v := outer{"a", inner{[]int{1}}, at(5)}
	require.NoError(t, kv.Put("k", v))
	v.In.N[0] = 2
	got, _, err := kv.Get("k")
	require.NoError(t, err)
	require.Equal(t, outer{"a", inner{[]int{1}}, at(5)}, got)

	arrays := state.KeyValue("a", serde.String(), serde.JSON[[2]time.Time]())
	r = newRoom(t, state.NewMemory(), arrays, 1<<20)
	a := arrays.Open(r)
	local := at(5).In(time.FixedZone("east", 3600))
	require.NoError(t, a.Put("k", [2]time.Time{local, local}))
	b, _, err := a.Get("k")
	require.NoError(t, err)
	require.Equal(t, [2]time.Time{local, local}, b, "kept as it was: an array of times shares no memory")
}
