package state

import (
	"encoding/binary"
	"fmt"
)

// A DB is the committed state of one task: an engine on disk and one in memory, which together hold all its stores.
//
// # Layout
//
// Every key starts with two bytes, the big-endian number of its store; numbers are given when a store first opens, and kept by
// name, so that stores come and go without touching one another. Number 0 is the DB's own:
//
//	0 'n' name    number of the store of that durable name, two bytes
//	0 'c' name    Checkpoint of the store's changelog; of a global store, name '/' partition: that of one partition of its topic
//	0 'l' name    layout of the store's rows, a text
//	0 'k'         the task's clocks, an encoding of the task's own
//
// A DB is for one goroutine.
type DB struct {
	disk, mem Engine
	numbers   map[string]uint16
}

// NewDB returns the DB on the two engines. It takes them over: Close closes both.
func NewDB(disk, mem Engine) (*DB, error) {
	db := &DB{disk: disk, mem: mem, numbers: map[string]uint16{}}
	it, err := disk.Iterate([]byte{0, 0, 'n'}, []byte{0, 0, 'n' + 1}, false)
	if err != nil {
		return nil, fmt.Errorf("list stores: %w", err)
	}
	for it.Next() {
		if len(it.Value()) != 2 {
			err := fmt.Errorf("list stores: number of store %q has %d bytes, want 2", it.Key()[3:], len(it.Value()))
			_ = it.Close()
			return nil, err
		}
		db.numbers[string(it.Key()[3:])] = binary.BigEndian.Uint16(it.Value())
	}
	if err := it.Err(); err != nil {
		_ = it.Close()
		return nil, fmt.Errorf("list stores: %w", err)
	}
	return db, it.Close()
}

// Open returns the store of the descriptor. env is copied. Rows that lie there in another layout (that of a window store depends on its retention
// and on how its results are emitted) are wiped, to be restored from the changelog.
func (db *DB) Open(spec Spec, env Env) (Store, error) {
	info := spec.Info()
	n, err := db.number(info.DurableName())
	if err != nil {
		return nil, err
	}
	if err := db.checkLayout(info); err != nil {
		return nil, err
	}
	env.table = table{engine: db.engine(info.InMemory), prefix: binary.BigEndian.AppendUint16(nil, n)}
	st, err := spec.build(&env)
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", info.Name, err)
	}
	return st, nil
}

// checkLayout compares the layout of the rows that are there with the descriptor's.
func (db *DB) checkLayout(info Info) error {
	e, key := db.engine(info.InMemory), metaKey('l', info.DurableName())
	was, ok, err := e.Get(nil, key)
	if err != nil {
		return fmt.Errorf("read layout of store %q: %w", info.Name, err)
	}
	if ok && string(was) == info.Layout {
		return nil
	}
	if ok && !info.Changelog {
		return fmt.Errorf("open store %q: its rows have the layout %q, the descriptor says %q, and there is no changelog to rebuild them from: "+
			"give the store another name", info.Name, was, info.Layout)
	}
	if ok {
		if err := db.Wipe(info); err != nil {
			return err
		}
	}
	b := e.NewBatch()
	if err := b.Put(key, []byte(info.Layout)); err != nil {
		return fmt.Errorf("write layout of store %q: %w", info.Name, err)
	}
	if err := e.Apply(b); err != nil {
		return fmt.Errorf("write layout of store %q: %w", info.Name, err)
	}
	return nil
}

func (db *DB) engine(inMemory bool) Engine {
	if inMemory {
		return db.mem
	}
	return db.disk
}

func (db *DB) number(name string) (uint16, error) {
	if n, ok := db.numbers[name]; ok {
		return n, nil
	}
	n := uint16(len(db.numbers) + 1)
	b := db.disk.NewBatch()
	if err := b.Put(metaKey('n', name), binary.BigEndian.AppendUint16(nil, n)); err != nil {
		return 0, fmt.Errorf("number store %q: %w", name, err)
	}
	if err := db.disk.Apply(b); err != nil {
		return 0, fmt.Errorf("number store %q: %w", name, err)
	}
	db.numbers[name] = n
	return n, nil
}

func metaKey(kind byte, name string) []byte { return append([]byte{0, 0, kind}, name...) }

