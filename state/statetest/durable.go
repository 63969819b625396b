package statetest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/state"
)

// RunDurableEngine runs, as subtests of t, the tests of an engine that keeps its rows in a directory: what must be
// there when it is opened again, after Close and after a crash. open opens the engine in dir, which is empty at
// first.
//
// For the crash the test binary runs itself again, for the subtest alone, and kills that process. An engine with
// little memory, which writes files all the time, is the harder test.
func RunDurableEngine(t *testing.T, open func(t *testing.T, dir string) state.Engine) {
	t.Helper()
	t.Run("KeepsEverythingOverClose", func(t *testing.T) {
		t.Parallel()
		testReopen(t, open)
	})
	t.Run("LosesOnlyTheLastBatchesInACrash", func(t *testing.T) {
		if dir := os.Getenv(crashDirVariable); dir != "" {
			writeUntilKilled(t, open(t, dir))
		}
		t.Parallel()
		testCrash(t, open)
	})
}

func testReopen(t *testing.T, open func(t *testing.T, dir string) state.Engine) {
	dir := t.TempDir()
	var want []string
	for round := range 4 {
		e := open(t, dir)
		require.Equal(t, append([]string{}, want...), all(t, e))
		put(t, e, "a=1", "b=1", fmt.Sprintf("c=%d", round))
		switch round {
		case 1:
			require.NoError(t, e.Flush())
			put(t, e, "flushed=1")
		case 2:
			require.NoError(t, e.Drop([]byte("b"), []byte("c")))
			require.NoError(t, e.Drop([]byte("flushed"), nil))
		case 3:
			apply(t, e, func(b state.Batch) { require.NoError(t, b.DeleteRange([]byte("a"), []byte("c"))) })
		}
		want = all(t, e)
		require.NoError(t, e.Close())
	}
	require.Equal(t, []string{"c=3"}, want)
	e := open(t, dir)
	require.Equal(t, want, all(t, e))
	require.NoError(t, e.Close())
}

// The process to be killed applies the batches 1, 2, 3 and so on. Batch n puts the counter and crashShared rows to n,
// puts crashOwn rows of its own, and deletes the own rows of batch n-crashKept. So the rows tell exactly which batch
// was the last one, and any batch that is there in part shows.
const (
	crashDirVariable = "WEIR_STATETEST_CRASH_DIR"
	crashShared      = 25
	crashOwn         = 25
	crashKept        = 100
)

func writeUntilKilled(t *testing.T, e state.Engine) {
	for n := readCounter(t, e) + 1; ; n++ {
		apply(t, e, func(b state.Batch) {
			value := fmt.Appendf(nil, "%d", n)
			require.NoError(t, b.Put([]byte("counter"), value))
			for i := range crashShared {
				require.NoError(t, b.Put(fmt.Appendf(nil, "shared %02d", i), value))
			}
			if n > crashKept {
				require.NoError(t, b.DeleteRange(ownKey(n-crashKept, 0), ownKey(n-crashKept+1, 0)))
			}
			for i := range crashOwn {
				require.NoError(t, b.Put(ownKey(n, i), append(value, bytes.Repeat([]byte{' '}, 100)...)))
			}
		})
		fmt.Println("applied", n)
		if n%300 == 0 {
			require.NoError(t, e.Flush())
			fmt.Println("flushed", n)
		}
	}
}

func ownKey(batch, i int) []byte { return fmt.Appendf(nil, "own %08d %02d", batch, i) }

func readCounter(t *testing.T, e state.Engine) int {
	v, ok, err := e.Get(nil, []byte("counter"))
	require.NoError(t, err)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(string(v))
	require.NoError(t, err)
	return n
}

func testCrash(t *testing.T, open func(t *testing.T, dir string) state.Engine) {
	dir := t.TempDir()
	for round, batches := range []int{20, 517, 1000, 301} {
		applied, flushed := crash(t, dir, batches)
		e := open(t, dir)
		last := readCounter(t, e)
		t.Logf("round %d: applied at least %d, flushed %d, after the crash %d", round, applied, flushed, last)
		require.GreaterOrEqual(t, last, flushed, "lost what was flushed")
		requireBatches(t, e, last)
		require.NoError(t, e.Close())
	}
}

// crash starts the process, kills it after some batches, and returns the last ones it told of.
func crash(t *testing.T, dir string, batches int) (applied, flushed int) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// -test.run takes one pattern for each level of subtests.
	levels := strings.Split(t.Name(), "/")
	for i := range levels {
		levels[i] = "^" + regexp.QuoteMeta(levels[i]) + "$"
	}
	child := exec.CommandContext(ctx, os.Args[0], "-test.run="+strings.Join(levels, "/"), "-test.timeout=120s")
	child.Env = append(os.Environ(), crashDirVariable+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewScanner(out)
	var other []string
	for count := 0; lines.Scan(); {
		what, number, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.Atoi(number)
		switch {
		case err == nil && what == "applied":
			applied = n
			count++
		case err == nil && what == "flushed":
			flushed = n
		default:
			other = append(other, lines.Text())
		}
		if count == batches {
			cancel() // and read on: it may have got further
		}
	}
	require.Error(t, child.Wait())
	require.NotZero(t, applied, "the process to be killed wrote nothing: %q", other)
	return applied, flushed
}

// requireBatches checks that the rows are those of the batches 1 to last.
func requireBatches(t *testing.T, e state.Engine, last int) {
	want := 0
	check := func(key []byte, n int) {
		want++
		v, ok, err := e.Get(nil, key)
		require.NoError(t, err)
		require.True(t, ok, "key %q after batch %d", key, last)
		require.Equal(t, strconv.Itoa(n), strings.TrimRight(string(v), " "), "key %q after batch %d", key, last)
	}
	if last > 0 {
		check([]byte("counter"), last)
		for i := range crashShared {
			check(fmt.Appendf(nil, "shared %02d", i), last)
		}
	}
	for n := max(1, last-crashKept+1); n <= last; n++ {
		for i := range crashOwn {
			check(ownKey(n, i), n)
		}
	}
	require.Len(t, all(t, e), want, "rows after batch %d", last)
}
