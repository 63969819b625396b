package state

import (
	"fmt"
	"iter"

	"github.com/weirstream/weir/serde"
)

// All yields every row, in key order, as of the start of the loop; puts and deletes inside it are legal. An error ends it.
func (s *KeyValueStore[K, V]) All() iter.Seq2[Entry[K, V], error] {
	return s.entries(s.everything, false)
}

// AllReverse is All from the last key to the first.
func (s *KeyValueStore[K, V]) AllReverse() iter.Seq2[Entry[K, V], error] {
	return s.entries(s.everything, true)
}

// Range yields the rows with from <= key < to, in key order; like All otherwise.
func (s *KeyValueStore[K, V]) Range(from, to K) iter.Seq2[Entry[K, V], error] {
	return s.entries(s.between(from, to), false)
}

// RangeReverse is Range from the last key to the first: the rows with from <= key < to.
func (s *KeyValueStore[K, V]) RangeReverse(from, to K) iter.Seq2[Entry[K, V], error] {
	return s.entries(s.between(from, to), true)
}

// Prefix yields the rows whose encoded keys begin with the bytes of prefix, in key order; like All otherwise. The encoding is the prefix's own: with
// serde.String, a text that keys made by serde.String begin with.
func (s *KeyValueStore[K, V]) Prefix[P any](prefix P, encoding serde.Serde[P]) iter.Seq2[Entry[K, V], error] {
	return s.entries(func() (lo, hi []byte, err error) {
		if s.broken != nil {
			return nil, nil, s.broken
		}
		if encoding == nil {
			return nil, nil, fmt.Errorf("read store %q by prefix: the prefix has no serde", s.overlay.info.Name)
		}
		if lo, err = encoding.Append([]byte{}, prefix); err != nil {
			return nil, nil, fmt.Errorf("encode prefix of keys of store %q: %w", s.overlay.info.Name, err)
		}
		return lo, successor(lo), nil
	}, false)
}

func (s *KeyValueStore[K, V]) everything() (lo, hi []byte, err error) { return nil, nil, s.broken }

func (s *KeyValueStore[K, V]) between(from, to K) func() (lo, hi []byte, err error) {
	return func() (lo, hi []byte, err error) {
		if lo, err = s.encode(from); err != nil {
			return nil, nil, err
		}
		lo = append([]byte(nil), lo...)
		if hi, err = s.encode(to); err != nil {
			return nil, nil, err
		}
		return lo, append([]byte{}, hi...), nil
	}
}

// entries yields the rows of a range whose bounds are made when the loop starts.
func (s *KeyValueStore[K, V]) entries(bounds func() (lo, hi []byte, err error), reverse bool) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		lo, hi, err := bounds()
		if err != nil {
			yield(Entry[K, V]{}, err)
			return
		}
		for r, err := range s.overlay.scan(lo, hi, reverse) {
			var e Entry[K, V]
			if err == nil {
				e, err = s.entry(r)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (s *KeyValueStore[K, V]) entry(r scanned[V]) (e Entry[K, V], err error) {
	if e.Key, err = s.key.Decode(r.key); err != nil {
		return e, fmt.Errorf("decode key of store %q: %w", s.overlay.info.Name, err)
	}
	v, ts, err := s.overlay.open(r)
	e.Value, e.Timestamp = v, fromMs(ts)
	return e, err
}
