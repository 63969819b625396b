package stream_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// A scriptProgram is what the scripts of one operator run.
type scriptProgram struct {
	build func(b *stream.Builder)
	// rows prints the rows of a store, by its name.
	rows map[string]func(tb testing.TB, d *streamtest.Driver) []string
}

// The scripts in testdata/scripts are the operators' manual: each names a program of scriptPrograms and tells what comes out of it. A line is a
// comment (#), a command, or, indented, a line that the command before printed. The commands:
//
//	program NAME [manual]      runs the program; with manual, only commit commits
//	send TOPIC K=V@MS ...      writes records; null is no key or no value
//	wait DURATION              moves the wall clock
//	commit                     commits
//	crash, lose-disk, restart  ends the program as kill -9 would, removes its disk, starts it from what is committed
//	read TOPIC                 prints the new committed records
//	rows STORE                 prints the rows of a store
//	dropped REASON             prints how many records were dropped for that reason
//	letters TOPIC              prints the new dead letters of a topic, with their reasons
//	fails TOPIC K=V@MS         writes a record that the program fails with, and prints the error's last words
//
// go test ./stream -run Script -update writes what is printed into the scripts.
func TestScripts_SayWhatOperatorsDo(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "scripts", "*.script"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	used := map[string]bool{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "program" {
				used[f[1]] = true
			}
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".script"), func(t *testing.T) {
			t.Parallel()
			golden.Equal(t, file, (&script{t: t}).run(string(b)))
		})
	}
	for name := range scriptPrograms {
		require.True(t, used[name], "program %q has no script", name)
	}
}

// A script runs one file.
type script struct {
	t       *testing.T
	program scriptProgram
	d       *streamtest.Driver
}

// run returns the script with what its commands print.
func (s *script) run(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		command := strings.TrimRight(line, "\n")
		if strings.HasPrefix(command, "  ") {
			continue // printed by an earlier run
		}
		out.WriteString(command + "\n")
		if words := strings.Fields(command); len(words) > 0 && words[0] != "#" {
			for _, printed := range s.do(words[0], words[1:]) {
				out.WriteString("  " + printed + "\n")
			}
		}
	}
	return out.String()
}

func (s *script) do(command string, words []string) []string {
	s.t.Helper()
	switch command {
	case "program":
		s.start(words)
	case "send":
		feed(s.t, s.d, words[0], words[1:]...)
	case "fails":
		err := tryFeed(s.t, s.d, words[0], words[1])
		require.Error(s.t, err)
		return []string{err.Error()[strings.LastIndex(err.Error(), ": ")+2:]}
	case "wait":
		dur, err := time.ParseDuration(words[0])
		require.NoError(s.t, err)
		s.d.Advance(dur)
	case "commit":
		s.d.Commit()
	case "crash":
		s.d.Crash()
	case "lose-disk":
		s.d.LoseDisk()
	case "restart":
		s.d.Restart()
	case "read":
		return read(s.d, words[0])
	case "rows":
		print := s.program.rows[words[0]]
		require.NotNil(s.t, print, "store %q", words[0])
		return print(s.t, s.d)
	case "dropped":
		return []string{fmt.Sprint(s.d.Dropped(words[0]))}
	case "letters":
		var out []string
		for _, l := range s.d.DeadLetters(words[0]) {
			out = append(out, fmt.Sprintf("%s=%s@%d %s", orNull(l.Key), orNull(l.Value), l.Timestamp.UnixMilli(), l.Reason))
		}
		return out
	default:
		require.FailNow(s.t, "unknown command", command)
	}
	return nil
}

func (s *script) start(words []string) {
	s.t.Helper()
	var ok bool
	s.program, ok = scriptPrograms[words[0]]
	require.True(s.t, ok, "program %q is not in scriptPrograms", words[0])
	b := stream.NewBuilder()
	s.program.build(b)
	var opts []streamtest.Option
	if slices.Contains(words[1:], "manual") {
		opts = append(opts, streamtest.ManualCommit())
	}
	s.d = start(s.t, b, opts...)
}
