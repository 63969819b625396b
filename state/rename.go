package state

// A renamed store has two names: Name, by which code, descriptions and tests know it, and its durable name, under which its changelog, its rows
// on disk, its checkpoint and its clocks go on. Topics cannot be renamed, and need not be.

// durable is the name of everything that outlives the program.
func (s settings) durable() string {
	if s.renamedFrom != "" {
		return s.renamedFrom
	}
	return s.name
}

// DurableName is the name of the store's changelog, rows, checkpoint and clocks: Name, unless the store was renamed.
func (i Info) DurableName() string {
	if i.RenamedFrom != "" {
		return i.RenamedFrom
	}
	return i.Name
}

<<<<<<< HEAD
// RenamedFrom gives the store its name in code, descriptions and tests only: its changelog and its rows on disk are those of the store that was called
=======
// DurableName is the name by which the names of the join's stores and clocks begin: Name, unless the join was renamed.
func (s JoinSpec[K, L, R]) DurableName() string { return s.durable() }

// RenamedFrom gives the store its name in code, descriptions and queries only: its changelog and its rows on disk are those of the store that was called
>>>>>>> main
// old before, and go on under that name. A store that is renamed once more keeps naming the first. old must not be in use by another store.
func (s KeyValueSpec[K, V]) RenamedFrom(old string) KeyValueSpec[K, V] {
	s.renamedFrom = old
	return s
}

// RenamedFrom goes on with the state of the store that was called old before: see KeyValueSpec.RenamedFrom.
func (s WindowSpec[K, V]) RenamedFrom(old string) WindowSpec[K, V] {
	s.renamedFrom = old
	return s
}

// RenamedFrom goes on with the state of the store that was called old before: see KeyValueSpec.RenamedFrom.
func (s JoinBufferSpec[K, V]) RenamedFrom(old string) JoinBufferSpec[K, V] {
	s.renamedFrom = old
	return s
}

// RenamedFrom goes on with the state of the store that was called old before: see KeyValueSpec.RenamedFrom.
func (s VersionedSpec[K, V]) RenamedFrom(old string) VersionedSpec[K, V] {
	s.renamedFrom = old
	return s
}

// RenamedFrom goes on with the state of the store that was called old before: see KeyValueSpec.RenamedFrom.
func (s LRUSpec[K, V]) RenamedFrom(old string) LRUSpec[K, V] {
	s.renamedFrom = old
	return s
}

// RenamedFrom goes on with the state of the store that was called old before: see KeyValueSpec.RenamedFrom.
func (s SessionSpec[K, V]) RenamedFrom(old string) SessionSpec[K, V] {
	s.renamedFrom = old
	return s
}

// RenamedFrom goes on with the state of the join that was called old before: see KeyValueSpec.RenamedFrom.
func (s JoinSpec[K, L, R]) RenamedFrom(old string) JoinSpec[K, L, R] {
	s.renamedFrom = old
	return s
}

// RenamedFrom goes on with the state of the store that was called old before: see KeyValueSpec.RenamedFrom.
func (s BufferSpec[K, V]) RenamedFrom(old string) BufferSpec[K, V] {
	s.renamedFrom = old
	return s
}
