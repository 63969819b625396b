package serde_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
)

func TestUnavailable_IsFoundThroughWrappers(t *testing.T) {
	t.Parallel()
	cause := errors.New("no route")
	err := fmt.Errorf("decode order: %w", serde.Unavailable(cause))
	require.True(t, serde.IsUnavailable(err))
	require.ErrorIs(t, err, cause)
	require.EqualError(t, err, "decode order: reach service of serde: no route")
	require.True(t, serde.IsUnavailable(errors.Join(errors.New("other"), err)))
}

func TestIsUnavailable_IsFalseForOtherErrors(t *testing.T) {
	t.Parallel()
	require.False(t, serde.IsUnavailable(nil))
	require.False(t, serde.IsUnavailable(errors.New("unknown schema")))
}

func TestUnavailable_OfNilIsNil(t *testing.T) {
	t.Parallel()
	require.NoError(t, serde.Unavailable(nil))
}
