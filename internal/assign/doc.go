// Package assign decides which member of an application runs which task. It is a pure function of the members and what they own: every leader that
// computes it comes to the same answer.
package assign
