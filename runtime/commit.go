package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/task"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// offset is the position of one input, to be committed.
type offset struct {
	Topic string
	task.Offset
}

// prepared is a task with its commit on the way.
type prepared struct {
	r    *running
	c    *task.Commit
	ends map[string]ended // of the changelogs, by store
}

// Points of a commit at which a test may end the process.
const (
	pointBeforeFlush = "before-flush"
	pointBeforeEnd   = "before-end"
	pointAfterEnd    = "after-end"
	pointBetween     = "between-batches"
)

// commit makes durable what the worker's tasks have done since the last one: see the package's comment for the steps. While the group
// is joining it does nothing, unless force says that now is the time: the generation to commit under is not known before the join is over.
//
// A nil result means committed, or aborted and rolled back: either way all goes on. An error stops the application.
func (w *worker) commit(force bool) error {
	if w.failed || w.app.joining.Load() && !force {
		return nil
	}
	w.lastCommit = time.Now()
	// Without transactions what is produced from here on cannot be taken back: changelog records of an instance that has lost its partitions would land
	// behind those of their new owner.
	if w.prod.id == "" && slices.ContainsFunc(w.tasks, func(r *running) bool { return r.task.Uncommitted() }) {
		if _, _, err := w.membership(); err != nil {
			return w.abort(err)
		}
	}
	var tasks []prepared
	effects, moved := false, false
	for _, r := range w.tasks {
		if !r.task.Uncommitted() {
			continue
		}
		c, err := r.task.Prepare()
		if err != nil {
			w.failed = true // some of the tasks are between two states
			return err
		}
		tasks = append(tasks, prepared{r, c, map[string]ended{}})
		effects, moved = effects || c.Effects, moved || c.Moved
	}
	if len(tasks) == 0 {
		return nil
	}
	w.busy.Store(true)
	defer w.busy.Store(false)
	ctx, cancel := context.WithTimeout(w.app.io, w.app.cfg.RequestTimeout)
	defer cancel()
	unknown, err := false, error(nil)
	switch {
	case effects && w.prod.id != "":
		unknown, err = w.commitTransaction(ctx, tasks)
	case effects || moved:
		unknown, err = w.commitOffsets(ctx, tasks)
	}
	if err == nil {
		err = w.apply(tasks)
	} else {
		err = w.recover(tasks, unknown, err)
	}
	w.failed = w.failed || err != nil
	return err
}

func (w *worker) commitTransaction(ctx context.Context, tasks []prepared) (unknown bool, err error) {
	w.app.hook(pointBeforeFlush)
	if err := w.prod.flush(ctx); err != nil {
		return false, err
	}
	w.collectEnds(tasks)
	for {
		member, generation, err := w.membership()
		if err != nil {
			return false, err
		}
		err = w.prod.sendOffsets(ctx, w.app.cfg.ApplicationID, member, generation, offsetsOf(tasks))
		if err == nil {
			break
		}
		// Between a join and its end the generation changes under us. The transaction is not harmed: the partitions are still ours, since the
		// callback that takes them waits for this worker; membership tells if it waits no more.
		if _, now := w.app.consumer.GroupMetadata(); classify(err) == rejoin && now != generation && now >= 0 {
			continue
		}
		if classify(err) != retry || !sleep(ctx, 10*time.Millisecond) {
			return false, err
		}
	}
	w.app.hook(pointBeforeEnd)
	unknown, err = w.prod.commit(ctx)
	if err == nil {
		w.app.hook(pointAfterEnd)
	}
	return unknown, err
}

// membership is what offsets are committed under. The broker checks member and generation, never who owns a partition; so this instance must:
//
//   - The member must be the one that was last assigned something. Another id means that the group had given this instance up: others may have
//     had its partitions since.
//   - The callback that gives partitions back must not have stopped waiting for this worker. The order matters: the generation is read first, so
//     that a commit which passes the check and is overtaken carries one that the broker refuses.
//
// Without a member and a generation a commit would pass unchecked.
func (w *worker) membership() (member string, generation int32, err error) {
	member, generation = w.app.consumer.GroupMetadata()
	if generation < 0 || member == "" || member != w.app.group.confirmed() {
		return "", -1, fmt.Errorf("commit: the instance is not in the group any more: %w", kerr.UnknownMemberID)
	}
	if w.void.Load() {
		return "", -1, fmt.Errorf("commit: the instance has not waited for worker %d: %w", w.index, kerr.UnknownMemberID)
	}
	return member, generation, nil
}

