package invariant_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/internal/invariant"
)

func TestCheck_LetsATrueConditionPass(t *testing.T) {
	t.Parallel()
	require.NotPanics(t, func() { invariant.Check(true, "one is %d", 2) })
}

func TestCheck_PanicsOnlyWhereItIsEnabled(t *testing.T) {
	t.Parallel()
	violate := func() { invariant.Check(false, "offset %d went back to %d", 7, 3) }
	if !invariant.Enabled {
		require.NotPanics(t, violate)
		return
	}
	require.PanicsWithError(t, "invariant violated: offset 7 went back to 3", violate)
}

// Not parallel: it counts allocations, and those of other tests would count too.
func TestCheck_AllocatesNothingWhereItIsDisabled(t *testing.T) {
	if invariant.Enabled {
		t.Skip("enabled checks box their arguments")
	}
	offset, next := int64(1000), int64(2000)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		invariant.Check(offset <= next, "offset %d is past %d", offset, next)
		offset, next = offset+1, next+1
	}))
}
