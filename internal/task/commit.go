package task

import (
	"encoding/base64"
	"runtime/debug"
	"time"

	"github.com/weirstream/weir/internal/wire"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// An Offset is the position of one input, to be committed.
type Offset struct {
	Topic       string
	Partition   int32
	Offset      int64
	LeaderEpoch int32
	// Metadata goes with the offset: on the task's first input it carries its clocks.
	Metadata string
}

// A Commit is one commit of a task on its way.
type Commit struct {
	// Offsets are the positions of all inputs, changed or not.
	Offsets []Offset
	// Effects tells that records were produced since the last commit, the changelog's included. Without any, and with Moved, a plain offset
	// commit does.
	Effects bool
	// Moved tells that a position changed.
	Moved bool

	db *state.Commit
}

// Position is the offset that the commit brings a topic to; ok is false for one that the task does not read.
func (c *Commit) Position(topic string) (o Offset, ok bool) {
	for _, o := range c.Offsets {
		if o.Topic == topic {
			return o, true
		}
	}
	return o, false
}

// commitsClock numbers the task's commits, so that no two carry the same metadata: whoever does not know whether its commit came through can
// tell by asking for it.
const commitsClock = "commits"

// maxMetadata bounds the metadata of an offset: brokers take 4096 bytes. Larger clocks travel in the changelog.
const maxMetadata = 3000

// Prepare ends the interval: it produces one changelog record per row that changed and collects what a commit needs. Either Committed or
// Rollback must follow before anything else.
func (t *Task) Prepare() (c *Commit, err error) {
	defer func() {
		if v := recover(); v != nil { // a serde, at the encoding of a row
			err = t.errorf("commit: panic: %v\n%s", v, debug.Stack())
		}
	}()
	if t.broken != nil {
		return nil, t.broken
	}
	if err := t.sendHeld(); err != nil {
		return nil, err
	}
	c = &Commit{db: t.cfg.DB.Begin(), Effects: t.produced}
	var log topology.Output
	produce := func(key, value []byte, ts int64) error {
		o := log
		o.Key, o.Timestamp = t.arena.Copy(key), time.UnixMilli(ts).UTC()
		if value != nil {
			if o.Value = t.arena.Copy(value); o.Value == nil {
				o.Value = []byte{}
			}
		}
		c.Effects = true
		return t.cfg.Changelog(o)
	}
	for _, st := range t.stores {
		var sink func(key, value []byte, ts int64) error
		if info := st.Info(); info.Changelog && info.Source == "" {
			log = t.changelog(info)
			sink = produce
		}
		if err := c.db.Prepare(st, sink); err != nil {
			c.db.Discard()
			return nil, t.errorf("commit: %w", err)
		}
	}
	t.commits.Set(t.commits.Now() + 1)
	t.journal.Release() // the failure of the next record must not take the number back
	clocks := t.saveClocks()
	if err := c.db.SaveClocks(clocks); err != nil {
		c.db.Discard()
		return nil, t.errorf("commit: save clocks: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(clocks)
	if len(text) > maxMetadata {
		text = base64.StdEncoding.EncodeToString(wire.AppendClocks(nil, []wire.Clock{{Name: commitsClock, UnixMs: t.commits.Now()}}))
		if err := t.logClocks(c, clocks); err != nil {
			c.db.Discard()
			return nil, err
		}
	}
	for i, q := range t.queues {
		o := Offset{Topic: q.in.Topic, Partition: t.cfg.ID.Partition, Offset: q.position, LeaderEpoch: q.epoch}
		if i == 0 {
			o.Metadata = text
		}
		c.Moved = c.Moved || q.position != q.committed
		c.Offsets = append(c.Offsets, o)
	}
	return c, nil
}

// ClocksHeader marks the changelog record that carries clocks too large for the offset's metadata.
const ClocksHeader = "__weir.clocks"

func (t *Task) changelog(info state.Info) topology.Output {
	return topology.Output{Topic: topology.LogTopic(t.cfg.Application, info), Partition: t.cfg.ID.Partition}
}

// logClocks produces the clocks to the changelog of the first store whose changelog keeps the last record of a key for good, and that alone: one that is cut
// off by age may lose them, or keep those of every commit. If there is none, the first will have to do.
func (t *Task) logClocks(c *Commit, clocks []byte) error {
	var to *state.Info
	for _, st := range t.stores {
		if info := st.Info(); info.Changelog && info.Source == "" && (to == nil || to.Retention > 0 && info.Retention == 0) {
			to = &info
		}
	}
	if to == nil {
		return nil
	}
	o := t.changelog(*to)
	o.Key, o.Value, o.Timestamp = []byte(ClocksHeader), clocks, t.cfg.Now()
	o.Headers = []topology.Header{{Key: ClocksHeader}}
	if err := t.cfg.Changelog(o); err != nil {
		return t.errorf("commit: log clocks: %w", err)
	}
	c.Effects = true
	return nil
}

// DecodeMetadata returns the clocks that an offset's metadata carries, nil if it carries none.
func DecodeMetadata(text string) []byte {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil
	}
	return b
}

// Committed applies a commit that is durable in Kafka to the task's state. checkpoint returns the position in the topic that a store is restored from;
// ok is false where nothing new was logged. An error leaves the stores behind their changelogs: the task must be closed and restored.
func (t *Task) Committed(c *Commit, checkpoint func(store state.Info) (cp state.Checkpoint, ok bool)) error {
	for _, st := range t.stores {
		info := st.Info()
		if !info.Changelog {
			continue
		}
		if cp, ok := checkpoint(info); ok {
			if err := c.db.SaveCheckpoint(info, cp); err != nil {
				return t.errorf("commit: save checkpoint: %w", err)
			}
		}
	}
	if err := c.db.Apply(); err != nil {
		return t.errorf("%w", err)
	}
	for _, st := range t.stores {
		if err := st.Committed(); err != nil {
			return t.errorf("commit: %w", err)
		}
	}
	for _, q := range t.queues {
		q.committed = q.position
	}
	t.counters.commit()
	t.produced, t.wanted = false, false
	t.sticky++
	if t.sticky < 0 {
		t.sticky = 0
	}
	return nil
}

// CommitWanted tells that the task should be committed before the interval is over: user code asked for it, or the uncommitted rows have
// reached their share of memory.
func (t *Task) CommitWanted() bool {
	if t.wanted {
		return true
	}
	total := int64(0)
	for _, st := range t.stores {
		_, n := st.Pending()
		total += n
	}
	return t.cfg.DirtyBytes > 0 && total > t.cfg.DirtyBytes
}

// Uncommitted tells whether anything happened since the last commit.
func (t *Task) Uncommitted() bool {
	if t.produced {
		return true
	}
	for _, q := range t.queues {
		if q.position != q.committed {
			return true
		}
	}
	for _, st := range t.stores {
		if rows, _ := st.Pending(); rows > 0 {
			return true
		}
	}
	return false
}
