package runtime

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A stateDir is the directory of one application on this machine, locked by this instance:
//
//	LOCK         held while the instance runs
//	manifest     of the program that ran last
//	process-id   the instance's id, which outlives restarts: its transactional ids are made of it
//	<task id>/   the state of one task
//	global/      the global stores
type stateDir struct {
	dir       string
	processID string
	shared    *state.PebbleShared
	memTable  uint64 // of one task; set when the number of tasks is known
	lock      io.Closer

	mu      sync.Mutex
	unowned map[string]time.Time // since when
	open    map[string]bool
}

func openStateDir(c Config) (*stateDir, error) {
	d := &stateDir{dir: filepath.Join(c.StateDir, c.ApplicationID), unowned: map[string]time.Time{}, open: map[string]bool{}}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	lock, err := state.LockDir(d.dir)
	if err != nil {
		return nil, fmt.Errorf("%w: give each instance on a machine a StateDir of its own", err)
	}
	d.lock = lock
	if d.processID, err = readProcessID(filepath.Join(d.dir, "process-id")); err != nil {
		_ = lock.Close()
		return nil, err
	}
	d.shared = state.NewPebbleShared(c.MemoryBytes/4, 1000)
	return d, nil
}

// readProcessID returns the id in the file, which it makes if there is none.
func readProcessID(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		if id := strings.TrimSpace(string(b)); len(id) == 32 {
			return id, nil
		}
		return "", fmt.Errorf("read process id %q: it has been changed: remove the file, no instance running", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read process id: %w", err)
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:])
	id := hex.EncodeToString(raw[:])
	if err := writeFile(path, []byte(id+"\n")); err != nil {
		return "", fmt.Errorf("write process id: %w", err)
	}
	return id, nil
}

// openTask opens the state of a task, empty if there is none.
func (d *stateDir) openTask(application string, id topology.TaskID) (*state.DB, error) {
	dir := filepath.Join(d.dir, id.String())
	d.mu.Lock()
	d.open[id.String()] = true
	delete(d.unowned, id.String())
	d.mu.Unlock()
	db, err := d.openDB(dir, application, id.String())
	if err != nil {
		d.released(id)
	}
	return db, err
}

// openGlobal opens the global stores, empty if there are none.
func (d *stateDir) openGlobal(application string) (*state.DB, error) {
	return d.openDB(filepath.Join(d.dir, globalDir), application, globalDir)
}

const globalDir = "global"

func (d *stateDir) openDB(dir, application, owner string) (*state.DB, error) {
	if err := state.PrepareDir(dir, state.DirIdentity{Application: application, Task: owner}); err != nil {
		return nil, err
	}
	disk, err := state.OpenPebble(filepath.Join(dir, "rows"), state.PebbleOptions{Shared: d.shared, MemTableBytes: d.memTable})
	if err != nil {
		return nil, err
	}
	db, err := state.NewDB(disk, state.NewMemory())
	if err != nil {
		_ = disk.Close()
		return nil, fmt.Errorf("open state of task %s: %w", owner, err)
	}
	return db, nil
}

// released tells that the state of a task is closed.
func (d *stateDir) released(id topology.TaskID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, id.String())
}

// cleanup removes the state of tasks that nobody here has opened for the delay.
func (d *stateDir) cleanup(now time.Time, delay time.Duration) error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return fmt.Errorf("clean up state directory: %w", err)
	}
	for _, e := range entries {
		if _, err := topology.ParseTaskID(e.Name()); err != nil || !e.IsDir() {
			continue
		}
		if err := d.cleanupTask(e.Name(), now, delay); err != nil {
			return err
		}
	}
	return nil
}

// cleanupTask holds the lock while it removes, so that the task cannot be opened meanwhile.
func (d *stateDir) cleanupTask(name string, now time.Time, delay time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[name] {
		delete(d.unowned, name)
		return nil
	}
	since, ok := d.unowned[name]
	if !ok {
		d.unowned[name] = now
		return nil
	}
	if now.Sub(since) < delay {
		return nil
	}
	delete(d.unowned, name)
	if err := os.RemoveAll(filepath.Join(d.dir, name)); err != nil {
		return fmt.Errorf("remove state of task %s, which this instance no longer has: %w", name, err)
	}
	return nil
}

func (d *stateDir) close() error {
	return errors.Join(d.shared.Close(), d.lock.Close())
}
