package state

// A Journal makes the writes of one source record undoable. The stores and clocks of a task share one. The task calls
// Release when the record went through and Undo when it failed.
type Journal struct {
	touched []undoer
	broken  error
}

// An undoer has changed since the last Release or Undo.
type undoer interface {
	undo()
	release()
}

func (j *Journal) touch(u undoer) { j.touched = append(j.touched, u) }

// Release accepts what changed since the last call of Release or Undo.
func (j *Journal) Release() {
	for _, u := range j.touched {
		u.release()
	}
	j.touched = j.touched[:0]
}

// Broken is the first error that the engine of a store has given since the last Undo, nil if none did. It is for the task: user code that
// swallows such an error must not make the record pass.
func (j *Journal) Broken() error { return j.broken }

func (j *Journal) fail(err error) error {
	if j.broken == nil {
		j.broken = err
	}
	return err
}

// Undo takes back what changed since the last call of Release or Undo.
func (j *Journal) Undo() {
	for _, u := range j.touched {
		u.undo()
	}
	j.touched, j.broken = j.touched[:0], nil
}

// NoTime is the reading of a clock that nothing has advanced yet.
const NoTime int64 = -1

// A Clock is an observed stream time, in Unix milliseconds: the largest timestamp that its owner has seen. It is part of the
// task's state, committed with it: a restarted task decides about late records as if it had not stopped.
type Clock struct {
	now     int64
	before  int64
	touched bool
	journal *Journal
}

// NewClock returns a clock that stands at NoTime and is undone with j.
func NewClock(j *Journal) *Clock { return &Clock{now: NoTime, journal: j} }

// Now is the clock's reading, NoTime at first.
func (c *Clock) Now() int64 { return c.now }

// Advance moves the clock to ms if that is later than its reading, and returns the reading.
func (c *Clock) Advance(ms int64) int64 {
	if ms > c.now {
		c.Set(ms)
	}
	return c.now
}

// Set moves the clock to ms, backwards too.
func (c *Clock) Set(ms int64) {
	if !c.touched {
		c.touched, c.before = true, c.now
		c.journal.touch(c)
	}
	c.now = ms
}

func (c *Clock) undo()    { c.now, c.touched = c.before, false }
func (c *Clock) release() { c.touched = false }

// A Counter counts events of a task: records dropped, for example. What a failed record counted is taken back with it.
type Counter struct {
	n, before int64
	touched   bool
	journal   *Journal
}

// NewCounter returns a counter that stands at 0 and is undone with j.
func NewCounter(j *Journal) *Counter { return &Counter{journal: j} }

// Add counts n events.
func (c *Counter) Add(n int64) {
	if !c.touched {
		c.touched, c.before = true, c.n
		c.journal.touch(c)
	}
	c.n += n
}

// Value is the number of events counted.
func (c *Counter) Value() int64 { return c.n }

// Set puts the counter to n, for good: nothing undoes it.
func (c *Counter) Set(n int64) { c.n, c.before = n, n }

func (c *Counter) undo()    { c.n, c.touched = c.before, false }
func (c *Counter) release() { c.touched = false }
