package runtime

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weirstream/weir/internal/testbroker"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// rowsIn are the rows on disk of an instance that has ended, by task and store.
func rowsIn(t *testing.T, cfg Config) map[string][]string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(cfg.StateDir, cfg.ApplicationID, "*", "rows"))
	require.NoError(t, err)
	out := map[string][]string{}
	for _, dir := range dirs {
		owner := filepath.Base(filepath.Dir(dir))
		disk, err := state.OpenPebble(dir, state.PebbleOptions{})
		require.NoError(t, err)
		it, err := disk.Iterate(nil, nil, false)
		require.NoError(t, err)
		stores := map[uint16]string{}
		for it.Next() {
			k := it.Key()
			switch n := binary.BigEndian.Uint16(k); {
			case n == 0 && bytes.HasPrefix(k[2:], []byte("n")):
				stores[binary.BigEndian.Uint16(it.Value())] = string(k[3:])
			case n != 0:
				at := owner + "/" + stores[n]
				out[at] = append(out[at], fmt.Sprintf("%x=%x", k[2:], it.Value()))
			}
		}
		require.NoError(t, it.Err())
		require.NoError(t, it.Close())
		require.NoError(t, disk.Close())
	}
	return out
}

// changelogs are the topics of the orchestra's stores, by store.
func (o orchestra) changelogs(t *testing.T, application string) map[string]topology.InternalTopic {
	t.Helper()
	top, err := o.build()
	require.NoError(t, err)
	plan, err := top.Plan(application, func(string) (int32, bool) { return o.Partitions, true })
	require.NoError(t, err)
	out := map[string]topology.InternalTopic{}
	for _, topic := range plan.Internal {
		if topic.Store != "" {
			out[topic.Store] = topic
		}
	}
	return out
}

// requireConfigured demands that the cluster's topics have the configuration that the plan says.
func requireConfigured(t *testing.T, b *testbroker.Broker, topics map[string]topology.InternalTopic) {
	t.Helper()
	for _, topic := range topics {
		rs, err := b.Admin().DescribeTopicConfigs(t.Context(), topic.Name)
		require.NoError(t, err)
		require.NoError(t, rs[0].Err)
		has := map[string]string{}
		for _, c := range rs[0].Configs {
			if _, ok := topic.Config[c.Key]; ok {
				has[c.Key] = c.MaybeValue()
			}
		}
		if b.Real() { // the embedded cluster does not know all of them
			require.Equal(t, topic.Config, has, topic.Name)
		}
	}
}

// The logs are as they are after years: compacted, and cut off in front of what is too old to matter.
func TestRestore_BringsBackTheRowsOfEveryKind(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	o := orchestra{Prefix: b.Name("orchestra"), From: time.Now().Add(-3*orchestraRound - 6*time.Hour).Truncate(time.Second), Partitions: 2}
	o.create(t, b)
	cfg := quick(b, b.Name("app"))
	cfg.StateDir = t.TempDir()
	o.play(t, b, cfg, 0, 1)
	topics := o.changelogs(t, cfg.ApplicationID)
	requireConfigured(t, b, topics)
	var compacted, cut []string
	for _, topic := range topics {
		if topic.Config["cleanup.policy"] == "compact" {
			compacted = append(compacted, topic.Name)
		} else {
			cut = append(cut, topic.Name)
		}
	}
	if b.Real() {
		segments, dirt := "1", "0"
		altered, err := b.Admin().AlterTopicConfigs(t.Context(), []kadm.AlterConfig{
			{Name: "segment.ms", Value: &segments}, {Name: "min.cleanable.dirty.ratio", Value: &dirt},
		}, compacted...)
		require.NoError(t, err)
		for _, r := range altered {
			require.NoError(t, r.Err)
		}
	}
	o.play(t, b, cfg, 1, 3)
	ends, err := b.Admin().ListEndOffsets(t.Context(), cut...)
	require.NoError(t, err)
	o.play(t, b, cfg, 3, 4)
	deleted, err := b.Admin().DeleteRecords(t.Context(), ends.Offsets())
	require.NoError(t, err)
	require.NoError(t, deleted.Error())
	if !b.Real() {
		b.Fake.Compact()
	}
	b.Eventually("logs are compacted", func() bool { return len(b.Read(topics["rows"].Name)) <= 3*orchestraRows })
	want := rowsIn(t, cfg)
	cfg.StateDir = t.TempDir()
	s := o.play(t, b, cfg, 4, 4)
	require.Positive(t, s.Restored)
	got := rowsIn(t, cfg)
	require.NotEmpty(t, want["0_0/prices"])
	for at, rows := range want {
		if !strings.HasSuffix(at, "/prices") {
			require.Equal(t, rows, got[at], at)
		} else if b.Real() { // the embedded cluster compacts at once, and leaves no history
			require.Subset(t, got[at], rows, "%s: what is out of the history goes with the next records", at)
		}
	}
	require.Len(t, got, len(want))
}
