package state

import "time"

// A hold keeps rows beyond the retention of their store: those with times from its clock on. Without a reading it keeps none. What a record moves is
// undone with it.
type hold struct{ clock *Clock }

// from moves the hold. A store that is not open has none.
func (h hold) from(t time.Time) {
	if h.clock != nil {
		h.clock.Set(max(t.UnixMilli(), 0))
	}
}

// least is the smallest time to be kept, where the retention ends at ms.
func (h hold) least(ms int64) int64 {
	if h.clock.Now() == NoTime {
		return ms
	}
	return min(ms, h.clock.Now())
}
