package lint

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A rule that never fires looks like one that is always kept, so each is shown a breach and something close to it
// that is allowed.

// importing is the source of a file that imports one package.
func importing(pkg, importPath string) string {
	return "package " + pkg + "\n\nimport _ \"" + importPath + "\"\n"
}

func mustParse(t *testing.T, name, source string) *file {
	t.Helper()
	f, err := parse(name, []byte(source))
	require.NoError(t, err)
	return f
}

func TestImports_KeepToTheFloors(t *testing.T) {
	t.Parallel()
	const own = module + "/"
	tests := []struct {
		name   string
		file   string
		pkg    string
		path   string
		reason string // a part of it; empty = allowed
	}{
		{"a lower floor", "topology/graph.go", "topology", own + "state", ""},
		{"a higher floor", "serde/serde.go", "serde", own + "state", "floors below"},
		{"the same floor", "state/engine.go", "state", own + "dlq", "floors below"},
		{"the same room", "serde/avro/avro.go", "avro", own + "serde", ""},
		{"runtime and stream", "runtime/app.go", "runtime", own + "stream", "kept apart"},
		{"a test of runtime and stream", "runtime/app_test.go", "runtime_test", own + "stream", ""},
		{"task and stream", "internal/task/task.go", "task", own + "stream", "floors below"},
		{"stream and its test driver", "stream/builder.go", "stream", own + "stream/streamtest", "floors below"},
		{"a test of stream and its driver", "stream/builder_test.go", "stream_test", own + "stream/streamtest", ""},
		{"a test of stream and runtime", "stream/builder_test.go", "stream_test", own + "runtime", "floors below"},
		{"a test of state and its suite", "state/engine_test.go", "state_test", own + "state/statetest", ""},
		{"state and its suite", "state/engine.go", "state", own + "state/statetest", "exists for tests"},
		{"an internal leaf", "topology/graph.go", "topology", own + "internal/arena", ""},
		{"a leaf that is kept away", "topology/graph.go", "topology", own + "internal/clock", "kept apart"},
		{"the golden files in code", "topology/graph.go", "topology", own + "internal/golden", "exists for tests"},
		{"the golden files in a test", "topology/graph_test.go", "topology", own + "internal/golden", ""},
		{"a command and an internal package", "cmd/weir/main.go", "main", own + "internal/wire", "public packages"},
		{"a command and a public package", "cmd/weir/main.go", "main", own + "topology", ""},
		{"an unknown package", "runtime/app.go", "runtime", own + "util", "no room"},
		{"the root", "runtime/app.go", "runtime", module, "documentation alone"},
		{"pebble in state", "state/pebble.go", "state", pebble + "/vfs", ""},
		{"pebble in topology", "topology/graph.go", "topology", pebble, "not among those"},
		{"a library with a longer name", "state/pebble.go", "state", pebble + "x", "not among those"},
		{"franz-go in runtime", "runtime/app.go", "runtime", franz + "/pkg/kgo", ""},
		{"franz-go in stream", "stream/builder.go", "stream", franz + "/pkg/kgo", "not among those"},
		{"franz-go in the test driver", "stream/streamtest/driver.go", "streamtest", franz + "/pkg/kgo", "not among those"},
		{"kfake in runtime", "runtime/app.go", "runtime", kfake, "embedded broker"},
		{"kfake in a test of runtime", "runtime/app_test.go", "runtime", kfake, ""},
		{"kfake in an example", "examples/medication-pipeline/main.go", "main", kfake, ""},
		{"kfake in the test broker", "internal/testbroker/broker.go", "testbroker", kfake, ""},
		{"testify in code", "dlq/policy.go", "dlq", testify + "/require", "not among those"},
		{"testify in a test", "dlq/policy_test.go", "dlq", testify + "/require", ""},
		{"rapid in a test", "serde/ints_test.go", "serde_test", "pgregory.net/rapid", ""},
		{"a socket in topology", "topology/graph.go", "topology", "net/http", "memory alone"},
		{"a file in a test of topology", "topology/graph_test.go", "topology", "os", ""},
		{"a file in state", "state/pebble.go", "state", "os", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			problems := checkImports(mustParse(t, tt.file, importing(tt.pkg, tt.path)))
			if tt.reason == "" {
				require.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			require.Equal(t, tt.file+":3", problems[0].where)
			require.Contains(t, problems[0].what, tt.reason)
		})
	}
}

