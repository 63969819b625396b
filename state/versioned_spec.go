package state

import (
	"fmt"
	"reflect"
	"time"

	"github.com/weirstream/weir/serde"
)

// A VersionedSpec describes a store that keeps the versions of each key's row, by their time. Make one with Versioned; the methods return changed
// copies.
type VersionedSpec[K, V any] struct {
	settings
	codec codec[K, V]
}

// Versioned describes the versioned store of that durable name. A version that another has followed stays readable until stream time has passed the
// other's time by history; the newest stays for good. Rows are kept on disk and logged to the topic <application>-<name>-changelog.
func Versioned[K, V any](name string, key serde.Serde[K], value serde.Serde[V], history time.Duration) VersionedSpec[K, V] {
	return VersionedSpec[K, V]{settings{name: name, retention: history}, codec[K, V]{key: key, value: value}}
}

// InMemory keeps the committed rows on the heap: faster, bounded by memory, restored from the changelog at every start.
func (s VersionedSpec[K, V]) InMemory() VersionedSpec[K, V] { s.inMemory = true; return s }

// WithoutChangelog stops logging the store: what it holds is lost with the machine, or at every restart if it is in memory.
func (s VersionedSpec[K, V]) WithoutChangelog() VersionedSpec[K, V] { s.unlogged = true; return s }

// Clone lets the store keep values of a type with pointers decoded: see KeyValueSpec.Clone.
func (s VersionedSpec[K, V]) Clone(f func(V) V) VersionedSpec[K, V] { s.codec.clone = f; return s }

// Info implements Spec. Retention is the history.
func (s VersionedSpec[K, V]) Info() Info {
	return s.info(KindVersioned, reflect.TypeFor[K](), reflect.TypeFor[V]())
}

// Serdes returns the serdes of the store's keys and values.
func (s VersionedSpec[K, V]) Serdes() (serde.Serde[K], serde.Serde[V]) {
	return s.codec.key, s.codec.value
}

// Open returns the task's instance of the store, in a processor's set-up. An undeclared store fails the set-up.
func (s VersionedSpec[K, V]) Open(o Opener) *VersionedStore[K, V] {
	st, err := o.OpenStore(s)
	if v, ok := st.(*VersionedStore[K, V]); err == nil && ok {
		return v
	}
	return &VersionedStore[K, V]{broken: fmt.Errorf("store %q is not open: %w", s.name, notOpen(st, err))}
}

func (s VersionedSpec[K, V]) build(env *Env) (Store, error) {
	c, err := s.codec.bind(s.name)
	if err != nil {
		return nil, err
	}
	newest, older := *env, *env
	newest.table, older.table = env.table.part(newestPart), env.table.part(historyPart)
	newest.CacheBytes, older.CacheBytes = env.CacheBytes/2, env.CacheBytes/2
	return &VersionedStore[K, V]{
		newest: newOverlay(s.Info(), c, &newest),
		older:  newOverlay(s.Info(), codec[K, past[V]]{value: pastSerde[V]{c.value}, clone: pastClone(c.clone)}, &older),
		key:    c.key, time: env.Time, clock: env.Clock("store/" + s.durable()), layout: s.versionedLayout(),
		log: putLog[V]{name: s.name, value: c.value, off: s.unlogged, journal: env.Journal},
	}, nil
}
