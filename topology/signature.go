package topology

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Signature is that of the topology's manifest.
func (t *Topology) Signature() string { return t.Manifest().Signature() }

// Signature identifies what instances of one application must agree about while they run side by side: the whole manifest, but for what each instance
// decides for itself, which is how a store lies in memory or on disk and how much of the past it keeps, and for the fixed number of a repartition's
// partitions, which the topic itself has. What the operators do, and how they are named, does not change it.
func (m Manifest) Signature() string {
	shared := Manifest{Subtopologies: []SubtopologyManifest{}}
	for _, s := range m.Subtopologies {
		own := SubtopologyManifest{Sources: s.Sources, Patterns: s.Patterns}
		for _, r := range s.Repartitions {
			r.Partitions = 0
			own.Repartitions = append(own.Repartitions, r)
		}
		for _, st := range s.Stores {
			own.Stores = append(own.Stores, StoreManifest{
				Name: st.Name, Kind: st.Kind, KeyType: st.KeyType, ValueType: st.ValueType, Changelog: st.Changelog,
			})
		}
		shared.Subtopologies = append(shared.Subtopologies, own)
	}
	for _, g := range m.Globals {
		g.InMemory = false
		shared.Globals = append(shared.Globals, g)
	}
	b, _ := json.Marshal(shared) // nothing in it can fail
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
