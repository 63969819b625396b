package stream

import (
	"fmt"
	"time"
)

// Sliding windows are those that records begin and end: [t-Difference, t] for each record's time t, and [t+1ms, t+1ms+Difference] if there is a
// record in it. Both bounds are part of a window. Records of a key are in a window together if they are no more than Difference apart; each set of such
// records is one window, in which the window's time is that of its last record. Records of the first Difference after 1970 share the
// window [0, Difference].
//
// A record without a value is dropped, counted, whether its type is nullable or not. An ErrSkip of TryAggregate leaves the window at hand as it is.
type Sliding struct {
	// Difference is the length of a window, the largest distance of two records in it.
	Difference time.Duration
	// Grace is how long, in stream time behind its end, a window still takes records. None means that it closes behind its end.
	Grace time.Duration
}

func (w Sliding) windowing() (windowing, error) {
	for _, s := range []span{{"Difference", w.Difference, 1, longest}, {"Grace", w.Grace, 0, longest}} {
		if s.wrong() {
			return windowing{}, fmt.Errorf("%s is %v: use whole milliseconds; Difference above 0, Grace not negative", s.name, s.value)
		}
	}
	return windowing{
		sizeMs: w.Difference.Milliseconds(), graceMs: w.Grace.Milliseconds(), sliding: true,
		// A record that is just in time may need the window that ended Difference before it, which starts yet another Difference earlier.
		retention: 2*w.Difference + w.Grace + time.Millisecond,
	}, nil
}
