package runtime

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A State is where an application stands.
//
//	Created -> Starting -> Rebalancing <-> Running
//	              |             |            |
//	              +-------------+------------+--> Stopping -> Stopped
//	                                                   |
//	                                                   +-----> Failed
type State uint8

const (
	// Created has not run yet.
	Created State = iota
	// Starting waits for a broker, checks the cluster, creates internal topics and loads global tables.
	Starting
	// Rebalancing waits for its tasks, or restores some. Tasks that it has run on.
	Rebalancing
	// Running runs all its tasks.
	Running
	// Stopping commits and gives its tasks up.
	Stopping
	// Stopped has ended without an error.
	Stopped
	// Failed has ended with the error that Run returned.
	Failed
)

var stateNames = []string{"created", "starting", "rebalancing", "running", "stopping", "stopped", "failed"}

// String is the state in a word.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

var transitions = map[State][]State{
	Created:     {Starting},
	Starting:    {Rebalancing, Stopping},
	Rebalancing: {Running, Stopping},
	Running:     {Rebalancing, Stopping},
	Stopping:    {Stopped, Failed},
}

// stateMachine holds a State and tells of its changes.
type stateMachine struct {
	mu     sync.Mutex // held while the listener runs, which may read the state
	state  atomic.Uint32
	listen func(from, to State)
}

func (m *stateMachine) get() State { return State(m.state.Load()) }

// to changes the state, if there is a way from the present one.
func (m *stateMachine) to(next State) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := m.get()
	if !slices.Contains(transitions[from], next) {
		return false
	}
	m.state.Store(uint32(next))
	if m.listen != nil {
		m.listen(from, next)
	}
	return true
}
