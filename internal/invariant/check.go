package invariant

import "fmt"

// Check panics with an error made from format and args if cond is false and the checks are enabled. Otherwise it does
// nothing.
//
// The arguments are evaluated in every build. A condition that takes work to find out belongs into a block of its
// own, which the compiler drops where the checks are disabled:
//
//	if invariant.Enabled {
//		invariant.Check(sorted(keys), "keys are out of order: %q", keys)
//	}
func Check(cond bool, format string, args ...any) {
	if Enabled && !cond {
		panic(fmt.Errorf("invariant violated: %w", fmt.Errorf(format, args...)))
	}
}
