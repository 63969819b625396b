package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// pages returns the manual's pages and the texts at the root of the module that lead to it.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*.md")
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return append(found, "../README.md", "../ARCHITECTURE.md", "../CONTRIBUTING.md")
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(b)
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// goBlocks returns the Go code of a page, block by block.
func goBlocks(text string) []string {
	var blocks []string
	for _, m := range goBlock.FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// A block that begins with a package clause is a whole file: it is checked as one, beside nothing else. Tests among them are run.
func TestPages_HaveProgramsThatCompile(t *testing.T) {
	t.Parallel()
	// The underscore keeps the folder out of ./... for as long as it is there.
	dir, err := os.MkdirTemp(".", "_programs-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	var programs, tests []string
	for _, page := range pages(t) {
		for i, block := range goBlocks(read(t, page)) {
			if !strings.HasPrefix(block, "package ") {
				continue
			}
			name := strings.TrimSuffix(filepath.Base(page), ".md") + "-" + strconv.Itoa(i+1)
			at := filepath.Join(dir, name)
			pkg := "./" + filepath.ToSlash(at)
			file := "program.go"
			if strings.Contains(block, `"testing"`) {
				file = "program_test.go"
				tests = append(tests, pkg)
			}
			require.NoError(t, os.Mkdir(at, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(at, file), []byte(block), 0o644))
			programs = append(programs, pkg)
		}
	}
	require.NotEmpty(t, programs, "no page has a program")
	runGo(t, append([]string{"vet"}, programs...)...)
	runGo(t, append([]string{"test"}, tests...)...)
}

func runGo(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	require.NoError(t, err, "go %s\n%s", strings.Join(args, " "), out)
}

func TestREADME_ShowsTheExampleOfRuntime(t *testing.T) {
	t.Parallel()
	const example = "../runtime/example_test.go"
	source := read(t, example)
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, example, source, parser.SkipObjectResolution)
	require.NoError(t, err)
	var parts []string
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			continue
		}
		parts = append(parts, source[files.Position(d.Pos()).Offset:files.Position(d.End()).Offset])
	}
	want := strings.Replace(strings.Join(parts, "\n\n"), "func Example()", "func main()", 1)
	blocks := goBlocks(read(t, "../README.md"))
	require.NotEmpty(t, blocks)
	require.Equal(t, want, strings.TrimSpace(blocks[0]))
}

var (
	fenced = regexp.MustCompile("(?ms)^```.*?^```$")
	inline = regexp.MustCompile("`[^`\n]*`")
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

func TestPages_HaveLinksThatLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		prose := inline.ReplaceAllString(fenced.ReplaceAllString(read(t, page), ""), "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			file, fragment, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(file))
			}
			require.FileExistsf(t, existing(target), "%s links to %s", page, m[1])
			if fragment != "" && filepath.Ext(target) == ".md" {
				require.Containsf(t, anchors(read(t, target)), fragment, "%s links to %s", page, m[1])
			}
		}
	}
}

// existing returns a file that stands for target: a folder is there if its entries are.
func existing(target string) string {
	if entries, err := os.ReadDir(target); err == nil {
		for _, e := range entries {
			if !e.IsDir() {
				return filepath.Join(target, e.Name())
			}
		}
	}
	return target
}

var heading = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)

// anchors are the fragments of a page's headings.
func anchors(text string) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		out = append(out, strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, m[1]))
	}
	return out
}