// collectEnds reads the changelog positions that the flush has settled, before the producer forgets them.
func (w *worker) collectEnds(tasks []prepared) {
	for _, p := range tasks {
		for _, st := range p.r.task.Stores() {
			info := st.Info()
			if info.Source != "" {
				if at, ok := p.c.Position(info.Source); ok {
					p.ends[info.DurableName()] = ended{at.Offset, at.LeaderEpoch}
				}
			} else if e, ok := w.prod.end(topology.LogTopic(w.app.cfg.ApplicationID, info), p.r.id.Partition); ok {
				p.ends[info.DurableName()] = e
			}
		}
	}
}

// commitOffsets commits without a transaction: at-least-once, or where nothing was produced. unknown tells that the commit may have arrived.
func (w *worker) commitOffsets(ctx context.Context, tasks []prepared) (unknown bool, err error) {
	w.app.hook(pointBeforeFlush)
	if err := w.settle(ctx); err != nil {
		return false, fmt.Errorf("%w: %w", errUnsettled, err)
	}
	w.collectEnds(tasks)
	if w.prod.id == "" {
		w.prod.reset()
	}
	w.app.hook(pointBeforeEnd)
	for {
		member, generation, err := w.membership()
		if err != nil {
			return unknown, err
		}
		err = w.sendCommit(ctx, w.offsetCommit(tasks, member, generation))
		if err == nil {
			w.app.hook(pointAfterEnd)
			return false, nil
		}
		unknown = true // an answer may have been lost before this one
		if classify(err) != retry || !sleep(ctx, 10*time.Millisecond) {
			return true, err
		}
	}
}

// errUnsettled says that nobody knows which of the records that were produced the broker has.
var errUnsettled = errors.New("what was produced is not settled")

// settle returns when the broker has all records. Without a transaction what was produced cannot be taken back, so it is waited for as long as it takes.
func (w *worker) settle(ctx context.Context) error {
	if w.prod.id != "" {
		return w.prod.flush(ctx)
	}
	for {
		err := w.prod.flush(ctx)
		if err == nil || w.prod.refused() != nil || w.app.io.Err() != nil || w.app.stopping.Load() {
			return err
		}
		w.log.Warn("the broker does not take what was produced, waiting for it", "err", err)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(w.app.io, w.app.cfg.RequestTimeout)
		defer cancel()
	}
}

func (w *worker) offsetCommit(tasks []prepared, member string, generation int32) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.MemberID = w.app.cfg.ApplicationID, generation, member
	for _, o := range offsetsOf(tasks) {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic = o.Topic
		part := kmsg.NewOffsetCommitRequestTopicPartition()
		part.Partition, part.Offset, part.LeaderEpoch, part.Metadata = o.Partition, o.Offset.Offset, o.LeaderEpoch, &o.Metadata
		t.Partitions = append(t.Partitions, part)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func (w *worker) sendCommit(ctx context.Context, req *kmsg.OffsetCommitRequest) error {
	resp, err := req.RequestWith(ctx, w.app.cluster.client)
	if err != nil {
		return fmt.Errorf("commit offsets of group %q: %w", req.Group, err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("commit offset of topic %q partition %d in group %q: %w", t.Topic, p.Partition, req.Group, err)
			}
		}
	}
	return nil
}

func offsetsOf(tasks []prepared) []offset {
	var out []offset
	for _, p := range tasks {
		for _, o := range p.c.Offsets {
			out = append(out, offset{o.Topic, o})
		}
	}
	return out
}

// apply writes what is committed to the tasks' stores.
func (w *worker) apply(tasks []prepared) error {
	now := time.Now()
	if now.Sub(w.lastApplied) < w.app.cfg.TransactionTimeout/4 {
		w.careful = false
	}
	w.lastApplied = now
	w.app.stats.commit()
	for i, p := range tasks {
		if i > 0 {
			w.app.hook(pointBetween)
		}
		ends := maps.Clone(p.r.ends)
		maps.Copy(ends, p.ends)
		err := p.r.task.Committed(p.c, func(store state.Info) (state.Checkpoint, bool) {
			e, ok := ends[store.DurableName()]
			return w.app.checkpoint(topology.LogTopic(w.app.cfg.ApplicationID, store), e, now), ok
		})
		if err != nil {
			return fmt.Errorf("apply what is committed: the state will be restored from the changelog at the next start: %w", err)
		}
		p.r.ends = ends
		w.app.stats.committed(p.r.id, p.c, p.r.task.Counts())
	}
	if now.Sub(w.lastFlush) < w.app.cfg.FlushInterval {
		return nil
	}
	w.lastFlush = now
	for _, r := range w.tasks {
		if err := r.db.Flush(); err != nil {
			return fmt.Errorf("flush state of task %v: %w", r.id, err)
		}
	}
	return nil
}

