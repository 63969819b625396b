package stream_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

// A scriptProgram is what scripts run: it builds the program, and returns how its stores are shown.
type scriptProgram func(b *stream.Builder) views

// The scripts in testdata/scripts are the operators' manual: each names a program of scriptPrograms and tells what comes out of it. A line is a
// comment (#), a command, or, indented, a line that the command before printed. The commands:
//
//	program NAME [manual] [TOPIC:N ...]  runs the program; with manual, only commit commits; topics have N partitions, else one
//	send TOPIC K=V@MS[#H=V] ...          writes records, with a header; null is no key or no value
//	wait DURATION                        moves the wall clock
//	commit                               commits
//	crash, lose-disk, restart            ends the program as kill -9 would, removes its disk, starts it from what is committed
//	read TOPIC [partitions]              prints the new committed records, with their partitions in front of them
//	rows STORE [PARTITION]               prints the rows of a store
//	calls                                prints the calls of a function since the last time
//	dropped [REASON]                     prints how many records were dropped for that reason
//	counted KIND [REASON]                prints any other counter
//	letters TOPIC                        prints the new dead letters of a topic, with their reasons
//	fails TOPIC K=V@MS                   writes a record that the program fails with, and prints the error's last words
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
	t     *testing.T
	views views
	d     *streamtest.Driver
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
		for _, r := range words[1:] {
			s.send(words[0], r)
		}
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
		return s.read(words[0], len(words) > 1)
	case "rows":
		partition := int32(0)
		if len(words) > 1 {
			n, err := strconv.ParseInt(words[1], 10, 32)
			require.NoError(s.t, err)
			partition = int32(n)
		}
		return s.view(words[0], partition)
	case "calls":
		return s.view("calls", 0)
	case "dropped":
		return []string{fmt.Sprint(s.d.Dropped(strings.Join(words, "")))}
	case "counted":
		return []string{fmt.Sprint(s.d.Count(words[0], strings.Join(words[1:], "")))}
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
	program, ok := scriptPrograms[words[0]]
	require.True(s.t, ok, "program %q is not in scriptPrograms", words[0])
	b := stream.NewBuilder()
	s.views = program(b)
	var opts []streamtest.Option
	for _, word := range words[1:] {
		topic, n, partitioned := strings.Cut(word, ":")
		switch {
		case word == "manual":
			opts = append(opts, streamtest.ManualCommit())
		case partitioned:
			partitions, err := strconv.ParseInt(n, 10, 32)
			require.NoError(s.t, err)
			opts = append(opts, streamtest.Partitions(topic, int32(partitions)))
		default:
			require.FailNow(s.t, "unknown option", word)
		}
	}
	s.d = start(s.t, b, opts...)
}

func (s *script) send(topic, record string) {
	s.t.Helper()
	record, header, ok := strings.Cut(record, "#")
	key, value, ts := parse(s.t, record)
	var headers []stream.Header
	if ok {
		name, v, _ := strings.Cut(header, "=")
		headers = append(headers, stream.Header{Key: name, Value: []byte(v)})
	}
	require.NoError(s.t, s.d.TrySendRaw(topic, key, value, ts, headers...), "record %q", record)
}

func (s *script) read(topic string, partitions bool) []string {
	var out []string
	for _, r := range s.d.ReadRaw(topic) {
		line := fmt.Sprintf("%s=%s@%d", orNull(r.Key), orNull(r.Value), r.TimestampMs)
		for _, h := range r.Headers {
			if strings.HasPrefix(h.Key, "__weir.") {
				continue // of the library's own, between repartitions
			}
			line += fmt.Sprintf("#%s=%s", h.Key, h.Value)
		}
		if partitions {
			line = fmt.Sprintf("%d: %s", r.Partition, line)
		}
		out = append(out, line)
	}
	return out
}

func (s *script) view(name string, partition int32) []string {
	s.t.Helper()
	show := s.views[name]
	require.NotNil(s.t, show, "the program shows no %q", name)
	return show(s.t, s.d, partition)
}
