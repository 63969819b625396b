package state

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"time"

	"github.com/weirstream/weir/serde"
)

// A Kind says how a store's rows are keyed.
type Kind string

const (
	// KindKeyValue is a store with one row per key.
	KindKeyValue Kind = "key-value"
	// KindWindow is a store with one row per key and window start.
	KindWindow Kind = "window"
	// KindSession is a store with one row per key and session.
	KindSession Kind = "session"
	// KindDuplicates is a store with any number of rows per key and start: see WindowSpec.Duplicates.
	KindDuplicates Kind = "window-duplicates"
	// KindVersioned is a store with the versions of each key's row, by their time.
	KindVersioned Kind = "versioned"
	// KindLRU is a store with one row per key, and so many rows that were used last.
	KindLRU Kind = "lru"
	// KindJoinBuffer is a store of records in the order of their times, any number per key.
	KindJoinBuffer Kind = "join-buffer"
	// KindBuffer is a store with one row per key, in the order of the times at which the keys came.
	KindBuffer Kind = "buffer"
)

// A Spec is the descriptor of a store, of any kind and type. KeyValue, Window, Session, Versioned,
// LRU, Buffer and JoinBuffer make them.
type Spec interface {
	// Info tells all that is known of the store without its types.
	Info() Info
	build(env *Env) (Store, error)
}

// Info describes a store.
type Info struct {
	// Name is the store's name, unique in its topology. What outlives the program goes by DurableName.
	Name string
	// RenamedFrom is the store's durable name, if that is another.
	RenamedFrom string
	Kind        Kind
	// KeyType and ValueType are Go types, for descriptions and comparisons.
	KeyType, ValueType string
	// InMemory stores keep their committed rows on the heap and are rebuilt from the changelog at every start.
	InMemory bool
	// Source is the topic that the store is restored from where that is no changelog of its own but the one that its table is read from.
	Source string
	// Changelog tells whether a topic logs the store. Without one it starts empty on another machine, and in memory at every start.
	Changelog bool
	// Retention is how long a window store keeps a window, counted from its start in stream time, a session store a session, counted from its
	// end, and a versioned store a version that has been followed by another. 0 for other kinds.
	Retention time.Duration
	// MaxRows is how many rows an LRU store keeps. 0 for other kinds.
	MaxRows int
	// Layout says how rows lie in the engine. It is local: changelogs do not depend on it.
	Layout string
}

// Validate reports everything that is wrong with the descriptor.
func (i Info) Validate() error {
	var errs []error
	if !durableName.MatchString(i.Name) {
		errs = append(errs, fmt.Errorf("store name %q: use 1 to 200 of the characters a-z, A-Z, 0-9, '.', '_' and '-', a letter or digit first", i.Name))
	}
	if i.RenamedFrom != "" && !durableName.MatchString(i.RenamedFrom) {
		errs = append(errs, fmt.Errorf("store %q: no store can have been called %q before: give RenamedFrom the name that it had", i.Name, i.RenamedFrom))
	}
	if i.Kind == KindVersioned && i.Retention < 0 {
		errs = append(errs, fmt.Errorf("versioned store %q: a history of %v: use 0 or more", i.Name, i.Retention))
	}
	if i.Kind == KindLRU && i.MaxRows < 1 {
		errs = append(errs, fmt.Errorf("lru store %q: at most %d rows: use 1 or more", i.Name, i.MaxRows))
	}
	if (i.Kind.windowed() || i.Kind == KindSession) && i.Retention <= 0 {
		errs = append(errs, fmt.Errorf("%s store %q: retention is %v: set it with Retention", i.Kind, i.Name, i.Retention))
	}
	return errors.Join(errs...)
}

var durableName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}$`)

// Forever is the retention of a store whose rows never expire.
const Forever = time.Duration(math.MaxInt64)

// An Opener hands out the stores of one task by descriptor: a processor's node is one.
type Opener interface {
	// OpenStore returns the task's instance of the store. An undeclared store is an error.
	OpenStore(spec Spec) (Store, error)
}

// settings are the parts of a descriptor that do not depend on its types.
type settings struct {
	name        string
	renamedFrom string
	source      string
	inMemory    bool
	unlogged    bool
	retention   time.Duration
	size        time.Duration
	timeFirst   bool
	timeIndex   bool
	duplicates  bool // makes a window store one of records
	maxRows     int
}

// windowed tells whether a store drops rows by age.
func (k Kind) windowed() bool { return k == KindWindow || k == KindDuplicates }

func (s settings) windowKind() Kind {
	if s.duplicates {
		return KindDuplicates
	}
	return KindWindow
}

func (s settings) info(kind Kind, k, v reflect.Type) Info {
	i := Info{
		Name: s.name, RenamedFrom: s.renamedFrom, Source: s.source, Kind: kind, KeyType: k.String(), ValueType: v.String(),
		InMemory: s.inMemory, Changelog: !s.unlogged, Retention: s.retention, MaxRows: s.maxRows, Layout: "key",
	}
	switch kind {
	case KindWindow, KindDuplicates:
		i.Layout = s.layout().String()
	case KindSession:
		i.Layout = s.sessionLayout().String()
	case KindVersioned:
		i.Layout = s.versionedLayout().String()
	}
	return i
}

// codec turns the rows of a store into bytes and back, and knows whether values may be kept decoded.
type codec[K, V any] struct {
	key   serde.Serde[K]
	value serde.Serde[V]
	clone func(V) V
}

// decoded tells whether a store may hold on to values as they are. Shared memory is the danger: an aggregate changed in place by
// a user function would change the overlay behind the journal's back, survive an abort and make old equal new.
func (c codec[K, V]) decoded() bool {
	return c.clone != nil || pointerFree(reflect.TypeFor[V](), 0)
}

// PointerFree tells whether values of T share no memory that a user function could change: then a value that is kept stays as it is, and == compares
// all of it.
func PointerFree[T any]() bool { return pointerFree(reflect.TypeFor[T](), 0) }

// pointerFree tells whether values of t share no memory that a user function could change. Strings are immutable, and
// so is what a time.Time points to.
func pointerFree(t reflect.Type, depth int) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return true
	case reflect.Array:
		return pointerFree(t.Elem(), depth+1)
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return true
		}
		for f := range t.Fields() {
			if !pointerFree(f.Type, depth+1) {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// bind returns the codec for the store, or for the topic that it has the bytes of.
func (c codec[K, V]) bind(store string) (codec[K, V], error) {
	var err error
	if c.key == nil || c.value == nil {
		return c, fmt.Errorf("store %q has no serde for its key or its value", store)
	}
	if b, ok := c.key.(serde.Binder[K]); ok {
		if c.key, err = b.Bind(store, serde.Key); err != nil {
			return c, fmt.Errorf("bind key serde of store %q: %w", store, err)
		}
	}
	if b, ok := c.value.(serde.Binder[V]); ok {
		if c.value, err = b.Bind(store, serde.Value); err != nil {
			return c, fmt.Errorf("bind value serde of store %q: %w", store, err)
		}
	}
	return c, nil
}
