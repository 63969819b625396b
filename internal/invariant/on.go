//go:build invariants

package invariant

// Enabled says whether failing checks panic, which is decided by the build tag "invariants".
const Enabled = true
