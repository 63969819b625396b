package stream

import "errors"

// A SourceLog is the option that SourceIsChangelog makes.
type SourceLog struct{}

func (SourceLog) sourceTableOption(s *settings) { s.sourceLog = true }

// SourceIsChangelog lets the topic that a table is read from serve as the changelog of its store: there is no second copy of it on the cluster, and a
// restore reads the topic up to where the task goes on. The topic must be compacted, which the start checks, and what cannot be decoded must stop
// the application: Build refuses policies that let such records pass, TimestampFrom and StartFrom. Processors may read the store, and must not write it.
//
// A row whose last record lies behind the position of the task, while compaction has taken the one before, is missing after a restore until that record
// is processed.
func SourceIsChangelog() SourceLog { return SourceLog{} }

var errUnlogged = errors.New("the store is declared WithoutChangelog, and SourceIsChangelog gives it one: leave one of the two out")
