package state

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

var ordersTask = DirIdentity{Application: "orders", Task: "0_3"}

func TestPrepareDir_CreatesTheDirectoryAndItsFormat(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b", "0_3")
	for range 2 {
		require.NoError(t, PrepareDir(dir, ordersTask))
		b, err := os.ReadFile(filepath.Join(dir, "FORMAT"))
		require.NoError(t, err)
		require.Equal(t, "weir-state 1 app=orders task=0_3\n", string(b))
	}
	e, err := OpenPebble(dir, PebbleOptions{})
	require.NoError(t, err)
	putRow(t, e, "a", "1")
	require.NoError(t, e.Close())
	require.NoError(t, PrepareDir(dir, ordersTask), "with a database in it")
	e, err = OpenPebble(dir, PebbleOptions{})
	require.NoError(t, err)
	requireRow(t, e, "a", "1")
	require.NoError(t, e.Close())
}

func TestPrepareDir_RefusesWhatIsNotTheTasks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, file, got string }{
		{"another application", "weir-state 1 app=invoices task=0_3\n", "weir-state 1 app=invoices task=0_3"},
		{"another task", "weir-state 1 app=orders task=0_4\n", "weir-state 1 app=orders task=0_4"},
		{"a later format", "weir-state 2 app=orders task=0_3 x=y\n", "weir-state 2 app=orders task=0_3 x=y"},
		{"an empty file", "", "an empty file FORMAT"},
		{"a file cut short", "weir-state 1 app=orders task=0_", "weir-state 1 app=orders task=0_"},
		{"a file with more", "weir-state 1 app=orders task=0_3\nx", "weir-state 1 app=orders task=0_3\nx"},
		{"another file", "\x00\xff", "\x00\xff"},
		{"a large file", strings.Repeat("x", 1<<20), strings.Repeat("x", 200) + "..."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "FORMAT"), []byte(test.file), 0o600))
			requireFormatError(t, dir, test.got)
			b, err := os.ReadFile(filepath.Join(dir, "FORMAT"))
			require.NoError(t, err)
			require.Equal(t, test.file, string(b), "the file must stay as it is")
		})
	}
}

func TestPrepareDir_RefusesADirectoryWithOtherFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600))
	requireFormatError(t, dir, "other files, but no file FORMAT")
}

func requireFormatError(t *testing.T, dir, got string) {
	t.Helper()
	err := PrepareDir(dir, ordersTask)
	var formatErr *FormatError
	require.ErrorAs(t, err, &formatErr)
	require.Equal(t, &FormatError{Dir: dir, Want: "weir-state 1 app=orders task=0_3", Got: got}, formatErr)
	require.ErrorContains(t, err, "use another state directory, or remove this one")
}

func TestPrepareDir_CompletesWhatACrashCutShort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "FORMAT.new"), []byte("weir-st"), 0o600))
	require.NoError(t, PrepareDir(dir, ordersTask))
	require.NoError(t, PrepareDir(dir, ordersTask))
	_, err := os.Stat(filepath.Join(dir, "FORMAT.new"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestPrepareDir_RefusesNamesItCouldNotReadBack(t *testing.T) {
	t.Parallel()
	for _, id := range []DirIdentity{{}, {"orders", ""}, {"", "0_3"}, {"or ders", "0_3"}, {"orders", "0_3\n"}} {
		require.ErrorContains(t, PrepareDir(filepath.Join(t.TempDir(), "d"), id), "want neither empty names nor spaces")
	}
}

func TestPrepareDir_NamesTheDirectoryItCannotCreate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		err := PrepareDir(dir, ordersTask)
		require.ErrorIs(t, err, syscall.ENOTDIR)
		require.ErrorContains(t, err, file)
	}
}
