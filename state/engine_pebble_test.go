package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

func putRow(t *testing.T, e Engine, key, value string) {
	t.Helper()
	b := e.NewBatch()
	require.NoError(t, b.Put([]byte(key), []byte(value)))
	require.NoError(t, e.Apply(b))
}

func requireRow(t *testing.T, e Engine, key, want string) {
	t.Helper()
	v, ok, err := e.Get(nil, []byte(key))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, want, string(v))
}

func TestPebble_RefusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	e, err := OpenPebble(dir, PebbleOptions{})
	require.NoError(t, err)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	for _, name := range []string{dir, dir + "/../state", link} {
		_, err = OpenPebble(name, PebbleOptions{})
		require.ErrorIs(t, err, ErrInUse)
		require.ErrorContains(t, err, fmt.Sprintf("state directory %q: directory is in use by this process", dir))
	}
	require.NoError(t, e.Close())
	e, err = OpenPebble(dir, PebbleOptions{})
	require.NoError(t, err)
	require.NoError(t, e.Close())
}

// TestPebble_RefusesADirectoryInUseByAnotherProcess runs itself again, as the other process.
func TestPebble_RefusesADirectoryInUseByAnotherProcess(t *testing.T) {
	const variable = "WEIR_STATE_DIR_IN_USE"
	if dir := os.Getenv(variable); dir != "" {
		_, err := OpenPebble(dir, PebbleOptions{})
		require.ErrorIs(t, err, ErrInUse)
		require.ErrorContains(t, err, fmt.Sprintf("state directory %q: directory is in use by another process", dir))
		return
	}
	t.Parallel()
	dir := t.TempDir()
	e, err := OpenPebble(dir, PebbleOptions{})
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), variable+"="+dir)
	out, err := child.CombinedOutput()
	require.NoError(t, err, "%s", out)
	putRow(t, e, "a", "1")
	require.NoError(t, e.Close())
}

func TestPebble_RefusesATinyMemtable(t *testing.T) {
	t.Parallel()
	_, err := OpenPebble(t.TempDir(), PebbleOptions{MemTableBytes: 1000})
	require.ErrorContains(t, err, "MemTableBytes is 1000, want at least 262144")
}

func TestPebble_NamesTheDirectoryItCannotOpen(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := OpenPebble(filepath.Join(file, "state"), PebbleOptions{})
	require.ErrorContains(t, err, file)
	require.ErrorIs(t, err, syscall.ENOTDIR)

	// A disk on which nothing can be created.
	for _, cause := range []error{syscall.EROFS, syscall.EACCES, syscall.ENOSPC} {
		disk := vfs.NewMem()
		require.NoError(t, disk.MkdirAll("/state", 0o750))
		broken := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpCreate {
				return &fs.PathError{Op: "create", Path: op.Path, Err: cause}
			}
			return nil
		}))
		_, err = OpenPebble("/state", PebbleOptions{fs: broken})
		require.ErrorContains(t, err, `state directory "/state"`)
		require.ErrorIs(t, err, cause)
		require.NotErrorIs(t, err, ErrInUse)
	}
}

func TestPebble_SharesItsCaches(t *testing.T) {
	t.Parallel()
	shared := NewPebbleShared(0, 0)
	var engines []Engine
	for range 4 {
		e, err := OpenPebble(t.TempDir(), PebbleOptions{Shared: shared})
		require.NoError(t, err)
		putRow(t, e, "a", "1")
		require.NoError(t, e.Flush())
		engines = append(engines, e)
	}
	require.NoError(t, shared.Close())
	require.NoError(t, shared.Close())
	_, err := OpenPebble(t.TempDir(), PebbleOptions{Shared: shared})
	require.ErrorContains(t, err, "the shared caches are closed")
	for _, e := range engines {
		requireRow(t, e, "a", "1")
		require.NoError(t, e.Close())
	}
}

