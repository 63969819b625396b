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
// names, and which of them belong to one subtopology. It depends on the program alone, and not on what its operators do.
//
// Keep the encoded manifest of a program that runs, and Compare it with that of the one to come.
type Manifest struct {
	// Version is that of the encoding.
	Version int `json:"version"`
	// Subtopologies are in the order of their ids, which are part of the names of tasks.
	Subtopologies []SubtopologyManifest `json:"subtopologies"`
}

// A SubtopologyManifest is what is durable of a subtopology. All lists are in the order of the names.
type SubtopologyManifest struct {
	// Sources are the topics of the cluster that it reads.
	Sources []string `json:"sources,omitempty"`
	// Repartitions are the topics of the application's own that it reads.
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
	Name string `json:"name"`
	Kind string `json:"kind"`
	// KeyType and ValueType are Go types.
	KeyType   string `json:"key"`
	ValueType string `json:"value"`
	// RetentionMs is that of a window store, in milliseconds; 0 for stores that keep their rows.
	RetentionMs int64 `json:"retention_ms,omitempty"`
	Changelog   bool  `json:"changelog,omitempty"`
	InMemory    bool  `json:"in_memory,omitempty"`
	// Layout says how rows lie on the disk of an instance.
	Layout string `json:"layout,omitempty"`
}

// Manifest returns the manifest of the topology.
func (t *Topology) Manifest() Manifest {
	m := Manifest{Version: manifestVersion, Subtopologies: []SubtopologyManifest{}}
	for _, s := range t.subs {
		m.Subtopologies = append(m.Subtopologies, s.manifest())
	}
	return m
}

func (s *Subtopology) manifest() SubtopologyManifest {
	var m SubtopologyManifest
	for _, n := range s.nodes {
		switch topic := n.topic; {
		case n.kind != SourceNode:
		case topic.internal:
			m.Repartitions = append(m.Repartitions, RepartitionManifest{topic.name, topic.keyType, topic.valueType, topic.partitions})
		default:
			m.Sources = append(m.Sources, topic.name)
		}
	}
	for _, spec := range s.Stores() {
		i := spec.Info()
		m.Stores = append(m.Stores, StoreManifest{
			Name: i.Name, Kind: string(i.Kind), KeyType: i.KeyType, ValueType: i.ValueType, RetentionMs: i.Retention.Milliseconds(),
			Changelog: i.Changelog, InMemory: i.InMemory, Layout: i.Layout,
		})
	}
	slices.Sort(m.Sources)
	slices.SortFunc(m.Repartitions, func(a, b RepartitionManifest) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Stores, func(a, b StoreManifest) int { return strings.Compare(a.Name, b.Name) })
	return m
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
