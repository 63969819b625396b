package stream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

type rowFunc = func(ctx context.Context, k string, v stream.Opt[string]) (stream.Opt[string], error)

// numbered gives each row a number from a store, with the offset of the update.
func numbered(n *stream.RowNode) (rowFunc, error) {
	st := numberStore("numbers").Open(n)
	return func(ctx context.Context, k string, v stream.Opt[string]) (stream.Opt[string], error) {
		seen, _, err := st.Get(k)
		if err = errors.Join(err, st.Put(k, seen+1)); err != nil {
			return stream.Opt[string]{}, err
		}
		switch v.Value {
		case "skip":
			return v, stream.ErrSkip
		case "bad":
			return v, errBad
		case "none":
			return stream.Opt[string]{}, nil
		}
		text := fmt.Sprintf("%s%v/%d/%d", v.Value, v.OK, seen+1, stream.Metadata(ctx).Offset)
		return stream.Opt[string]{Value: text, OK: true}, nil
	}, nil
}

func TestTableProcessValues_SeesEveryUpdateOnce(t *testing.T) {
	t.Parallel()
	records := []string{"k=a@1", "k=null@2", "k=none@3", "k=skip@4", "k=bad@5", "k=b@6"}
	for _, kept := range []bool{false, true} {
		b := stream.NewBuilder().OnError(dlq.Skip())
		table := b.Table(lines("in"), lineStore("in")).ProcessValues(numbered, stream.Stores(numberStore("numbers")))
		if kept {
			table.Materialize(lineStore("kept")).GroupBy(byInitial, through("groups")).Count(numberStore("counts"))
		}
		table.ToStream().To(lines("out"))
		d := start(t, b)
		feed(t, d, "in", records...)
		require.Equal(t, []string{"k=atrue/1/0@1", "k=false/2/1@2", "k=null@3", "k=btrue/5/5@6"}, read(d, "out"),
			"what was skipped keeps its writes, what failed does not")
		require.EqualValues(t, 1, d.Dropped("skipped"))
		require.EqualValues(t, 1, d.Dropped("failed"))
		if kept {
			require.Equal(t, []string{"k=btrue/5/5@6"}, rows(t, d, lineStore("kept")))
			require.Equal(t, []string{"a=0@2", "b=1@6", "f=0@3"}, rows(t, d, numberStore("counts")))
		}
	}
}

func TestTableProcessValues_IsReadFromItsStore(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.Table(lines("in"), lineStore("in")).ProcessValues(numbered, stream.Stores(numberStore("numbers")))
	b.Stream(lines("queries")).JoinTable(table, plus).To(lines("out"))
	table.Materialize(lineStore("kept"))
	d := start(t, b, streamtest.ManualCommit())
	feed(t, d, "in", "k=a@1", "k=b@2")
	feed(t, d, "queries", "k=1@3", "k=2@4")
	d.Commit()
	require.Equal(t, []string{"k=1+btrue/2/1@3", "k=2+btrue/2/1@4"}, read(d, "out"))
}

func TestBuild_RefusesReadsOfRowsThatProcessValuesDoesNotKeep(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(b *stream.Builder, table lineTable){
		"JoinTable": func(b *stream.Builder, table lineTable) { b.Stream(lines("s")).JoinTable(table, plus) },
		"Join":      func(b *stream.Builder, table lineTable) { b.Table(lines("s"), lineStore("s")).Join(table, plus) },
		"a derived table": func(b *stream.Builder, table lineTable) {
			table.MapValues(func(v string) string { return v }).Join(table, plus)
		},
		"Filter's old values": func(b *stream.Builder, table lineTable) { table.Filter(hasA) },
		"GroupBy": func(b *stream.Builder, table lineTable) {
			table.GroupBy(byInitial, through("g")).Count(numberStore("c"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			table, pos := b.Table(lines("in"), lineStore("in")).ProcessValues(numbered, stream.Stores(numberStore("numbers"))), here()
			use(b, table)
			require.Contains(t, faults(t, b), "the rows that ProcessValues at "+pos+" makes are not kept, and an operator downstream needs them: "+
				"add Materialize(state.KeyValue(")
		})
	}
}

func TestBuild_RefusesSetUpsOfRowsThatFail(t *testing.T) {
	t.Parallel()
	for want, setup := range map[string]func(n *stream.RowNode) (rowFunc, error){
		"bad value":                        func(*stream.RowNode) (rowFunc, error) { return nil, errBad },
		"its set-up returned no function":  func(*stream.RowNode) (rowFunc, error) { return nil, nil },
		`does not declare store "numbers"`: numbered,
		"set-up panics: worse":             func(*stream.RowNode) (rowFunc, error) { panic("worse") },
	} {
		b := stream.NewBuilder()
		b.Table(lines("in"), lineStore("in")).ProcessValues(setup)
		require.Contains(t, faults(t, b), want)
	}
	require.Equal(t, lineTable{}, lineTable{}.ProcessValues(numbered))
}

func TestTableProcessValues_KnowsTheTime(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	b.Table(lines("in"), lineStore("in")).ProcessValues(func(n *stream.RowNode) (rowFunc, error) {
		return func(context.Context, string, stream.Opt[string]) (stream.Opt[string], error) {
			now, ok := n.StreamTime()
			text := fmt.Sprint(now.UnixMilli(), ok, n.WallTime().UnixMilli(), n.Metadata().Topic)
			return stream.Opt[string]{Value: text, OK: true}, nil
		}, nil
	}).ToStream().To(lines("out"))
	d := start(t, b, streamtest.StartAt(at(77)))
	feed(t, d, "in", "k=a@9", "k=b@3")
	require.Equal(t, []string{"k=9 true 77in@9", "k=9 true 77in@3"}, read(d, "out"))
}
