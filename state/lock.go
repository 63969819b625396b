package state

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// LockDir locks a directory for this process, by a file LOCK in it, until the result is closed or the process ends. ErrInUse is in the error if
// another process holds it, or this one.
func LockDir(dir string) (io.Closer, error) {
	lock, err := vfs.Default.Lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("lock state directory %q: %w (%w)", dir, ErrInUse, err)
	}
	return lock, nil
}
