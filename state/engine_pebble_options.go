package state

import (
	"errors"
	"math"
	goruntime "runtime"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// A PebbleShared is what all databases of a process share: one cache of blocks, and one of open files. It is safe for
// concurrent use.
type PebbleShared struct {
	mu     sync.Mutex
	blocks *pebble.Cache // nil once closed
	files  *pebble.FileCache
}

const (
	minCacheBytes = 1 << 20
	minOpenFiles  = 16
)

// NewPebbleShared returns a cache of cacheBytes bytes of blocks and openFiles open files, for PebbleOptions. Less
// than 1 MiB or 16 files is raised to that. It must be closed. With cgo the bytes are not on the Go heap: the garbage
// collector's memory limit does not count them.
func NewPebbleShared(cacheBytes int64, openFiles int) *PebbleShared {
	openFiles = max(openFiles, minOpenFiles)
	return &PebbleShared{
		blocks: pebble.NewCache(max(cacheBytes, minCacheBytes)),
		files:  pebble.NewFileCache(min(goruntime.GOMAXPROCS(0), openFiles), openFiles),
	}
}

// Close gives the caches up. Databases that are open keep them until they are closed too. No other can be opened.
func (s *PebbleShared) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blocks != nil {
		s.blocks.Unref()
		s.files.Unref()
		s.blocks, s.files = nil, nil
	}
	return nil
}

// lend puts the caches into the options, held until giveBack.
func (s *PebbleShared) lend(o *pebble.Options) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blocks == nil {
		return errors.New("the shared caches are closed")
	}
	s.blocks.Ref()
	s.files.Ref()
	o.Cache, o.FileCache = s.blocks, s.files
	return nil
}

func (s *PebbleShared) giveBack(o *pebble.Options) {
	o.Cache.Unref()
	o.FileCache.Unref()
}

func (e *pebbleEngine) options(o *PebbleOptions) *pebble.Options {
	progress := func() {
		select {
		case e.progress <- struct{}{}:
		default:
		}
	}
	po := &pebble.Options{
		FS:                 failStopFS{FS: o.fs, fault: e.fault},
		Lock:               e.lock,
		Logger:             e.fault,
		DisableWAL:         true,
		FormatMajorVersion: pebble.FormatNewest,

		MemTableSize:               o.MemTableBytes,
		L0CompactionThreshold:      4,
		LBaseMaxBytes:              64 << 20,
		MaxOpenFiles:               1000,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },

		// Never reached: waitForRoom holds writers back.
		MemTableStopWritesThreshold: math.MaxInt32 / 2,
		L0StopWritesThreshold:       math.MaxInt32 / 2,

		// Called with Pebble's locks held: they must not call back nor wait.
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				if !errors.Is(err, pebble.ErrCancelledCompaction) { // that is Drop at work; they start again
					e.fault.fail(err)
				}
			},
			DataCorruption: func(i pebble.DataCorruptionInfo) { e.fault.fail(i.Details) },
			FlushEnd:       func(pebble.FlushInfo) { progress() },
			CompactionEnd:  func(pebble.CompactionInfo) { progress() },
		},
	}
	for i := range po.Levels {
		po.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		po.Levels[i].BlockSize = 16 << 10
	}
	po.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	return po
}
