package stream_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func TestMapValues_GivesEachRecordAValue(t *testing.T) {
	t.Parallel()
	runLines(t, []lineCase{
		{"MapValues", func(s lineStream) lineStream { return s.MapValues(strings.ToUpper) },
			[]string{"k=a@1", "null=b@2"}, []string{"k=A@1", "null=B@2"}, nil},
		{"MapValuesWithKey", func(s lineStream) lineStream {
			return s.MapValuesWithKey(func(k, v string) string { return k + v })
		}, []string{"k=a@1", "null=b@2"}, []string{"k=ka@1", "null=b@2"}, nil},
		{"TryMapValues", func(s lineStream) lineStream {
			return s.TryMapValues(func(ctx context.Context, _, v string) (string, error) {
				if v == "skip" {
					return "", stream.ErrSkip
				}
				return v + stream.Metadata(ctx).Topic, nil
			})
		}, []string{"k=a@1", "k=skip@2"}, []string{"k=ain@1"}, map[string]int64{"skipped": 1}},
		{"a tombstone passes uncalled", func(s lineStream) lineStream {
			return s.MapValues(func(string) string { panic("called") })
		}, []string{"k=null@1"}, []string{"k=null@1"}, nil},
	})
}

func TestMap_GivesEachRecordAKeyAndAValue(t *testing.T) {
	t.Parallel()
	swap := func(k, v string) (string, string) { return v, k }
	runLines(t, []lineCase{
		{"Map", func(s lineStream) lineStream { return s.Map(swap) },
			[]string{"k=a@1", "null=b@2", "k=null@3"}, []string{"a=k@1", "b=@2"}, map[string]int64{"null-value": 1}},
		{"TryMap", func(s lineStream) lineStream {
			return s.TryMap(func(_ context.Context, k, v string) (string, string, error) {
				if v == "skip" {
					return "", "", stream.ErrSkip
				}
				return v, k, nil
			})
		}, []string{"k=a@1", "k=skip@2"}, []string{"a=k@1"}, map[string]int64{"skipped": 1}},
		{"SelectKey", func(s lineStream) lineStream {
			return s.SelectKey(func(k, v string) string { return k + v })
		}, []string{"k=a@1", "null=b@2", "k=null@3"}, []string{"ka=a@1", "b=b@2"}, map[string]int64{"null-value": 1}},
	})
}

func TestFlatMap_GivesAnyNumberOfRecordsInOrder(t *testing.T) {
	t.Parallel()
	words := func(_, v string) iter.Seq2[string, string] {
		if v == "none" {
			return nil
		}
		return func(yield func(string, string) bool) {
			for i, w := range strings.Fields(v) {
				if !yield(w, strings.Repeat("x", i)) {
					return
				}
			}
		}
	}
	runLines(t, []lineCase{
		{"FlatMap", func(s lineStream) lineStream { return s.FlatMap(words) },
			[]string{"k=b a c@1", "k=none@2", "k=@3", "k=null@4"}, []string{"b=@1", "a=x@1", "c=xx@1"},
			map[string]int64{"null-value": 1}},
		{"TryFlatMap", func(s lineStream) lineStream {
			return s.TryFlatMap(func(_ context.Context, k, v string) (iter.Seq2[string, string], error) {
				if v == "skip" {
					return words(k, "not sent"), stream.ErrSkip
				}
				return words(k, v), nil
			})
		}, []string{"k=skip@1", "k=a b@2"}, []string{"a=@2", "b=x@2"}, map[string]int64{"skipped": 1}},
		{"FlatMapValues", func(s lineStream) lineStream { return s.FlatMapValues(strings.Fields) },
			[]string{"k=b a@1", "k=@2", "null=c d@3", "k=null@4"}, []string{"k=b@1", "k=a@1", "null=c@3", "null=d@3"},
			map[string]int64{"null-value": 1}},
		{"TryFlatMapValues", func(s lineStream) lineStream {
			return s.TryFlatMapValues(func(_ context.Context, _, v string) ([]string, error) {
				if v == "skip" {
					return []string{"not sent"}, stream.ErrSkip
				}
				return strings.Fields(v), nil
			})
		}, []string{"k=skip@1", "k=a b@2"}, []string{"k=a@2", "k=b@2"}, map[string]int64{"skipped": 1}},
	})
}

func TestFlatMap_SendsEachRecordAllTheWayBeforeTheNext(t *testing.T) {
	t.Parallel()
	var order []string
	between(t, func(s lineStream) lineStream {
		return s.FlatMapValues(strings.Fields).
			Peek(func(_, v string) { order = append(order, "1 "+v) }).
			Peek(func(_, v string) { order = append(order, "2 "+v) })
	}, "k=a b@1")
	require.Equal(t, []string{"1 a", "2 a", "1 b", "2 b"}, order)
}

func TestMapping_KeepsTimesAndHeaders(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(lines("in")).
		Filter(hasA).
		MapValues(strings.ToUpper).
		FlatMapValues(func(v string) []string { return []string{v, v} }).
		SelectKey(func(k, _ string) string { return k + k }).
		Map(func(k, v string) (string, string) { return k, v }).
		FlatMap(func(k, v string) iter.Seq2[string, string] { return maps.All(map[string]string{k: v}) }).
		Repartition(through("by-k")).
		Peek(func(string, string) {}).
		To(lines("out"))
	d := start(t, b)
	headers := []stream.Header{{Key: "trace", Value: []byte("1")}, {Key: "trace", Value: nil}, {Key: "", Value: []byte{}}}
	d.SendRaw("in", []byte("k"), []byte("a"), at(7), headers...)
	raws := d.ReadRaw("out")
	require.Len(t, raws, 2)
	for _, r := range raws {
		require.EqualValues(t, 7, r.TimestampMs)
		require.Equal(t, headers, r.Headers)
		require.Equal(t, "kk", string(r.Key))
	}
}

