package lint

import (
	"path"
	"slices"
	"strings"
)

const (
	franz    = "github.com/twmb/franz-go"
	kfake    = "github.com/twmb/franz-go/pkg/kfake"
	pebble   = "github.com/cockroachdb/pebble/v2"
	otel     = "go.opentelemetry.io/otel"
	testify  = "github.com/stretchr/testify"
	anything = "*"
)

// A room says what a package, and the packages in folders below it, may import. A package finds its room by the longest
// folder that fits.
type room struct {
	// floor orders the house: a room imports from lower floors, and from itself. What is not said here is forbidden by
	// that.
	floor int
	// not names rooms of lower floors that this one does not import.
	not []string
	// publicOnly forbids the module's internal packages.
	publicOnly bool
	// libraries are the other modules that the code may import, each with all packages below the path.
	libraries []string
	// tests names rooms that only the tests may import, on whatever floor they are.
	tests []string
	// pure forbids sockets, files and processes.
	pure bool
	// handsOff forbids goroutines as well: whoever calls the package decides what runs beside what.
	handsOff bool
	// ownContext lets the code make contexts of its own: a library wants one where no caller has any.
	ownContext bool
}

// house is the plan of ARCHITECTURE.md. A package that is not in it fails the test: think where it belongs, then add
// it.
var house = map[string]room{
	"internal/invariant": {floor: 0, pure: true, handsOff: true},
	"internal/clock":     {floor: 0, pure: true, handsOff: true},
	"internal/arena":     {floor: 0, pure: true, handsOff: true},
	"internal/wire":      {floor: 0, pure: true, handsOff: true},
	"internal/golden":    {floor: 0, libraries: []string{testify}},
	"internal/lint":      {floor: 0},

	"serde":          {floor: 1, pure: true, handsOff: true, not: []string{"internal/clock"}},
	"serde/registry": {floor: 2},

	"state":           {floor: 2, libraries: []string{pebble}, not: []string{"internal/clock", "serde/registry"}, ownContext: true},
	"state/statetest": {floor: 3, libraries: testLibraries},
	"dlq":             {floor: 2, pure: true, handsOff: true, not: []string{"internal/clock"}},

	"topology": {floor: 3, pure: true, handsOff: true, not: []string{"internal/clock", "serde/registry", "internal/wire"},
		tests: []string{"internal/task"}},

	"stream": {floor: 4, pure: true, handsOff: true, not: []string{"internal/clock", "serde/registry", "internal/wire"},
		tests: []string{"stream/streamtest", "internal/task"}},
	"internal/task": {floor: 4, pure: true, handsOff: true, not: []string{"serde/registry"}, tests: []string{"stream"}},

	"stream/streamtest": {floor: 5},
	"internal/assign": {floor: 5, pure: true, handsOff: true,
		not: []string{"stream", "internal/task", "internal/clock"}},

	"internal/testbroker": {floor: 0, libraries: []string{franz, testify}},
	"internal/sim":        {floor: 6, pure: true},

	"runtime": {floor: 6, libraries: []string{franz, otel}, not: []string{"stream", "stream/streamtest"},
		tests: []string{"stream", "stream/streamtest", "internal/sim"}},
	"dlq/replay": {floor: 6, libraries: []string{franz}, not: []string{"stream", "stream/streamtest", "internal/task"},
		tests: []string{"stream"}},

	"runtime/console": {floor: 7, publicOnly: true},
	"cmd":             {floor: 7, publicOnly: true},
	"examples":        {floor: 7, publicOnly: true, libraries: []string{franz}},
	"benchmarks":      {floor: 7, publicOnly: true, libraries: []string{anything}},
	"docs":            {floor: 7, publicOnly: true},
}

// onlyForTests are rooms that exist for tests. Code of other rooms does not import them.
var onlyForTests = []string{
	"internal/golden", "internal/lint", "internal/testbroker", "internal/sim", "state/statetest",
}