// Checkpoint tells up to where the store's changelog is applied. ok is false if nothing is.
func (db *DB) Checkpoint(info Info) (c Checkpoint, ok bool, err error) {
	b, ok, err := db.engine(info.InMemory).Get(nil, metaKey('c', info.DurableName()))
	if err != nil || !ok {
		return Checkpoint{}, false, err
	}
	if err := c.decode(b); err != nil {
		return Checkpoint{}, false, fmt.Errorf("read checkpoint of store %q: %w", info.Name, err)
	}
	return c, true, nil
}

// Clocks returns what the last commit saved with SaveClocks, nil if none did.
func (db *DB) Clocks() ([]byte, error) {
	b, _, err := db.disk.Get(nil, []byte{0, 0, 'k'})
	return b, err
}

// Wipe removes all rows of a store and its checkpoint: it is empty and must be restored from the start of its changelog.
func (db *DB) Wipe(info Info) error {
	n, err := db.number(info.DurableName())
	if err != nil {
		return err
	}
	e := db.engine(info.InMemory)
	b := e.NewBatch()
	lo, hi := binary.BigEndian.AppendUint16(nil, n), binary.BigEndian.AppendUint16(nil, n+1)
	if err := b.DeleteRange(lo, hi); err != nil {
		return fmt.Errorf("wipe store %q: %w", info.Name, err)
	}
	if err := b.Delete(metaKey('c', info.DurableName())); err != nil {
		return fmt.Errorf("wipe store %q: %w", info.Name, err)
	}
	if err := wipePartitions(b, info.DurableName()); err != nil {
		return fmt.Errorf("wipe store %q: %w", info.Name, err)
	}
	if err := e.Apply(b); err != nil {
		return fmt.Errorf("wipe store %q: %w", info.Name, err)
	}
	return nil
}

// Begin starts a commit.
func (db *DB) Begin() *Commit {
	return &Commit{db: db, disk: db.disk.NewBatch(), mem: db.mem.NewBatch()}
}

// Flush makes what is applied durable on this machine's disk. Nothing depends on it but the length of the next restore.
func (db *DB) Flush() error { return db.disk.Flush() }

// Close flushes and releases the engines.
func (db *DB) Close() error {
	errDisk, errMem := db.disk.Close(), db.mem.Close()
	if errDisk != nil {
		return fmt.Errorf("close state: %w", errDisk)
	}
	return errMem
}

// A Commit collects what one commit of a task, or one step of a restore, writes to its DB.
type Commit struct {
	db        *DB
	disk, mem Batch
}

// Prepare lets the store write its dirty rows: changelog records to log (nil without a changelog), rows to the commit.
func (c *Commit) Prepare(st Store, log func(key, value []byte, timestampMs int64) error) error {
	return st.Prepare(&Writer{Changelog: log, batch: c.batch(st.Info())})
}

// Restore lets the store write one record of its changelog to the commit.
func (c *Commit) Restore(st Store, key, value []byte, timestampMs int64) error {
	return st.Restore(c.batch(st.Info()), key, value, timestampMs)
}

func (c *Commit) batch(info Info) Batch {
	if info.InMemory {
		return c.mem
	}
	return c.disk
}

// SaveCheckpoint notes up to where the commit brings the store's changelog.
func (c *Commit) SaveCheckpoint(info Info, cp Checkpoint) error {
	return c.batch(info).Put(metaKey('c', info.DurableName()), cp.encode(nil))
}

// SaveClocks keeps the task's encoding of its clocks.
func (c *Commit) SaveClocks(b []byte) error { return c.disk.Put([]byte{0, 0, 'k'}, b) }

// Size is the approximate number of bytes collected.
func (c *Commit) Size() int { return c.disk.Size() + c.mem.Size() }

// Apply makes the commit visible, atomically on each engine.
func (c *Commit) Apply() error {
	if err := c.db.mem.Apply(c.mem); err != nil {
		return fmt.Errorf("apply commit: %w", err)
	}
	if err := c.db.disk.Apply(c.disk); err != nil {
		return fmt.Errorf("apply commit: %w", err)
	}
	return nil
}

// Discard drops the commit.
func (c *Commit) Discard() {
	_, _ = c.disk.Discard(), c.mem.Discard()
}

// table is one store's part of an engine.
type table struct {
	engine Engine
	prefix []byte
}

func (t table) key(dst, key []byte) []byte { return append(append(dst, t.prefix...), key...) }
