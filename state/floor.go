package state

// A floor is a bound of a store's keys: no row is below it. Reads that begin there need not pass what has left since the last commit, or since the engine
// has tidied up. It is empty where nothing is known, and undone with the rows.
type floor struct {
	key, before string
	touched     bool
	journal     *Journal
}

// raise moves the floor up to the key of the first row.
func (f *floor) raise(key string) {
	if key > f.key {
		f.set(key)
	}
}

// lower lets the floor be below a key that is put.
func (f *floor) lower(key []byte) {
	if string(key) < f.key {
		f.set(string(key))
	}
}

func (f *floor) set(key string) {
	if !f.touched {
		f.touched, f.before = true, f.key
		f.journal.touch(f)
	}
	f.key = key
}

func (f *floor) undo()    { f.key, f.touched = f.before, false }
func (f *floor) release() { f.touched = false }

// reset forgets it.
func (f *floor) reset() { f.key, f.touched = "", false }
