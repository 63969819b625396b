package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Effect is what a difference between two programs does to the state of the first when the second takes its place.
type Effect uint8

const (
	// Harmless differences lose nothing.
	Harmless Effect = iota
	// LeavesData tells that something stays behind that the new program has no use for. It is not removed.
	LeavesData
	// Breaks tells that the new program cannot take the state over: it would read it wrongly, or miss it.
	Breaks
)

// String is the effect in words.
func (e Effect) String() string {
	switch e {
	case Harmless:
		return "harmless"
	case LeavesData:
		return "leaves data"
	}
	return "breaks"
}

// A Difference is one thing that is durable and not the same in two programs.
type Difference struct {
	Effect Effect
	// What is the kind of thing: "source", "pattern", "repartition", "store" or "global store". Name is its durable name.
	What, Name string
	// Change says what is different, and Consequence what follows.
	Change, Consequence string
}

// String is the difference as one line.
func (d Difference) String() string {
	return fmt.Sprintf("%s: %s %q %s: %s", d.Effect, d.What, d.Name, d.Change, d.Consequence)
}

// Topic is the full name of the topic that a repartition reads, or that logs a store if anything does; empty for other things.
func (d Difference) Topic(application string) string {
	switch d.What {
	case "repartition":
		return RepartitionTopic(application, d.Name)
	case "store":
		return ChangelogTopic(application, d.Name)
	}
	return ""
}

// Differences are those between two programs: what breaks comes first, then what leaves data. Within these they are in the order of What and Name.
type Differences []Difference

// String lists the differences, one a line; it is empty if there are none.
func (ds Differences) String() string {
	var w strings.Builder
	for _, d := range ds {
		fmt.Fprintln(&w, d)
	}
	return w.String()
}

// Err returns an *IncompatibleError if any difference breaks, nil otherwise.
func (ds Differences) Err() error {
	var breaks Differences
	for _, d := range ds {
		if d.Effect == Breaks {
			breaks = append(breaks, d)
		}
	}
	if len(breaks) == 0 {
		return nil
	}
	return &IncompatibleError{Differences: breaks}
}

// An IncompatibleError says that a program cannot take over the state of the one before it.
type IncompatibleError struct {
	// Differences are those that break.
	Differences Differences
}

// Error lists the differences.
func (e *IncompatibleError) Error() string {
	return "take over the state of the program before: " + strings.ReplaceAll(strings.TrimSuffix(e.Differences.String(), "\n"), "\n", "; ")
}

// Compare tells what a program with the manifest next finds changed when it takes the place of one with the manifest old, in the same application. It is
// about one after the other. Instances of both may run side by side if Manifest.Signature is the same; where it is not, there are differences.
//
// What has a durable name is the same thing in both programs if it has the same name. A store that was renamed with RenamedFrom keeps it:
//
//	                      appears    vanishes      changes
//	source, pattern       harmless   leaves data   -
//	repartition           harmless   leaves data   key, value or fixed number of partitions break
//	store                 harmless   leaves data   kind, key or value break
//	global store          harmless   leaves data   kind, key or value break
//
// A thing that moves to a subtopology of another number is found again by its topics. A store without a changelog is nowhere but on the disks of the
// instances: where it would have to be rebuilt, because it moves, or changes its layout or its place, that breaks. In memory it has nothing to lose.
//
// Types are compared by their Go names: one that has only been renamed counts as another.
func Compare(old, next Manifest) Differences {
	c := comparison{}
	a, b := old.index(), next.index()
	c.sources("source", a.sources, b.sources)
	c.sources("pattern", a.patterns, b.patterns)
	for name, was := range a.repartitions {
		if now, ok := b.repartitions[name]; ok {
			c.repartition(was, now)
		} else {
			c.add(LeavesData, "repartition", name, "is gone", "its topic stays, and what is in it and not processed yet is lost")
		}
	}
	for name := range b.repartitions {
		if _, ok := a.repartitions[name]; !ok {
			c.add(Harmless, "repartition", name, "is new", "its topic is created")
		}
	}
	for name, was := range a.stores {
		now, ok := b.stores[name]
		switch {
		case ok:
			c.store(was, now)
		case was.it.Changelog:
			c.add(LeavesData, "store", name, "is gone", "its changelog stays"+renamed(was.it, a.stores, b.stores))
		case !was.it.InMemory:
			c.add(LeavesData, "store", name, "is gone", "its rows stay on the disks of the instances")
		default:
			c.add(Harmless, "store", name, "is gone", "it was in memory only")
		}
	}
	for name := range b.stores {
		if _, ok := a.stores[name]; !ok {
			c.add(Harmless, "store", name, "is new", "it starts empty, and knows nothing of the records before")
		}
	}
	c.globals(a.globals, b.globals)
	return c.sorted()
}

