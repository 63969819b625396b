// Package clock is the one way to the wall clock. Code that needs the time, or needs to wait, takes a Clock: the
// runtime hands it Real, a test hands it a Manual clock and decides when time passes.
package clock
