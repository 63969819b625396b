package lint

import (
	"bytes"
	"go/ast"
	"go/token"
	"slices"
)

const (
	maxLines     = 800  // of a file; 500 is the length to aim for
	maxTestLines = 1000 // of a test file
)

// A rule checks one file.
type rule struct {
	name  string // the end of a sentence that begins with "every file"
	check func(*file) []problem
}

// rules are what every file keeps.
var rules = []rule{
	{"imports from lower floors only", checkImports},
	{"is short enough to read", checkLength},
	{"is ASCII", checkASCII},
	{"has no init function", checkInit},
	{"leaves the wall clock to the runtime", checkWallClock},
	{"waits for conditions instead of sleeping in tests", checkSleep},
	{"takes its context from the caller", checkContext},
	{"leaves goroutines to the runtime", checkGoroutines},
}

func checkLength(f *file) []problem {
	lines, limit := bytes.Count(f.source, []byte("\n")), maxLines
	if f.isTest() {
		limit = maxTestLines
	}
	if lines <= limit {
		return nil
	}
	return []problem{f.problemAt(lines, "the file has %d lines, the limit is %d: split it by its nouns", lines, limit)}
}

func checkASCII(f *file) []problem {
	var problems []problem
	for i, line := range bytes.Split(f.source, []byte("\n")) {
		if at := bytes.IndexFunc(line, func(r rune) bool { return r > 0x7e }); at >= 0 {
			problems = append(problems, f.problemAt(i+1,
				"byte %d of the line is not ASCII: write it in words, or as an escape in a string", at+1))
		}
	}
	return problems
}

func checkInit(f *file) []problem {
	var problems []problem
	for _, declaration := range f.ast.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil && function.Name.Name == "init" {
			problems = append(problems, f.problem(function.Pos(),
				"init runs behind the caller's back: let a constructor do it"))
		}
	}
	return problems
}

// clockNames are the names of package time that read the wall clock or wait for it.
var clockNames = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// clockRooms may use the wall clock: there the program meets the world.
var clockRooms = []string{
	"internal/clock", "internal/testbroker", "runtime", "dlq/replay", "cmd", "examples", "benchmarks",
}

func checkWallClock(f *file) []problem {
	if f.isTest() || belowAny(f.dir, clockRooms) {
		return nil
	}
	var problems []problem
	f.uses("time", func(name string, pos token.Pos) {
		if slices.Contains(clockNames, name) {
			problems = append(problems, f.problem(pos,
				"time.%s is the wall clock: take the time as an argument, or a clock.Clock", name))
		}
	})
	return problems
}

func checkSleep(f *file) []problem {
	if !f.isTest() {
		return nil
	}
	var problems []problem
	f.uses("time", func(name string, pos token.Pos) {
		if name == "Sleep" {
			problems = append(problems, f.problem(pos,
				"time.Sleep makes a test slow or flaky: wait for the condition, or advance a clock"))
		}
	})
	return problems
}

func checkContext(f *file) []problem {
	if f.isTest() || f.isMain() || below(f.dir, "runtime") || house[roomOf(f.dir)].ownContext {
		return nil
	}
	var problems []problem
	f.uses("context", func(name string, pos token.Pos) {
		if name == "Background" || name == "TODO" {
			problems = append(problems, f.problem(pos,
				"context.%s cannot be cancelled by the caller: take a context as an argument", name))
		}
	})
	return problems
}

func checkGoroutines(f *file) []problem {
	if f.isTest() || !house[roomOf(f.dir)].handsOff {
		return nil
	}
	var problems []problem
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if statement, ok := n.(*ast.GoStmt); ok {
			problems = append(problems, f.problem(statement.Pos(),
				"%s starts no goroutine: what runs beside what is decided in the runtime", roomOf(f.dir)))
		}
		return true
	})
	return problems
}

// checkDocs holds every package to a doc comment, in whichever of its files.
func checkDocs(files []*file) []problem {
	type pkg struct {
		first      *file
		documented bool
	}
	packages := map[string]*pkg{}
	var order []string
	for _, f := range files {
		if f.isExternal() {
			continue
		}
		p, ok := packages[f.dir]
		if !ok {
			p = &pkg{first: f}
			packages[f.dir] = p
			order = append(order, f.dir)
		}
		p.documented = p.documented || f.ast.Doc != nil
	}
	var problems []problem
	for _, dir := range order {
		if p := packages[dir]; !p.documented {
			problems = append(problems, p.first.problem(p.first.ast.Package,
				"package %s has no doc comment: say in doc.go what it is for", p.first.ast.Name.Name))
		}
	}
	return problems
}
