package stream_test

import (
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream/streamtest"
)

// views are how a script shows the stores of its program, by their names.
type views map[string]storeView

// A storeView prints the rows of a store in the task of a partition, in the store's order.
type storeView func(tb testing.TB, d *streamtest.Driver, partition int32) []string

// with adds the views of others.
func (v views) with(others ...views) views {
	for _, o := range others {
		for name, show := range o {
			v[name] = show
		}
	}
	return v
}

func printed[E any](tb testing.TB, rows iter.Seq2[E, error], line func(E) string) []string {
	tb.Helper()
	var out []string
	for e, err := range rows {
		require.NoError(tb, err)
		out = append(out, line(e))
	}
	return out
}

func keyValueRows[V any](spec state.KeyValueSpec[string, V]) views {
	return views{spec.Info().Name: func(tb testing.TB, d *streamtest.Driver, partition int32) []string {
		return printed(tb, streamtest.KeyValue(d, spec, partition).All(), func(e state.Entry[string, V]) string {
			return fmt.Sprintf("%s=%v@%d", e.Key, e.Value, e.Timestamp.UnixMilli())
		})
	}}
}

// globalTableRows shows a global store, whatever the partition.
func globalTableRows[V any](spec state.KeyValueSpec[string, V]) views {
	return views{spec.Info().Name: func(tb testing.TB, d *streamtest.Driver, _ int32) []string { return globalRows(tb, d, spec) }}
}

func windowRows[V any](spec state.WindowSpec[string, V]) views {
	return views{spec.Info().Name: func(tb testing.TB, d *streamtest.Driver, partition int32) []string {
		return printed(tb, streamtest.Window(d, spec, partition).All(), func(e state.Entry[serde.Windowed[string], V]) string {
			return fmt.Sprintf("%s=%v@%d", windowLabel(e.Key), e.Value, e.Timestamp.UnixMilli())
		})
	}}
}

func sessionRows[V any](spec state.SessionSpec[string, V]) views {
	return views{spec.Info().Name: func(tb testing.TB, d *streamtest.Driver, partition int32) []string {
		return printed(tb, streamtest.Session(d, spec, partition).All(), func(e state.Entry[serde.Windowed[string], V]) string {
			return fmt.Sprintf("%s=%v", windowLabel(e.Key), e.Value)
		})
	}}
}

// versionRows shows the versions of the keys, each with the time from which it is valid and, behind "until", the time of the next.
func versionRows(spec state.VersionedSpec[string, string], keys ...string) views {
	return views{spec.Info().Name: func(tb testing.TB, d *streamtest.Driver, partition int32) []string {
		st := streamtest.Versioned(d, spec, partition)
		var out []string
		for _, k := range keys {
			out = append(out, printed(tb, st.History(k, at(0), at(1_000_000)), func(v state.Version[string]) string {
				line := fmt.Sprintf("%s=%s@%d", k, v.Value, v.From.UnixMilli())
				if !v.To.IsZero() {
					line += fmt.Sprintf(" until %d", v.To.UnixMilli())
				}
				return line
			})...)
		}
		return out
	}}
}

// pairRows shows what a join of streams keeps of each side.
func pairRows(spec lineJoin) views {
	return windowStarts(spec.Left()).with(windowStarts(spec.Right()))
}

// windowStarts shows the rows of a store that keeps records by their times, not windows.
func windowStarts(spec state.WindowSpec[string, string]) views {
	return views{spec.Info().Name: func(tb testing.TB, d *streamtest.Driver, partition int32) []string {
		return printed(tb, streamtest.Window(d, spec, partition).All(), func(e state.Entry[serde.Windowed[string], string]) string {
			return fmt.Sprintf("%s=%s@%d", e.Key.Key, e.Value, e.Key.Start.UnixMilli())
		})
	}}
}

// unmatchedRows shows the records that wait for a partner.
func unmatchedRows(spec lineJoin) views {
	return views{spec.Unmatched().Info().Name: func(tb testing.TB, d *streamtest.Driver, partition int32) []string {
		rows := streamtest.JoinBuffer(d, spec.Unmatched(), partition).All()
		return printed(tb, rows, func(e state.BufferEntry[state.SideKey[string], state.SideValue[string, string]]) string {
			side, v := "right", e.Value.Right
			if e.Key.Left {
				side, v = "left", e.Value.Left
			}
			return fmt.Sprintf("%s %s=%s@%d", side, e.Key.Key, v, e.At.UnixMilli())
		})
	}}
}

// waitingRecords shows how many records a buffer holds.
func waitingRecords(spec state.Spec) views {
	return views{spec.Info().Name: func(_ testing.TB, d *streamtest.Driver, partition int32) []string {
		records, _ := streamtest.Waiting(d, spec, partition)
		return []string{fmt.Sprintf("%d waiting", records)}
	}}
}

// callLog shows the calls that a program noted since the last time.
func callLog(calls *[]string) views {
	return views{"calls": func(testing.TB, *streamtest.Driver, int32) []string {
		out := *calls
		*calls = nil
		return out
	}}
}
