package topology

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// manifestVersion is the version of a manifest's encoding. It goes up when a program of today would read a new one wrongly.
const manifestVersion = 1

// A Manifest is what a topology leaves behind that a later one must take over: the topics it reads, its repartitions and its stores, by their durable
// names, and which of them belong to one subtopology; and the global stores. It depends on the program alone, and not on what its operators do, nor on the
// topics that its patterns match.
//
// Keep the encoded manifest of a program that runs, and Compare it with that of the one to come.
type Manifest struct {
	// Version is that of the encoding.
	Version int `json:"version"`
	// Subtopologies are in the order of their ids, which are part of the names of tasks.
	Subtopologies []SubtopologyManifest `json:"subtopologies"`
	// Globals are in the order of their names.
	Globals []GlobalManifest `json:"globals,omitempty"`
}

// A SubtopologyManifest is what is durable of a subtopology. All lists are in the order of the names.
type SubtopologyManifest struct {
	// Sources are the topics of the cluster that it reads by their names, Patterns the expressions by which it reads others.
	Sources  []string `json:"sources,omitempty"`
	Patterns []string `json:"patterns,omitempty"`
	// Repartitions are the topics of the application's own that it reads, those of joins by foreign key too.
	Repartitions []RepartitionManifest `json:"repartitions,omitempty"`
	Stores       []StoreManifest       `json:"stores,omitempty"`
}

// A RepartitionManifest is a topic of the application's own.
type RepartitionManifest struct {
	// Name is the durable name, without application and suffix.
	Name string `json:"name"`
	// KeyType and ValueType are Go types.
	KeyType   string `json:"key"`
	ValueType string `json:"value"`
	// Partitions is the number that the program fixes, 0 if it does not.
	Partitions int32 `json:"partitions,omitempty"`
}

// A StoreManifest is a store.
type StoreManifest struct {
	// Name is the durable name: that of RenamedFrom, if the store was renamed.
	Name string `json:"name"`
	Kind string `json:"kind"`
	// KeyType and ValueType are Go types.
	KeyType   string `json:"key"`
	ValueType string `json:"value"`
	// RetentionMs is that of state.Info, in milliseconds; 0 for stores that keep their rows.
	RetentionMs int64 `json:"retention_ms,omitempty"`
	// MaxRows is how many rows an LRU store keeps.
	MaxRows   int  `json:"max_rows,omitempty"`
	Changelog bool `json:"changelog,omitempty"`
	InMemory  bool `json:"in_memory,omitempty"`
	// Source is the topic that the store is restored from in place of a changelog of its own.
	Source string `json:"source,omitempty"`
	// Layout says how rows lie on the disk of an instance.
	Layout string `json:"layout,omitempty"`
}

// A GlobalManifest is a global store.
type GlobalManifest struct {
	// Name is the durable name, and Topic the topic that fills the store.
	Name  string `json:"name"`
	Topic string `json:"topic"`
	Kind  string `json:"kind"`
	// KeyType and ValueType are Go types.
	KeyType   string `json:"key"`
	ValueType string `json:"value"`
	InMemory  bool   `json:"in_memory,omitempty"`
}

// Manifest returns the manifest of the topology.
func (t *Topology) Manifest() Manifest {
	m := Manifest{Version: manifestVersion, Subtopologies: []SubtopologyManifest{}}
	for _, s := range t.subs {
		m.Subtopologies = append(m.Subtopologies, s.manifest())
	}
	for _, g := range t.globals {
		i := g.spec.Info()
		m.Globals = append(m.Globals, GlobalManifest{
			Name: i.DurableName(), Topic: g.Topic(), Kind: string(i.Kind), KeyType: i.KeyType, ValueType: i.ValueType, InMemory: i.InMemory,
		})
	}
	slices.SortFunc(m.Globals, func(a, b GlobalManifest) int { return strings.Compare(a.Name, b.Name) })
	return m
}

func (s *Subtopology) manifest() SubtopologyManifest {
	var m SubtopologyManifest
	for _, n := range s.nodes {
		switch topic := n.topic; {
		case n.kind != SourceNode:
		case topic.internal:
			m.Repartitions = append(m.Repartitions, RepartitionManifest{topic.name, topic.keyType, topic.valueType, topic.partitions})
		case topic.pattern != nil:
			m.Patterns = append(m.Patterns, topic.name)
		default:
			m.Sources = append(m.Sources, topic.name)
		}
	}
	for _, spec := range s.Stores() {
		i := spec.Info()
		m.Stores = append(m.Stores, StoreManifest{
			Name: i.DurableName(), Kind: string(i.Kind), KeyType: i.KeyType, ValueType: i.ValueType, RetentionMs: i.Retention.Milliseconds(),
			MaxRows: i.MaxRows, Changelog: i.Changelog, InMemory: i.InMemory, Source: i.Source, Layout: i.Layout,
		})
	}
	slices.Sort(m.Sources)
	slices.Sort(m.Patterns)
	slices.SortFunc(m.Repartitions, func(a, b RepartitionManifest) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Stores, func(a, b StoreManifest) int { return strings.Compare(a.Name, b.Name) })
	return m
}

// InternalTopics are the full names of the topics that the application has for itself, in alphabetical order.
func (m Manifest) InternalTopics(application string) []string {
	var topics []string
	for _, s := range m.Subtopologies {
		for _, r := range s.Repartitions {
			topics = append(topics, RepartitionTopic(application, r.Name))
		}
		for _, st := range s.Stores {
			if st.Changelog && st.Source == "" {
				topics = append(topics, ChangelogTopic(application, st.Name))
			}
		}
	}
	slices.Sort(topics)
	return topics
}

// Encode writes the manifest as compact JSON. The same program has the same bytes.
func (m Manifest) Encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return b, nil
}

// DecodeManifest reads what Encode wrote. A version that this program does not know is an error.
func DecodeManifest(b []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	if m.Version < 1 || m.Version > manifestVersion {
		return Manifest{}, fmt.Errorf("read manifest: it has version %d, this program reads 1 to %d: use a program as new as the one that wrote it",
			m.Version, manifestVersion)
	}
	return m, nil
}
