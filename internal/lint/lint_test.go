package lint

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tree returns every file of the module.
func tree(t *testing.T) []*file {
	t.Helper()
	top, err := root()
	require.NoError(t, err)
	files, err := load(top)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// report fails the test with one line for each problem.
func report(t *testing.T, problems []problem) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

func TestTree_EveryFile(t *testing.T) {
	t.Parallel()
	files := tree(t)
	for _, r := range rules {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			for _, f := range files {
				report(t, r.check(f))
			}
		})
	}
}

func TestTree_EveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	report(t, checkDocs(tree(t)))
}

func TestHouse_NamesOnlyRoomsThatItHas(t *testing.T) {
	t.Parallel()
	for name, r := range house {
		for _, other := range append(append([]string{}, r.not...), r.tests...) {
			require.Contains(t, house, other, "the room %s speaks of it", name)
		}
	}
	for _, list := range [][]string{onlyForTests, brokerRooms, clockRooms} {
		for _, name := range list {
			require.Contains(t, house, name)
		}
	}
}
