// Package invariant states what must be true wherever the program is, whatever its input: a check that fails is an
// error in the program itself. The checks cost nothing in a normal build. Under the build tag "invariants", which the
// checks before a change carry, a failing one panics.
//
// A condition that input, a disk or a broker can break is no invariant: it returns an error, in every build.
package invariant