func TestImports_WantARoomForEachFolder(t *testing.T) {
	t.Parallel()
	require.Len(t, checkImports(mustParse(t, "util/util.go", "package util\n")), 1)
	require.Empty(t, checkImports(mustParse(t, "doc.go", "package weir\n")))
	require.Len(t, checkImports(mustParse(t, "weir.go", importing("weir", "fmt"))), 1)
}

func TestRules_Fire(t *testing.T) {
	t.Parallel()
	const (
		now   = "package p\n\nimport \"time\"\n\nvar at = time.Now()\n"
		alias = "package p\n\nimport clk \"time\"\n\nvar at = clk.Since\n"
		plain = "package p\n\nimport \"time\"\n\nvar d = time.Second\n"
		sleep = "package p\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n"
		ctx   = "package p\n\nimport \"context\"\n\nvar c = context.Background()\n"
		start = "package p\n\nfunc f() { go f() }\n"
	)
	tests := []struct {
		name   string
		check  func(*file) []problem
		file   string
		source string
		line   string // of the breach; empty = none
	}{
		{"the wall clock in state", checkWallClock, "state/a.go", now, "5"},
		{"the wall clock by another name", checkWallClock, "state/a.go", alias, "5"},
		{"a duration in state", checkWallClock, "state/a.go", plain, ""},
		{"the wall clock in a test", checkWallClock, "state/a_test.go", now, ""},
		{"the wall clock in runtime", checkWallClock, "runtime/a.go", now, ""},
		{"the wall clock in clock", checkWallClock, "internal/clock/a.go", now, ""},
		{"the wall clock beside runtime", checkWallClock, "runtimes/a.go", now, "5"},
		{"a sleep in a test", checkSleep, "runtime/a_test.go", sleep, "5"},
		{"a sleep in runtime", checkSleep, "runtime/a.go", sleep, ""},
		{"a context of one's own", checkContext, "stream/a.go", ctx, "5"},
		{"a context of one's own in state, whose library wants one", checkContext, "state/a.go", ctx, ""},
		{"a context of one's own in runtime", checkContext, "runtime/a.go", ctx, ""},
		{"a context of one's own in main", checkContext, "cmd/weir/a.go", strings.Replace(ctx, " p\n", " main\n", 1), ""},
		{"a context of one's own in a test", checkContext, "state/a_test.go", ctx, ""},
		{"init", checkInit, "state/a.go", "package p\n\nfunc init() {}\n", "3"},
		{"a method called init", checkInit, "state/a.go", "package p\n\ntype t struct{}\n\nfunc (t) init() {}\n", ""},
		{"a letter that is not ASCII", checkASCII, "state/a.go", "package p\n\n// caf\u00e9\n", "3"},
		{"an escape", checkASCII, "state/a.go", "package p\n\nvar s = \"caf\\u00e9\"\n", ""},
		{"a goroutine in stream", checkGoroutines, "stream/a.go", start, "3"},
		{"a goroutine in runtime", checkGoroutines, "runtime/a.go", start, ""},
		{"a goroutine in a test of stream", checkGoroutines, "stream/a_test.go", start, ""},
		{"a file of the greatest length", checkLength, "state/a.go", "package p\n" + strings.Repeat("\n", 799), ""},
		{"a file that is too long", checkLength, "state/a.go", "package p\n" + strings.Repeat("\n", 800), "801"},
		{"a long test", checkLength, "state/a_test.go", "package p\n" + strings.Repeat("\n", 999), ""},
		{"a test that is too long", checkLength, "state/a_test.go", "package p\n" + strings.Repeat("\n", 1000), "1001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := mustParse(t, tt.file, tt.source)
			problems := tt.check(f)
			if tt.line == "" {
				require.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			require.Equal(t, tt.file+":"+tt.line, problems[0].where)
		})
	}
}

func TestDocs_MayStandInAnyFileOfThePackage(t *testing.T) {
	t.Parallel()
	bare := mustParse(t, "state/a.go", "package state\n")
	doc := mustParse(t, "state/doc.go", "// Package state keeps.\npackage state\n")
	license := mustParse(t, "state/b.go", "// A comment apart.\n\npackage state\n")
	external := mustParse(t, "dlq/a_test.go", "package dlq_test\n")
	require.Empty(t, checkDocs([]*file{bare, doc, external}))
	require.Len(t, checkDocs([]*file{bare, license}), 1)
}
