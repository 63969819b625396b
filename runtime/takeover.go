package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/weirstream/weir/topology"
)

// The manifest of the program that ran last lies beside the state that it left. A program that cannot go on with that state would read its rows wrongly, or
// miss them: it is refused before it touches anything. Others are told once what is different.

// manifestFile is the name of the manifest in the state directory.
const manifestFile = "manifest"

// A takeover is the step from the program that ran last in a state directory to this one.
type takeover struct {
	path        string
	next        topology.Manifest
	old         topology.Manifest
	differences topology.Differences
}

// planTakeover refuses a program that cannot take over what is in the directory.
func (d *stateDir) planTakeover(top *topology.Topology) (*takeover, error) {
	t := &takeover{path: filepath.Join(d.dir, manifestFile), next: top.Manifest()}
	b, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil // nothing ran here
	}
	if err == nil {
		t.old, err = topology.DecodeManifest(b)
	}
	if err != nil {
		return nil, fmt.Errorf("find out which program ran last, from the file %q: %w", t.path, err)
	}
	t.differences = topology.Compare(t.old, t.next)
	if err := t.differences.Err(); err != nil {
		return nil, fmt.Errorf("%w: give what has changed another name, or use RenamedFrom where only its name has; or give the application another id, or remove its "+
			"state: %q, its internal topics and its group. Where types have new names in Go and the same bytes, remove the file %q instead, on every instance",
			err, d.dir, t.path)
	}
	return t, nil
}

// done keeps the manifest of this program, which is about to run, and logs what is different, once.
func (t *takeover) done(log *slog.Logger, application string) error {
	b, err := t.next.Encode()
	if err == nil {
		var kept []byte
		if kept, err = os.ReadFile(t.path); err == nil && string(kept) == string(b) {
			return nil
		}
		err = writeFile(t.path, b)
	}
	if err != nil {
		return fmt.Errorf("keep the manifest of this program: %w", err)
	}
	before, now := t.old.InternalTopics(application), t.next.InternalTopics(application)
	for _, d := range t.differences {
		log := log.With("what", d.What, "name", d.Name, "change", d.Change, "consequence", d.Consequence)
		if topic := d.Topic(application); slices.Contains(before, topic) && !slices.Contains(now, topic) {
			log = log.With("topic", topic)
		}
		if d.Effect == topology.Harmless {
			log.Info("the program is not the one that ran last")
		} else {
			log.Warn("the program leaves something behind that the one before it used")
		}
	}
	return nil
}

// writeFile replaces a file as a whole: after a crash it is the old one or the new one.
func writeFile(path string, b []byte) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