// recover brings the worker back to its last commit behind one that failed. If nobody knows whether it was committed, the offsets in the group tell: they
// are as sent, or as before.
//
// Without transactions the changelogs hold what was produced, whatever became of the offsets: the stores follow them, and records are processed again
// on top. That is what at least once means. If not even the records are known to be there, the instance stops: a restart restores from the log.
func (w *worker) recover(tasks []prepared, unknown bool, cause error) error {
	atLeastOnce := w.prod.id == ""
	switch {
	case atLeastOnce && errors.Is(cause, errUnsettled):
		return cause
	case !unknown && !atLeastOnce:
		return w.abortOrStop(cause)
	}
	w.log.Warn("a commit's outcome is unknown, asking the group", "err", cause)
	done := false
	err := w.insist("find out whether a commit came through", func(ctx context.Context) (err error) {
		if w.prod.open {
			if err = w.replaceProducer(ctx); err != nil {
				return err
			}
		}
		done, err = w.wasCommitted(ctx, tasks)
		return err
	})
	switch {
	case err != nil:
		return err
	case done:
		return w.apply(tasks)
	case atLeastOnce:
		if _, _, lost := w.membership(); lost != nil {
			break // others may have written behind us: the stores must not step over that
		}
		if err := w.apply(tasks); err != nil {
			return err
		}
	}
	return w.abortOrStop(cause)
}

// abortOrStop aborts. A cause that would only come again is returned, which stops the application.
func (w *worker) abortOrStop(cause error) error {
	err := w.abort(cause)
	if classify(cause) == fatal {
		return errors.Join(cause, err)
	}
	return err
}

// wasCommitted tells whether the group's offsets are those of the commit.
func (w *worker) wasCommitted(ctx context.Context, tasks []prepared) (bool, error) {
	for _, p := range tasks {
		topics := map[string][]int32{}
		for _, o := range p.c.Offsets {
			topics[o.Topic] = []int32{o.Partition}
		}
		at, err := w.app.cluster.committed(ctx, topics)
		if err != nil {
			return false, err
		}
		for _, o := range p.c.Offsets {
			c, ok := at[o.Topic][o.Partition]
			if !ok || c.At != o.Offset || c.Metadata != o.Metadata {
				return false, nil
			}
		}
	}
	return true, nil
}

// abort takes the worker back to its last commit: the transaction is aborted, the tasks are wired anew, the consumer goes back.
func (w *worker) abort(cause error) error {
	w.log.Warn("rolling back to the last commit", "err", cause)
	w.careful = true
	w.app.stats.aborted()
	w.busy.Store(true)
	defer w.busy.Store(false)
	replace := classify(cause) == fenced
	return w.insist("roll back", func(ctx context.Context) error {
		if replace = replace || w.prod.abort(ctx) != nil; replace {
			if err := w.replaceProducer(ctx); err != nil {
				return err
			}
			replace = false
		}
		return w.rollback(ctx)
	})
}

// insist runs f again and again while it is the cluster that does not answer, each time for RequestTimeout at most, until the application stops. f must
// bear to be run again.
func (w *worker) insist(what string, f func(ctx context.Context) error) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		ctx, cancel := context.WithTimeout(w.app.io, w.app.cfg.RequestTimeout)
		err := f(ctx)
		cancel()
		if err == nil {
			return nil
		}
		if c := classify(err); c != retry && c != abort || w.app.stopping.Load() {
			return fmt.Errorf("%s: %w", what, err)
		}
		w.log.Warn(what+", trying again", "err", err)
		if !sleep(w.app.io, wait) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// replaceProducer makes a new producer with the same id: that aborts the transaction that the old one may have left open.
func (w *worker) replaceProducer(ctx context.Context) error {
	w.prod.close()
	p, err := newProducer(ctx, w.app.io, w.app.cfg, w.index, w.app.dir.processID)
	if err != nil {
		return fmt.Errorf("replace the producer of worker %d: %w", w.index, err)
	}
	w.prod = p
	return nil
}

// rollback wires the tasks anew, from the offsets and clocks that the group has.
func (w *worker) rollback(ctx context.Context) error {
	for _, r := range w.tasks {
		at, err := w.app.positions(ctx, r.id, r.inputs)
		if err != nil {
			return fmt.Errorf("roll back task %v: %w", r.id, err)
		}
		r.epoch++
		for _, in := range r.inputs {
			in.buffered.Add(-in.queued)
			in.queued = 0
		}
		if err := r.task.Rollback(at.offsets, at.clocks); err != nil {
			return fmt.Errorf("roll back: %w", err)
		}
		w.app.rewind(r, at.offsets)
		w.app.rolledBack(r.id, at.offsets)
	}
	return nil
}
