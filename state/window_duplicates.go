package state

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Duplicates makes a store of any number of rows per key and start, which are records with their times: a Fetch yields them by time and then in the
// order in which they came. Rows are written with Add; Get, Put and Delete, which mean one row, are refused.
func (s WindowSpec[K, V]) Duplicates() WindowSpec[K, V] { s.duplicates = true; return s }

// Add puts a row behind those of k that start at start. It needs a store declared with Duplicates.
func (s *WindowStore[K, V]) Add(k K, start time.Time, v V) error {
	ms := start.UnixMilli()
	switch {
	case s.broken != nil:
		return s.broken
	case !s.layout.numbered:
		return fmt.Errorf("add to store %q: it keeps one row per key and window start: use Put, or declare it with Duplicates", s.overlay.info.Name)
	case ms < 0:
		return fmt.Errorf("write store %q: time %v is before 1970", s.overlay.info.Name, start.UTC())
	}
	b, err := s.key.Append(binary.BigEndian.AppendUint64(s.buf[:0], uint64(s.layout.lead(ms))), k)
	if err != nil {
		return fmt.Errorf("encode key of store %q: %w", s.overlay.info.Name, err)
	}
	s.clock.Advance(ms)
	if ms < s.expired() {
		return nil
	}
	s.arrival.Set(s.arrival.Now() + 1)
	s.buf = appendArrival(b, ms, s.arrival.Now())
	return s.overlay.put(s.overlay.row(s.buf), v, ms)
}

// appendArrival ends an engine key, and a changelog's, of a store of duplicates: the start, and the number of the row by arrival. The number is part
// of the task's state, so that no number comes twice.
func appendArrival(dst []byte, start, arrival int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, uint64(start)), uint64(arrival))
}

// restoreAdded is Restore of a store of duplicates. The changelog's key is the engine's without the segment.
func (s *WindowStore[K, V]) restoreAdded(b Batch, logKey, row []byte) error {
	n := len(logKey) - 16
	if n < 0 {
		return fmt.Errorf("restore store %q: a key of %d bytes is too short", s.overlay.info.Name, len(logKey))
	}
	start, arrival := int64(binary.BigEndian.Uint64(logKey[n:])), int64(binary.BigEndian.Uint64(logKey[n+8:]))
	if start < 0 || arrival < 0 {
		return fmt.Errorf("restore store %q: a key has the start %d and the number %d: neither can be negative", s.overlay.info.Name, start, arrival)
	}
	s.clock.Advance(start)
	s.arrival.Advance(arrival)
	if start < s.expired() {
		return nil
	}
	s.buf = append(binary.BigEndian.AppendUint64(s.buf[:0], uint64(s.layout.lead(start))), logKey...)
	if row == nil {
		return s.overlay.restore(b, s.buf, nil, 0)
	}
	value, ts, err := s.overlay.split(row)
	if err != nil {
		return err
	}
	return s.overlay.restore(b, s.buf, value, ts)
}
