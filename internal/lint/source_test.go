package lint

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// module is the path of the module that is checked.
const module = "github.com/weirstream/weir"

// A file is one parsed Go file of the module.
type file struct {
	path    string // slash-separated, from the module's root
	dir     string // the folder of path: "." is the root
	source  []byte
	ast     *ast.File
	fset    *token.FileSet
	imports []imported
}

// An imported is one import of a file.
type imported struct {
	path string // as written in the source
	name string // what the file calls it: the last element of path, unless it is renamed
	pos  token.Pos
}

// A problem is one breach of one rule.
type problem struct {
	where string // path:line
	what  string // what is wrong, and what to do instead
}

func (p problem) String() string { return p.where + ": " + p.what }

func (f *file) isTest() bool     { return strings.HasSuffix(f.path, "_test.go") }
func (f *file) isExternal() bool { return f.isTest() && strings.HasSuffix(f.ast.Name.Name, "_test") }
func (f *file) isMain() bool     { return f.ast.Name.Name == "main" }

// problem reports a breach at pos.
func (f *file) problem(pos token.Pos, format string, args ...any) problem {
	return f.problemAt(f.fset.Position(pos).Line, format, args...)
}

func (f *file) problemAt(line int, format string, args ...any) problem {
	return problem{where: fmt.Sprintf("%s:%d", f.path, line), what: fmt.Sprintf(format, args...)}
}

// uses calls found for each mention of a name of the package with the given import path, such as time.Now.
func (f *file) uses(importPath string, found func(name string, pos token.Pos)) {
	local := ""
	for _, i := range f.imports {
		if i.path == importPath {
			local = i.name
		}
	}
	if local == "" || local == "_" {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := selector.X.(*ast.Ident); ok && x.Name == local {
				found(selector.Sel.Name, selector.Pos())
			}
		}
		return true
	})
}

// parse reads one file. The path is slash-separated, from the module's root.
func parse(name string, source []byte) (*file, error) {
	f := &file{path: name, dir: path.Dir(name), source: source, fset: token.NewFileSet()}
	tree, err := parser.ParseFile(f.fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f.ast = tree
	for _, spec := range tree.Imports {
		importPath, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("read an import of %s: %w", name, err)
		}
		local := path.Base(importPath)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		f.imports = append(f.imports, imported{path: importPath, name: local, pos: spec.Pos()})
	}
	return f, nil
}

// root returns the folder of the go.mod that governs the working directory.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		source, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil {
			if !bytes.HasPrefix(source, []byte("module "+module+"\n")) {
				return "", fmt.Errorf("%s is not the module %s", dir, module)
			}
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("no go.mod is above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}

// load parses every Go file of the module, whatever its build constraints. It leaves out what the go command leaves
// out: testdata, folders that begin with a dot or an underscore, and other modules.
func load(top string) ([]*file, error) {
	var files []*file
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != top && isOutside(name) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(relative), source)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

func isOutside(dir string) bool {
	base := filepath.Base(dir)
	if base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