func TestPebble_DoesNotCloseUnderIterators(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	e, err := OpenPebble("/state", PebbleOptions{fs: disk})
	require.NoError(t, err)
	putRow(t, e, "a", "1")
	it, err := e.Iterate(nil, nil, false)
	require.NoError(t, err)
	require.ErrorContains(t, e.Close(), "1 iterators are open")

	// But what was applied is safe already.
	after, err := OpenPebble("/state", PebbleOptions{fs: disk.CrashClone(vfs.CrashCloneCfg{})})
	require.NoError(t, err)
	requireRow(t, after, "a", "1")
	require.NoError(t, after.Close())

	require.True(t, it.Next())
	require.NoError(t, it.Close())
	require.NoError(t, it.Close())
	require.False(t, it.Next())
	require.NoError(t, e.Close())
}

// A flakyDisk fails the operations that match while it is broken.
type flakyDisk struct {
	vfs.FS
	memory *vfs.MemFS
	broken atomic.Bool
	writes atomic.Int64 // operations that failed
}

func newFlakyDisk(cause error, match func(op errorfs.Op) bool) *flakyDisk {
	d := &flakyDisk{memory: vfs.NewMem()}
	d.FS = errorfs.Wrap(d.memory, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !d.broken.Load() || !match(op) {
			return nil
		}
		d.writes.Add(1)
		return &fs.PathError{Op: "write", Path: op.Path, Err: cause}
	}))
	return d
}

func isWrite(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsWrite }

func TestPebble_StopsWhenTheDiskFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		cause error
		match func(op errorfs.Op) bool
	}{
		{"no space", syscall.ENOSPC, isWrite},
		{"read-only", syscall.EROFS, isWrite},
		{"tables cannot be synced", syscall.EIO, func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpFileSync && strings.HasSuffix(op.Path, ".sst") ||
				op.Kind == errorfs.OpFileSyncData && strings.HasSuffix(op.Path, ".sst")
		}},
		{"the manifest cannot be written", syscall.EIO, func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpFileWrite && strings.Contains(op.Path, "MANIFEST")
		}},
		{"the manifest cannot be synced", syscall.EIO, func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpFileSync && strings.Contains(op.Path, "MANIFEST")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			disk := newFlakyDisk(test.cause, test.match)
			var logged bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelError}))
			e, err := OpenPebble("/state", PebbleOptions{fs: disk, MemTableBytes: minMemTableBytes, Logger: logger})
			require.NoError(t, err)
			putRow(t, e, "a", "safe")
			require.NoError(t, e.Flush())

			disk.broken.Store(true)
			putRow(t, e, "a", "lost")
			for _, err := range []error{e.Flush(), e.Flush(), e.Apply(e.NewBatch()), e.Drop(nil, nil)} {
				require.ErrorIs(t, err, test.cause)
				require.ErrorContains(t, err, `state directory "/state"`)
			}
			_, _, err = e.Get(nil, []byte("a"))
			require.ErrorIs(t, err, test.cause)
			_, err = e.Iterate(nil, nil, false)
			require.ErrorIs(t, err, test.cause)
			require.ErrorIs(t, e.Close(), test.cause)
			require.Less(t, disk.writes.Load(), int64(20), "tries again and again")
			require.Contains(t, logged.String(), "state database failed")

			disk.broken.Store(false)
			e, err = OpenPebble("/state", PebbleOptions{fs: disk})
			require.NoError(t, err)
			v, ok, err := e.Get(nil, []byte("a"))
			require.NoError(t, err)
			require.True(t, ok)
			if !strings.Contains(test.name, "manifest") { // then nobody knows
				require.Equal(t, "safe", string(v))
			}
			require.NoError(t, e.Close())
		})
	}
}

