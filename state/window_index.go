package state

import (
	"github.com/weirstream/weir/serde"
)

// indexKey turns a row's engine key into that of the time index.
func (s *WindowStore[K, V]) indexKey(b []byte) []byte {
	key, start, err := s.layout.split(b)
	if err != nil {
		return nil
	}
	s.indexBuf = s.layout.byTime().key(s.indexBuf[:0], key, start)
	return s.indexBuf
}

// yieldIndexed yields the rows of a range of the time index.
func (s *WindowStore[K, V]) yieldIndexed(lo, hi []byte, yield func(Entry[serde.Windowed[K], V], error) bool) {
	for b, err := range s.index.scan(lo, hi, false) {
		var e Entry[serde.Windowed[K], V]
		if err == nil {
			var has bool
			if e, has, err = s.indexed(b); err == nil && !has {
				continue
			}
		}
		if !yield(e, err) || err != nil {
			return
		}
	}
}

// indexed returns the row that a key of the time index stands for.
func (s *WindowStore[K, V]) indexed(b []byte) (e Entry[serde.Windowed[K], V], ok bool, err error) {
	key, start, err := s.layout.byTime().split(b)
	if err != nil {
		return e, false, err
	}
	s.buf = s.layout.key(s.buf[:0], key, start)
	r, err := s.overlay.find(s.buf)
	if err != nil || r.state != present {
		return e, false, err
	}
	if e.Key, err = s.windowed(key, start); err != nil {
		return e, false, err
	}
	e.Value, err = s.overlay.read(r)
	e.Timestamp = fromMs(r.ts)
	return e, err == nil, err
}
