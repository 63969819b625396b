// Package golden compares what a test got with a file that is kept with the test.
//
// The flag -update writes the files anew: go test ./topology -update. Read their diff before committing it.
package golden

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Equal fails the test at once if the file does not hold exactly got. Under -update it writes the file, and its folder,
// instead. path is relative to the folder of the test's package.
func Equal(t testing.TB, path, got string) {
	t.Helper()
	equal(t, path, got, *update)
}

func equal(t testing.TB, path, got string, update bool) {
	t.Helper()
	if update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		require.FailNow(t, "no golden file", "%s does not exist: write it with -update", path)
	}
	require.NoError(t, err)
	require.Equal(t, string(want), got, "%s differs: if it should, write it with -update", path)
}
