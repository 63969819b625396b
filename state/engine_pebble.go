package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// PebbleOptions tune a database of OpenPebble. The zero value is good for tests and small tools.
type PebbleOptions struct {
	// Shared is the memory and the file handles shared with the other databases of the process. Without it the
	// database has a small cache of its own (8 MiB), and keeps up to 1000 files open.
	Shared *PebbleShared

	// MemTableBytes is how much the database collects in memory before it writes a file in the background; the
	// default is 4 MiB, the least 256 KiB. Up to four times as much may wait to be written, then Apply waits too. It
	// is also about what a crash takes away.
	MemTableBytes uint64

	// Logger gets what the database has to say: its work on level Debug, its troubles on level Error. nil is silence;
	// no error is only logged.
	Logger *slog.Logger

	fs vfs.FS // for tests
}

const (
	defaultMemTableBytes = 4 << 20
	minMemTableBytes     = 256 << 10
)

// OpenPebble opens the database in dir, and creates both if they are not there. Nobody else can open it until Close:
// the error is then ErrInUse. Its errors name the directory, and match the cause with errors.Is: ErrCorrupt,
// fs.ErrPermission, syscall.ENOSPC and the like.
//
// There is no write-ahead log: what is applied becomes durable when the memtable is full, and with Flush and Close.
//
// # Failures
//
// The engine is fail-stop. After the first error of its background work (a full or broken disk, damaged files) and
// after a panic of Pebble, every call returns that error, nothing on the disk changes any more, and only Close
// remains. What is on the disk is then a state as a crash at that moment had left it: when the cause is gone, the
// directory can be opened again. After a panic inside a call Close gives the database up instead of closing it, since
// Pebble may hold its locks: memory and directory lock are then kept until the process ends.
//
// A panic on one of Pebble's own goroutines cannot be caught: it ends the process. Pebble means to panic there only
// where its own invariants break, not for errors of the disk.
func OpenPebble(dir string, o PebbleOptions) (Engine, error) {
	if o.MemTableBytes == 0 {
		o.MemTableBytes = defaultMemTableBytes
	}
	if o.MemTableBytes < minMemTableBytes {
		return nil, fmt.Errorf("open state directory %q: MemTableBytes is %d, want at least %d",
			dir, o.MemTableBytes, minMemTableBytes)
	}
	dir, err := preparePebbleDir(dir, &o)
	if err != nil {
		return nil, err
	}
	// Lock first, apart from the rest, to tell a directory in use from a directory in trouble.
	lock, err := pebble.LockDirectory(dir, o.fs)
	if err != nil {
		return nil, lockError(dir, err)
	}
	e := &pebbleEngine{
		dir: dir, lock: lock, fault: newPebbleFault(o.Logger), progress: make(chan struct{}, 1),
		memTable: int64(o.MemTableBytes),
	}
	if err := e.open(&o); err != nil {
		_ = lock.Close()
		return nil, pebbleError(dir, "open", err)
	}
	return e, nil
}

// preparePebbleDir creates the directory and returns its one true name: the lock of a directory knows it by name.
func preparePebbleDir(dir string, o *PebbleOptions) (string, error) {
	if o.fs != nil {
		return dir, o.fs.MkdirAll(dir, 0o750)
	}
	o.fs = vfs.Default
	if err := mkdirSynced(dir); err != nil {
		return "", pebbleError(dir, "create", err)
	}
	name, err := filepath.EvalSymlinks(dir)
	if err == nil {
		name, err = filepath.Abs(name)
	}
	if err != nil {
		return "", pebbleError(dir, "resolve", err)
	}
	return name, nil
}

func lockError(dir string, err error) error {
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return pebbleError(dir, "lock", err)
	}
	who := "this process"
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		who = "another process"
	}
	return fmt.Errorf("state directory %q: %w by %s: %w", dir, ErrInUse, who, err)
}

// pebbleError says where and at what an error happened.
func pebbleError(dir, op string, err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("state directory %q: %s: %w: %w", dir, op, ErrCorrupt, err)
	}
	return fmt.Errorf("state directory %q: %s: %w", dir, op, err)
}

type pebbleEngine struct {
	dir      string
	lock     *pebble.Lock
	fault    *pebbleFault
	memTable int64

	// mu is held for reading by every call, for writing by Close.
	mu     sync.RWMutex
	db     *pebble.DB
	closed bool

	panicked  atomic.Bool
	unflushed atomic.Bool   // something was applied since the last Flush
	iterators atomic.Int64  // open ones
	unchecked atomic.Int64  // bytes applied since the backlog was looked at
	progress  chan struct{} // gets a token whenever the background has done something
}

func (e *pebbleEngine) open(o *PebbleOptions) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	po := e.options(o)
	if o.Shared != nil {
		if err := o.Shared.lend(po); err != nil {
			return err
		}
		defer o.Shared.giveBack(po)
	}
	db, err := pebble.Open(e.dir, po)
	if err != nil {
		return err
	}
	if err := e.fault.failure(); err != nil {
		return errors.Join(err, e.closeDB(db))
	}
	e.db = db
	return nil
}

// enter begins a call; leave must be deferred if there is no error.
func (e *pebbleEngine) enter(op string) error {
	e.mu.RLock()
	err := e.fault.failure()
	if e.closed {
		err = ErrClosed
	}
	if err != nil {
		e.mu.RUnlock()
		return pebbleError(e.dir, op, err)
	}
	return nil
}

