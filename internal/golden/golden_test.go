package golden

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A stand-in for a test that fails.
type stand struct {
	testing.TB
	said string
}

type stopped struct{}

func (s *stand) Errorf(format string, args ...any) { s.said += fmt.Sprintf(format, args...) }
func (s *stand) FailNow()                          { panic(stopped{}) }

// failure returns what a comparison says when it fails, and nothing if it passes.
func failure(t *testing.T, path, got string, update bool) string {
	t.Helper()
	s := &stand{TB: t}
	func() {
		defer func() {
			if v := recover(); v != nil && v != (stopped{}) {
				panic(v)
			}
		}()
		equal(s, path, got, update)
	}()
	return s.said
}

func TestEqual_ComparesEveryByte(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sub", "a.txt")
	require.Empty(t, failure(t, path, "one\n", true))
	require.Empty(t, failure(t, path, "one\n", false))
	require.Contains(t, failure(t, path, "one", false), "-update")
	require.Empty(t, failure(t, path, "two\n", true))
	require.Empty(t, failure(t, path, "two\n", false))
}

func TestEqual_NamesAMissingFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.txt")
	said := failure(t, path, "one", false)
	require.Contains(t, said, path)
	require.Contains(t, said, "-update")
}

func TestEqual_StopsAtAFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, failure(t, t.TempDir(), "one", false))
}

func TestEqual_LeavesAFileThatIsEqual(t *testing.T) {
	t.Parallel()
	Equal(t, filepath.Join("testdata", "equal.txt"), "as it is\n")
}