// A located thing belongs to a subtopology.
type located[T any] struct {
	it  T
	sub int
}

type manifestIndex struct {
	sources      map[string]int
	patterns     map[string]int
	repartitions map[string]located[RepartitionManifest]
	stores       map[string]located[StoreManifest]
	globals      map[string]GlobalManifest
}

func (m Manifest) index() manifestIndex {
	x := manifestIndex{
		map[string]int{}, map[string]int{}, map[string]located[RepartitionManifest]{}, map[string]located[StoreManifest]{}, map[string]GlobalManifest{},
	}
	for i, s := range m.Subtopologies {
		for _, name := range s.Sources {
			x.sources[name] = i
		}
		for _, expression := range s.Patterns {
			x.patterns[expression] = i
		}
		for _, r := range s.Repartitions {
			x.repartitions[r.Name] = located[RepartitionManifest]{r, i}
		}
		for _, st := range s.Stores {
			x.stores[st.Name] = located[StoreManifest]{st, i}
		}
	}
	for _, g := range m.Globals {
		x.globals[g.Name] = g
	}
	return x
}

type comparison struct{ found Differences }

func (c *comparison) add(e Effect, what, name, change, consequence string) {
	c.found = append(c.found, Difference{e, what, name, change, consequence})
}

// sorted gives the order of Differences; the changes of one thing stay in the order they were found.
func (c *comparison) sorted() Differences {
	slices.SortStableFunc(c.found, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(b.Effect, a.Effect), cmp.Compare(a.What, b.What), cmp.Compare(a.Name, b.Name))
	})
	return c.found
}

// sources compares what is read, by names or by patterns.
func (c *comparison) sources(what string, old, next map[string]int) {
	for name, was := range old {
		now, ok := next[name]
		switch {
		case !ok:
			c.add(LeavesData, what, name, "is no longer read", "the offsets committed for it stay until they expire")
		case was != now:
			c.add(Harmless, what, name, moves(was, now), "it is read on from its offsets")
		}
	}
	for name := range next {
		if _, ok := old[name]; !ok {
			c.add(Harmless, what, name, "is new", "it is read from where its StartFrom says, unless there are offsets")
		}
	}
}

// renamed is a hint for a store that is gone, if one of its kind has come.
func renamed(gone StoreManifest, old, next map[string]located[StoreManifest]) string {
	var candidates []string
	for name, now := range next {
		if _, known := old[name]; !known && now.it.Kind == gone.Kind && now.it.KeyType == gone.KeyType && now.it.ValueType == gone.ValueType {
			candidates = append(candidates, name)
		}
	}
	if len(candidates) == 0 {
		return ""
	}
	slices.Sort(candidates)
	return fmt.Sprintf("; if it is %q now, say there RenamedFrom(%q)", strings.Join(candidates, `" or "`), gone.Name)
}

func (c *comparison) globals(old, next map[string]GlobalManifest) {
	for name, a := range old {
		b, ok := next[name]
		add := func(e Effect, change, consequence string) { c.add(e, "global store", name, change, consequence) }
		switch {
		case !ok && a.InMemory:
			add(Harmless, "is gone", "it was in memory only")
			continue
		case !ok:
			add(LeavesData, "is gone", "its rows stay on the disks of the instances")
			continue
		}
		breaks, rename := Breaks, "give it another name, under which its topic fills it anew"
		if a.InMemory || b.InMemory {
			breaks, rename = Harmless, "its topic fills it anew"
		}
		if a.Kind != b.Kind {
			add(breaks, changes("kind", a.Kind, b.Kind), rename)
		}
		if a.KeyType != b.KeyType {
			add(breaks, changes("key type", a.KeyType, b.KeyType), rename)
		}
		if a.ValueType != b.ValueType {
			add(breaks, changes("value type", a.ValueType, b.ValueType), rename)
		}
		if a.Topic != b.Topic {
			add(Harmless, changes("topic", a.Topic, b.Topic), "the new topic fills it anew")
		}
		if a.InMemory != b.InMemory {
			add(Harmless, "is in another place now, memory or disk", "its topic fills it anew")
		}
	}
	for name := range next {
		if _, ok := old[name]; !ok {
			c.add(Harmless, "global store", name, "is new", "its topic fills it")
		}
	}
}