func TestMapping_ShowsNullsWhereTheTypeHasThem(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	s := b.Stream(optional("in"))
	var filtered, peeked []string
	s.Filter(func(_ string, v *string) bool { filtered = append(filtered, orNil(v)); return v == nil }).To(optional("filtered"))
	s.Peek(func(_ string, v *string) { peeked = append(peeked, orNil(v)) })
	s.MapValues(orNil).To(lines("values"))
	s.Map(func(k string, v *string) (string, string) { return orNil(v), k }).To(lines("mapped"))
	s.SelectKey(func(_ string, v *string) string { return orNil(v) }).To(optional("selected"))
	s.FlatMapValues(func(v *string) []*string { return []*string{v, nil} }).To(optional("flat"))
	yes, no := s.Split(func(_ string, v *string) bool { return v == nil })
	yes.To(optional("yes"))
	no.To(optional("no"))
	s.Repartition(stream.NewRepartition("again", serde.String(), serde.Nullable(serde.String()))).MapValues(orNil).To(lines("again"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=null@2")
	require.Equal(t, []string{"a", "nil"}, filtered)
	require.Equal(t, []string{"a", "nil"}, peeked)
	require.Equal(t, []string{"k=null@2"}, read(d, "filtered"))
	require.Equal(t, []string{"k=a@1", "k=nil@2"}, read(d, "values"))
	require.Equal(t, []string{"a=k@1", "nil=k@2"}, read(d, "mapped"))
	require.Equal(t, []string{"a=a@1", "nil=null@2"}, read(d, "selected"))
	require.Equal(t, []string{"k=a@1", "k=null@1", "k=null@2", "k=null@2"}, read(d, "flat"))
	require.Equal(t, []string{"k=null@2"}, read(d, "yes"))
	require.Equal(t, []string{"k=a@1"}, read(d, "no"))
	require.Equal(t, []string{"k=a@1", "k=nil@2"}, read(d, "again"))
	require.Zero(t, d.Dropped(""))
}

func TestMapValues_MakesANullOfANilPointer(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	var seen []string
	b.Stream(lines("in")).
		MapValues(func(v string) *string {
			if v == "drop" {
				return nil
			}
			return &v
		}).
		Filter(func(_ string, v *string) bool { seen = append(seen, orNil(v)); return true }).
		To(optional("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=drop@2", "k=null@3")
	require.Equal(t, []string{"k=a@1", "k=null@2", "k=null@3"}, read(d, "out"))
	require.Equal(t, []string{"a", "nil", "nil"}, seen, "behind the function the type has nulls")
}

func TestSelectKey_MakesARecordWithoutAKeyOfANilPointer(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	key := serde.Nullable(serde.String())
	b.Stream(lines("in")).
		SelectKey(func(_, v string) *string {
			if v == "none" {
				return nil
			}
			return &v
		}).
		To(stream.NewTopic("out", key, serde.String()))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=none@2")
	require.Equal(t, []string{"a=a@1", "null=none@2"}, read(d, "out"))
}

// A note is a type with a null of its own that is no pointer.
type note struct {
	text string
	null bool
}

type noteSerde struct{}

func (noteSerde) Append(dst []byte, n note) ([]byte, error) {
	if n.null {
		return dst, errors.New("encode null")
	}
	return append(dst, n.text...), nil
}

func (noteSerde) Decode(b []byte) (note, error) { return note{string(b), b == nil}, nil }
func (noteSerde) IsNull(n note) bool            { return n.null }

func TestNulls_OfATypeOfTheUsersOwnStayNulls(t *testing.T) {
	t.Parallel()
	notes := func(name string) stream.Topic[string, note] {
		return stream.NewTopic(name, serde.String(), noteSerde{})
	}
	b := stream.NewBuilder()
	var seen []note
	s := b.Stream(notes("in")).
		Filter(func(_ string, n note) bool { seen = append(seen, n); return true }).
		SelectKey(func(k string, n note) string { seen = append(seen, n); return k }).
		Repartition(stream.NewRepartition[string, note]("again", serde.String(), noteSerde{}))
	s.To(notes("out"))
	s.GroupByKey().Count(state.KeyValue("counts", serde.String(), decimal())).ToStream().To(numbers("counts"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=null@2")
	require.Equal(t, []note{{text: "a"}, {text: "a"}, {null: true}, {null: true}}, seen)
	require.Equal(t, []string{"k=a@1", "k=null@2"}, read(d, "out"))
	require.Equal(t, []string{"k=1@1"}, read(d, "counts"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
}

func TestSelectKey_KeepsTheNullOfATypeOfTheUsersOwn(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Stream(stream.NewTopic[string, note]("in", serde.String(), noteSerde{})).
		SelectKey(func(k string, _ note) string { return k }).
		Process(func(n *stream.Node[string, string]) (func(context.Context, stream.Record[string, note]) error, error) {
			return func(_ context.Context, r stream.Record[string, note]) error {
				return n.Forward(stream.Record[string, string]{Key: r.Key, Value: fmt.Sprint(r.Tombstone)})
			}, nil
		}).
		To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=a@1", "k=null@2")
	require.Equal(t, []string{"k=false@1", "k=true@2"}, read(d, "out"))
}
