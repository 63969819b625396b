package runtime

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
)

func TestSourceLog_IsWhatTheStoreIsRestoredFrom(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	table, in, out, id := b.Name("table"), b.Name("in"), b.Name("out"), b.Name("app")
	compact := "compact"
	_, err := b.Admin().CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &compact}, table)
	require.NoError(t, err)
	b.Create(in, 1)
	b.Create(out, 1)
	store := state.KeyValue("rows", serde.String(), serde.String())
	sent := 0
	life := func(dir string) Stats {
		s := stream.NewBuilder()
		rows := s.Table(text(table), store, stream.SourceIsChangelog())
		s.Stream(text(in)).LeftJoinTable(rows, func(v string, row stream.Opt[string]) string { return v + "=" + row.Value }).To(text(out))
		cfg := quick(b, id)
		cfg.StateDir = dir
		i := launch(t, built(t, s), cfg)
		b.Eventually("the table is read", func() bool { return b.Behind(id, table) == 0 })
		for k := range 50 {
			b.Produce(&kgo.Record{Topic: in, Key: []byte(fmt.Sprint(k)), Value: []byte("q")})
		}
		sent += 50
		b.Eventually("all is answered", func() bool { return committedOf(b, out) >= int64(sent) })
		i.end()
		for _, r := range b.Read(out)[sent-50:] {
			require.Equal(t, fmt.Sprintf("q=row%s", r.Key), string(r.Value))
		}
		return i.app.Stats()
	}
	for k := range 50 {
		b.Produce(&kgo.Record{Topic: table, Key: []byte(fmt.Sprint(k)), Value: []byte("old")})
		b.Produce(&kgo.Record{Topic: table, Key: []byte(fmt.Sprint(k)), Value: fmt.Appendf(nil, "row%d", k)})
	}
	here := t.TempDir()
	require.Zero(t, life(here).Restored, "nothing was committed before")
	require.Zero(t, life(here).Restored, "the disk has it")
	require.Positive(t, life(t.TempDir()).Restored, "another machine reads the source again")
	topics, err := b.Admin().ListTopics(t.Context())
	require.NoError(t, err)
	require.False(t, topics.Has(id+"-rows-changelog"))
}

func TestSourceLog_MustBeCompacted(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	table, id := b.Name("table"), b.Name("app")
	b.Create(table, 1)
	s := stream.NewBuilder()
	s.Table(text(table), state.KeyValue("rows", serde.String(), serde.String()), stream.SourceIsChangelog())
	cfg := quick(b, id)
	app, err := New(built(t, s), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, app.Run(t.Context()), "a store is restored from it: set it to compact")
}
