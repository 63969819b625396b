package state

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A pebbleFault remembers the first failure of a database and freezes its files from then on.
//
// Pebble ends the process when it cannot go on (Logger.Fatalf), and tries again for ever, at full speed, when a flush
// or a compaction fails. A library may do neither. So both count as the end of this database: the failure is recorded
// for the next call of the engine, and failStopFS lets nothing through any more. For the files this is what the end
// of the process would have been: whatever Pebble does in the state it never meant to survive, none of it reaches the
// disk. In particular no manifest is written after one that failed halfway, and no file is removed that it may name.
type pebbleFault struct {
	log    *slog.Logger
	once   sync.Once
	err    error
	failed chan struct{} // closed when err is set

	releaseOnce sync.Once
	released    chan struct{} // closed when the database closes
}

func newPebbleFault(log *slog.Logger) *pebbleFault {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &pebbleFault{log: log, failed: make(chan struct{}), released: make(chan struct{})}
}

// fail records the first failure.
func (f *pebbleFault) fail(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.failed)
		f.log.Error("state database failed", "error", err)
	})
}

// failure returns the first failure, nil if there is none.
func (f *pebbleFault) failure() error {
	select {
	case <-f.failed:
		return f.err
	default:
		return nil
	}
}

// release lets go of the goroutines that hold holds.
func (f *pebbleFault) release() { f.releaseOnce.Do(func() { close(f.released) }) }

// hold returns the failure. A flush or a compaction it holds until the database closes, so that they are not tried
// again and again.
func (f *pebbleFault) hold(category vfs.DiskWriteCategory) error {
	err := f.failure()
	if err != nil && (category == "pebble-memtable-flush" || category == "pebble-compaction") {
		<-f.released
	}
	return err
}

// Infof implements pebble.Logger.
func (f *pebbleFault) Infof(format string, args ...any) {
	f.log.Debug(strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// Errorf implements pebble.Logger.
func (f *pebbleFault) Errorf(format string, args ...any) {
	f.log.Error(strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// Fatalf implements pebble.Logger. Pebble takes it for granted that it does not return, but where a disk can cause
// it, it is followed by the return of the error.
func (f *pebbleFault) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	for _, a := range args {
		if err, ok := a.(error); ok {
			f.fail(err)
			return
		}
	}
	f.fail(fmt.Errorf(format, args...))
}

// A failStopFS refuses all changes once its fault has failed.
type failStopFS struct {
	vfs.FS
	fault *pebbleFault
}

func (fs failStopFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.fault.hold(c); err != nil {
		return nil, err
	}
	return fs.file(fs.FS.Create(name, c))
}

func (fs failStopFS) OpenReadWrite(
	name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption,
) (vfs.File, error) {
	if err := fs.fault.failure(); err != nil {
		return nil, err
	}
	return fs.file(fs.FS.OpenReadWrite(name, c, opts...))
}

func (fs failStopFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.fault.failure(); err != nil {
		return nil, err
	}
	return fs.file(fs.FS.ReuseForWrite(oldname, newname, c))
}

func (fs failStopFS) Link(oldname, newname string) error {
	if err := fs.fault.failure(); err != nil {
		return err
	}
	return fs.FS.Link(oldname, newname)
}

func (fs failStopFS) Rename(oldname, newname string) error {
	if err := fs.fault.failure(); err != nil {
		return err
	}
	return fs.FS.Rename(oldname, newname)
}

func (fs failStopFS) Remove(name string) error {
	if err := fs.fault.failure(); err != nil {
		return err
	}
	return fs.FS.Remove(name)
}

func (fs failStopFS) RemoveAll(name string) error {
	if err := fs.fault.failure(); err != nil {
		return err
	}
	return fs.FS.RemoveAll(name)
}

func (fs failStopFS) Unwrap() vfs.FS { return fs.FS }

func (fs failStopFS) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return failStopFile{File: f, fault: fs.fault}, nil
}

type failStopFile struct {
	vfs.File
	fault *pebbleFault
}

func (f failStopFile) Write(p []byte) (int, error) {
	if err := f.fault.failure(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f failStopFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fault.failure(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f failStopFile) Sync() error {
	if err := f.fault.failure(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f failStopFile) SyncData() error {
	if err := f.fault.failure(); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f failStopFile) SyncTo(length int64) (fullSync bool, err error) {
	if err := f.fault.failure(); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}
