package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// formatVersion is the version of everything below a task's directory: the keys of a DB, the layouts of the stores,
// the way they are spread over files. It goes up when a program of today could not read the result.
const formatVersion = 1

const (
	formatFile    = "FORMAT"
	formatNewFile = "FORMAT.new"
)

// A DirIdentity names the owner of a task's directory. Its fields must not be empty nor contain spaces.
type DirIdentity struct {
	Application string
	Task        string
}

func (id DirIdentity) line() (string, error) {
	for _, s := range []string{id.Application, id.Task} {
		bad := strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
		if s == "" || bad {
			return "", fmt.Errorf("identity %+v: want neither empty names nor spaces", id)
		}
	}
	return fmt.Sprintf("weir-state %d app=%s task=%s", formatVersion, id.Application, id.Task), nil
}

// A FormatError is the error of PrepareDir for a directory that is not the task's, or not in a format that this
// program reads.
type FormatError struct {
	Dir  string
	Want string // the line expected in the file FORMAT
	Got  string // the line found there, shortened if it is long, or words about what there is instead
}

// Error names the directory, what is there and what was expected.
func (e *FormatError) Error() string {
	return fmt.Sprintf("state directory %q has the format %q, want %q: use another state directory, "+
		"or remove this one: its state is rebuilt from the changelogs", e.Dir, e.Got, e.Want)
}

// PrepareDir makes dir the directory of the task: it creates it if need be, with a file FORMAT that names format and
// owner, and returns a *FormatError if it is there already and names others. The file appears whole or, after a
// crash, not at all; one that is cut short is another's. PrepareDir is to be called before OpenPebble, and by one
// process at a time.
func PrepareDir(dir string, id DirIdentity) error {
	want, err := id.line()
	if err != nil {
		return fmt.Errorf("prepare state directory %q: %w", dir, err)
	}
	if err := mkdirSynced(dir); err != nil {
		return fmt.Errorf("prepare state directory: %w", err)
	}
	got, err := readFormat(filepath.Join(dir, formatFile))
	switch {
	case err == nil && got != want+"\n":
		return &FormatError{Dir: dir, Want: want, Got: shortened(got)}
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("prepare state directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("prepare state directory: %w", err)
	}
	for _, e := range entries {
		if e.Name() != formatNewFile { // what a crash may leave of writeFormat
			return &FormatError{Dir: dir, Want: want, Got: "other files, but no file FORMAT"}
		}
	}
	if err := writeFormat(dir, want+"\n"); err != nil {
		return fmt.Errorf("prepare state directory: %w", err)
	}
	return nil
}

// readFormat reads no more than it takes to see that the file is not one of ours.
func readFormat(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	return string(b), errors.Join(err, f.Close())
}

func shortened(line string) string {
	line = strings.TrimSpace(line)
	if line == "" {
		return "an empty file FORMAT"
	}
	if len(line) > 200 {
		line = line[:200] + "..."
	}
	return line
}

// writeFormat makes the content durable under another name first, and then the name.
func writeFormat(dir, content string) error {
	temporary := filepath.Join(dir, formatNewFile)
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, formatFile)); err != nil {
		return err
	}
	return syncDir(dir)
}

// mkdirSynced is os.MkdirAll that makes what it creates durable. It syncs nothing if the directory exists.
func mkdirSynced(dir string) error {
	var parents []string // of what is missing
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		_, err := os.Stat(at)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		parents = append(parents, filepath.Dir(at))
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, p := range parents {
		if err := syncDir(p); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