func TestPebble_ApplyWaitsForTheDiskButNotForABrokenOne(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{nil, syscall.ENOSPC} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
					<-release
					return cause
				}
				return nil
			}))
			e, err := OpenPebble("/state", PebbleOptions{fs: disk, MemTableBytes: minMemTableBytes})
			require.NoError(t, err)
			const batches, size = 400, 10_000
			applied := 0
			done := make(chan error, 1)
			go func() {
				value, err := bytes.Repeat([]byte{'x'}, size), error(nil)
				for i := 0; i < batches && err == nil; i++ {
					b := e.NewBatch()
					if err = errors.Join(b.Put(fmt.Appendf(nil, "%d", i), value), e.Apply(b)); err == nil {
						applied++
					}
				}
				done <- err
			}()
			synctest.Wait()
			// The writer is held back: about five memtables are full.
			require.Greater(t, applied*size, maxQueuedMemTables*minMemTableBytes)
			require.Less(t, applied*size, 2*maxQueuedMemTables*minMemTableBytes)
			close(release)
			require.ErrorIs(t, <-done, cause)
			require.Equal(t, cause == nil, applied == batches)
			require.ErrorIs(t, e.Close(), cause)
		})
	}
}

func TestPebble_TurnsPanicsIntoErrors(t *testing.T) {
	t.Parallel()
	e, err := OpenPebble("/state", PebbleOptions{fs: vfs.NewMem()})
	require.NoError(t, err)
	pe := e.(*pebbleEngine)
	require.NoError(t, pe.db.Close()) // behind the engine's back: Pebble panics from now on
	_, ok, err := e.Get(nil, []byte("a"))
	require.False(t, ok)
	require.ErrorContains(t, err, `state directory "/state": get: panic: `)
	require.ErrorContains(t, e.Flush(), `state directory "/state": flush: panic: `)
	require.ErrorContains(t, e.Close(), "panic: ")
	require.NoError(t, e.Close())
}

func TestPebble_FatalReportsAreTheNextCallsError(t *testing.T) {
	t.Parallel()
	e, err := OpenPebble("/state", PebbleOptions{fs: vfs.NewMem()})
	require.NoError(t, err)
	putRow(t, e, "a", "1")
	it, err := e.Iterate(nil, nil, false)
	require.NoError(t, err)
	e.(*pebbleEngine).fault.Fatalf("it is all over: %d", 7)
	require.True(t, it.Next())
	require.False(t, it.Next())
	require.ErrorContains(t, it.Err(), "it is all over: 7")
	require.NoError(t, it.Close())
	require.ErrorContains(t, e.Flush(), "it is all over: 7")
	require.ErrorContains(t, e.Close(), "it is all over: 7")
}

func TestPebble_TellsDamagedFiles(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"*.sst", "MANIFEST-*"} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			e, err := OpenPebble(dir, PebbleOptions{})
			require.NoError(t, err)
			for i := range 1000 {
				putRow(t, e, fmt.Sprintf("%04d", i), strings.Repeat("v", i))
			}
			require.NoError(t, e.Close())
			damage(t, filepath.Join(dir, pattern))

			e, err = OpenPebble(dir, PebbleOptions{})
			if err == nil {
				for i := 0; i < 1000 && err == nil; i++ {
					_, _, err = e.Get(nil, fmt.Appendf(nil, "%04d", i))
				}
				require.ErrorIs(t, e.Flush(), ErrCorrupt)
				require.ErrorIs(t, e.Close(), ErrCorrupt)
			}
			require.ErrorIs(t, err, ErrCorrupt)
			require.ErrorContains(t, err, fmt.Sprintf("state directory %q", dir))
		})
	}
}

// damage overwrites the start of the files.
func damage(t *testing.T, pattern string) {
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		for i := range len(b) / 2 {
			b[i] ^= 0x5a
		}
		require.NoError(t, os.WriteFile(name, b, 0o600))
	}
}

func TestPebble_RefusesABatchThatIsTooLarge(t *testing.T) {
	t.Parallel()
	e, err := OpenPebble("/state", PebbleOptions{fs: vfs.NewMem()})
	require.NoError(t, err)
	b := e.NewBatch().(*pebbleBatch)
	require.NoError(t, b.room(1<<20))
	require.ErrorContains(t, b.room(maxBatchBytes), "do not fit")
	require.NoError(t, b.Discard())
	require.NoError(t, e.Close())
}