// leave ends a call. It turns a panic into the failure of the engine, and takes no success from a failed engine:
// Pebble reports some failures to its logger alone.
func (e *pebbleEngine) leave(op string, err *error) {
	if r := recover(); r != nil {
		e.panicked.Store(true)
		e.fault.fail(fmt.Errorf("panic: %v", r))
	}
	if *err == nil {
		*err = e.fault.failure()
	}
	if *err != nil {
		*err = pebbleError(e.dir, op, *err)
	}
	e.mu.RUnlock()
}

func (e *pebbleEngine) Get(dst, key []byte) (value []byte, ok bool, err error) {
	if err := e.enter("get"); err != nil {
		return dst, false, err
	}
	defer e.leave("get", &err)
	if len(key) == 0 {
		return dst, false, nil
	}
	v, closer, err := e.db.Get(key)
	if err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			err = nil
		}
		return dst, false, err
	}
	value = append(dst, v...)
	return value, true, closer.Close()
}

func (e *pebbleEngine) Apply(b Batch) (err error) {
	pb, ok := b.(*pebbleBatch)
	if !ok || pb.engine != e {
		return pebbleError(e.dir, "apply batch", fmt.Errorf("%T is not a batch of this engine", b))
	}
	batch := pb.batch
	if batch == nil {
		return pebbleError(e.dir, "apply batch", errBatchDone)
	}
	pb.batch = nil
	if err := e.enter("apply batch"); err != nil {
		return errors.Join(err, batch.Close())
	}
	defer e.leave("apply batch", &err)
	if pb.open {
		if batch, err = e.endRanges(batch); err != nil {
			return err
		}
	}
	if err := e.waitForRoom(batch.Len()); err != nil {
		return errors.Join(err, batch.Close())
	}
	if err := e.db.Apply(batch, pebble.NoSync); err != nil {
		return errors.Join(err, batch.Close())
	}
	e.unflushed.Store(true)
	return batch.Close()
}

const (
	maxQueuedMemTables = 4
	maxSublevels       = 20
)

// waitForRoom holds a writer back that is faster than the disk. Pebble would do that too, but for good if its
// background work fails meanwhile, and with its locks held; see options. Looking at the backlog is not cheap: once in
// half a memtable will do.
func (e *pebbleEngine) waitForRoom(bytes int) error {
	if e.unchecked.Add(int64(bytes)) < e.memTable/2 {
		return nil
	}
	e.unchecked.Store(0)
	for {
		m := e.db.Metrics()
		if m.MemTable.Size <= maxQueuedMemTables*uint64(e.memTable) && m.Levels[0].Sublevels < maxSublevels {
			return nil
		}
		select {
		case <-e.progress:
		case <-e.fault.failed:
			return e.fault.failure()
		}
	}
}

// Drop changes files at once where it can: after a crash its range may be gone though batches applied before it are
// lost.
func (e *pebbleEngine) Drop(lo, hi []byte) (err error) {
	if err := e.enter("drop range"); err != nil {
		return err
	}
	defer e.leave("drop range", &err)
	if hi == nil {
		if hi, err = e.end(); err != nil {
			return err
		}
	}
	if lo = notEmpty(lo); bytes.Compare(lo, hi) >= 0 {
		return nil
	}
	span := pebble.KeyRange{Start: bytes.Clone(lo), End: bytes.Clone(hi)} // Pebble keeps it
	err = e.db.Excise(context.Background(), span)
	e.unflushed.Store(true)
	return err
}

// end returns a key above all keys of the database.
func (e *pebbleEngine) end() (key []byte, err error) {
	it, err := e.db.NewIter(nil)
	if err != nil {
		return nil, err
	}
	if it.Last() {
		key = append(bytes.Clone(it.Key()), 0)
	}
	return key, it.Close()
}

func (e *pebbleEngine) Flush() (err error) {
	if err := e.enter("flush"); err != nil {
		return err
	}
	defer e.leave("flush", &err)
	return e.flush()
}

func (e *pebbleEngine) flush() error {
	if !e.unflushed.Swap(false) {
		return nil
	}
	flushed, err := e.db.AsyncFlush()
	if err != nil {
		e.unflushed.Store(true)
		return err
	}
	// Not DB.Flush: it waits for a flush that fails and is tried again for ever.
	select {
	case <-flushed:
		return nil
	case <-e.fault.failed:
		return e.fault.failure()
	}
}

// Close with open iterators flushes, but closes nothing and returns an error: memory that they read would be gone. It
// can be called again when they are closed. Close of a closed engine does nothing.
func (e *pebbleEngine) Close() (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	// Pebble's own Close does not flush, and without a log that loses what was applied.
	if err = e.fault.failure(); err == nil {
		err = e.recovered(e.flush)
	}
	if n := e.iterators.Load(); n > 0 {
		return pebbleError(e.dir, "close", errors.Join(err, fmt.Errorf("%d iterators are open", n)))
	}
	e.closed = true
	if !e.panicked.Load() {
		err = errors.Join(err, e.closeDB(e.db))
	}
	err = errors.Join(err, e.lock.Close())
	if err != nil {
		return pebbleError(e.dir, "close", err)
	}
	return nil
}

func (e *pebbleEngine) closeDB(db *pebble.DB) error {
	e.fault.release()
	return e.recovered(db.Close)
}

// recovered calls f and turns a panic into an error.
func (e *pebbleEngine) recovered(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e.panicked.Store(true)
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}