func (c *comparison) repartition(was, now located[RepartitionManifest]) {
	add := func(e Effect, change, consequence string) { c.add(e, "repartition", was.it.Name, change, consequence) }
	const rename = "give it another name, and let the program before process what is in its topic"
	if was.it.KeyType != now.it.KeyType {
		add(Breaks, changes("key type", was.it.KeyType, now.it.KeyType), rename)
	}
	if was.it.ValueType != now.it.ValueType {
		add(Breaks, changes("value type", was.it.ValueType, now.it.ValueType), rename)
	}
	switch n, m := was.it.Partitions, now.it.Partitions; {
	case n == m:
	case n > 0 && m > 0:
		add(Breaks, changes("number of partitions", n, m), "keys would be in other partitions than their rows: "+rename)
	case m > 0:
		add(Harmless, fmt.Sprintf("has %d partitions fixed", m), "the start refuses if its topic has another number")
	default:
		add(Harmless, "has its number of partitions no longer fixed", "the start refuses if its topic has another number than is derived")
	}
	if was.sub != now.sub {
		add(Harmless, moves(was.sub, now.sub), "it is read on from its offsets")
	}
}

func (c *comparison) store(was, now located[StoreManifest]) {
	a, b := was.it, now.it
	add := func(e Effect, change, consequence string) { c.add(e, "store", a.Name, change, consequence) }
	before := len(c.found)
	const rename = "give it another name, under which it starts empty"
	if a.Kind != b.Kind {
		add(Breaks, changes("kind", a.Kind, b.Kind), rename)
	}
	if a.KeyType != b.KeyType {
		add(Breaks, changes("key type", a.KeyType, b.KeyType), rename)
	}
	if a.ValueType != b.ValueType {
		add(Breaks, changes("value type", a.ValueType, b.ValueType), rename)
	}
	if a.Source != b.Source {
		// Rows have the topic's bytes, or the store's: neither can be read as the other, and a changelog that begins now lacks what there is.
		add(Breaks, changes("source as changelog", orNone(a.Source), orNone(b.Source)), rename)
	}
	if len(c.found) > before {
		return // the rest is about rows that can be read
	}
	// away reports a change after which the rows are not where they were.
	away := func(change string) {
		switch {
		case !a.Changelog && a.InMemory:
			add(Harmless, change, "it was in memory only")
		case a.Changelog && b.Changelog:
			add(Harmless, change, "it is rebuilt from its changelog")
		default:
			add(Breaks, change, "its rows cannot be rebuilt without a changelog: "+rename)
		}
	}
	switch {
	case a.Changelog == b.Changelog:
	case b.Changelog:
		away("is logged now")
	case a.InMemory || b.InMemory:
		away("is no longer logged")
	default:
		add(LeavesData, "is no longer logged", "its changelog stays as it is")
	}
	switch {
	case a.InMemory == b.InMemory:
	case b.InMemory:
		away("is in memory now")
	default:
		away("is on disk now")
	}
	if a.RetentionMs != b.RetentionMs {
		was, now := time.Duration(a.RetentionMs)*time.Millisecond, time.Duration(b.RetentionMs)*time.Millisecond
		if now < was {
			add(LeavesData, changes("retention", was, now), "older rows are no longer read")
		} else if a.Changelog && b.Changelog {
			add(Harmless, changes("retention", was, now), "rows that are gone do not come back; its changelog keeps its configuration: let it keep more as well")
		} else {
			add(Harmless, changes("retention", was, now), "rows that are gone do not come back")
		}
	}
	if a.MaxRows != b.MaxRows {
		if b.MaxRows < a.MaxRows {
			add(Harmless, changes("number of rows", a.MaxRows, b.MaxRows), "the rows that were used longest ago go")
		} else {
			add(Harmless, changes("number of rows", a.MaxRows, b.MaxRows), "rows that are gone do not come back")
		}
	}
	if a.Layout != b.Layout {
		away(changes("layout", a.Layout, b.Layout))
	}
	if was.sub != now.sub {
		away(moves(was.sub, now.sub))
	}
}

func changes[T any](what string, was, now T) string {
	return fmt.Sprintf("changes its %s from %v to %v", what, was, now)
}

func moves(was, now int) string { return fmt.Sprintf("moves from subtopology %d to %d", was, now) }

func orNone(topic string) string {
	if topic == "" {
		return "none"
	}
	return topic
}