// testLibraries are the modules that every test may import besides those of its room.
var testLibraries = []string{testify, "pgregory.net/rapid", "go.uber.org/goleak"}

// outside are the packages of the standard library that a pure room does not import.
var outside = []string{
	"net", "net/http", "os", "os/exec", "os/signal", "io/ioutil", "syscall", "database/sql", "plugin",
}

// brokerRooms may import the embedded broker in code that is no test.
var brokerRooms = []string{"examples", "benchmarks", "internal/testbroker"}

// roomOf returns the name of the room that dir belongs to, or "" if it is nowhere in the house.
func roomOf(dir string) string {
	for ; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if _, ok := house[dir]; ok {
			return dir
		}
	}
	return ""
}

// below says whether name is the path above or lies under it.
func below(name, above string) bool {
	return above == anything || name == above || strings.HasPrefix(name, above+"/")
}

func belowAny(name string, above []string) bool {
	return slices.ContainsFunc(above, func(a string) bool { return below(name, a) })
}

// checkImports holds a file to the plan of the house.
func checkImports(f *file) []problem {
	if f.dir == "." {
		return checkRootImports(f)
	}
	name := roomOf(f.dir)
	if name == "" {
		return []problem{f.problem(f.ast.Package,
			"the folder %q has no room in the house: give it a floor in internal/lint/house_test.go", f.dir)}
	}
	var problems []problem
	for _, i := range f.imports {
		if reason := whyNot(f, name, i.path); reason != "" {
			problems = append(problems, f.problem(i.pos, "%s must not import %q: %s", name, i.path, reason))
		}
	}
	return problems
}

// checkRootImports keeps the module's root to what it is for: its doc comment, and examples of it.
func checkRootImports(f *file) []problem {
	if f.isTest() || len(f.imports) == 0 {
		return nil
	}
	return []problem{f.problem(f.imports[0].pos, "the root package holds documentation alone and imports nothing")}
}

// whyNot returns the reason why a file of the room called name must not import importPath, or "" if it may.
func whyNot(f *file, name, importPath string) string {
	here := house[name]
	if inModule, ok := strings.CutPrefix(importPath, module+"/"); ok {
		return whyNotRoom(f, name, inModule)
	}
	if importPath == module {
		return "the root package holds documentation alone"
	}
	if first, _, _ := strings.Cut(importPath, "/"); !strings.Contains(first, ".") {
		if here.pure && !f.isTest() && slices.Contains(outside, importPath) {
			return "the package touches memory alone; sockets, files and processes belong to the runtime"
		}
		return ""
	}
	switch {
	case below(importPath, kfake) && !f.isTest() && !slices.Contains(brokerRooms, name):
		return "the embedded broker is for tests, examples and benchmarks"
	case belowAny(importPath, here.libraries):
		return ""
	case f.isTest() && belowAny(importPath, testLibraries):
		return ""
	}
	return "the library is not among those that internal/lint/house_test.go lists for the package"
}

// whyNotRoom is whyNot for the module's own packages; dir is the folder of the imported one.
func whyNotRoom(f *file, name, dir string) string {
	here, target := house[name], roomOf(dir)
	switch {
	case target == "":
		return "it has no room in the house: give it a floor in internal/lint/house_test.go"
	case target == name:
		return ""
	case f.isTest() && slices.Contains(here.tests, target):
		return ""
	case slices.Contains(onlyForTests, target):
		if f.isTest() || slices.Contains(onlyForTests, name) {
			return ""
		}
		return "it exists for tests"
	case slices.Contains(here.not, target):
		return "the two are kept apart"
	case here.publicOnly && below(dir, "internal"):
		return "the package shows what a user of the module can do, so it uses public packages only"
	case f.isExternal() && below(target, name):
		return "" // such as state_test, which runs state/statetest
	case house[target].floor >= here.floor:
		return "a package imports from the floors below it only"
	}
	return ""
}
