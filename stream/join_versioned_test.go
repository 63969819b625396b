package stream_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/dlq"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
	"github.com/weirstream/weir/topology"
)

var waiting = state.JoinBuffer("waiting", serde.String(), serde.String())

// waitingJoin joins the topics "in" and "table" into "out", left, after a grace of 10 ms.
func waitingJoin(opts ...stream.SourceOption) *stream.Builder {
	b := stream.NewBuilder().OnError(dlq.Skip())
	table := b.VersionedTable(lines("table"), versionedStore(100))
	b.Stream(lines("in"), opts...).LeftJoinVersioned(table, leftPlus, stream.Grace(in(10), waiting)).TryPeek(failOnBad).To(lines("out"))
	return b
}

func TestJoinVersioned_FindsTheRowOfTheRecordsTime(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.VersionedTable(lines("table"), versionedStore(50))
	b.Stream(lines("in")).JoinVersioned(table, plus).To(lines("out"))
	d := start(t, b)
	feed(t, d, "table", "k=a@10", "k=c@30", "k=b@20", "k=null@40")
	feed(t, d, "in", "k=1@10", "k=2@19", "k=3@20", "k=4@35", "k=5@40", "k=6@5", "null=7@10", "k=null@10", "l=8@10")
	require.Equal(t, []string{"k=1+a@10", "k=2+a@19", "k=3+b@20", "k=4+c@35"}, read(d, "out"))
	require.EqualValues(t, 1, d.Dropped("null-key"))
	require.EqualValues(t, 1, d.Dropped("null-value"))
	feed(t, d, "table", "l=z@100")
	feed(t, d, "in", "k=9@35", "l=10@99")
	require.Empty(t, read(d, "out"), "of before the history there is the newest row alone")
}

func TestJoinVersioned_WaitsForRowsThatComeLate(t *testing.T) {
	t.Parallel()
	d := start(t, waitingJoin())
	feed(t, d, "table", "k=a@1")
	feed(t, d, "in", "k=1@5", "k=0@2")
	require.Empty(t, read(d, "out"))
	feed(t, d, "table", "k=b@4") // comes behind the record that needs it
	feed(t, d, "in", "b=2@14")
	require.Equal(t, []string{"k=0+a@2"}, read(d, "out"), "14 has passed 4 by the grace")
	feed(t, d, "in", "b=3@3", "b=4@4")
	require.Equal(t, []string{"b=3+none@3", "b=4+none@4"}, read(d, "out"), "later than the grace: at once")
	feed(t, d, "in", "a=5@14", "a=6@5", "a=7@14", "b=8@24")
	require.Equal(t, []string{"a=6+none@5", "k=1+b@5", "a=5+none@14", "a=7+none@14", "b=2+none@14"}, read(d, "out"),
		"by time, key and arrival")
}

func TestJoinVersioned_KeepsHeadersWhileItWaits(t *testing.T) {
	t.Parallel()
	d := start(t, waitingJoin())
	d.SendRaw("in", []byte("k"), []byte("1"), at(5), topology.Header{Key: "trace", Value: []byte("x")}, topology.Header{Key: "none"})
	feed(t, d, "in", "l=2@50")
	got := d.ReadRaw("out")
	require.Len(t, got, 1)
	require.Equal(t, []topology.Header{{Key: "trace", Value: []byte("x")}, {Key: "none"}}, got[0].Headers)
}

func TestLeftJoinVersioned_JoinsRecordsWithoutAKeyAtOnce(t *testing.T) {
	t.Parallel()
	d := start(t, waitingJoin())
	feed(t, d, "in", "null=1@500", "k=2@5", "k=null@600")
	require.Equal(t, []string{"null=1+none@500"}, read(d, "out"), "and does not move the clock")
	require.EqualValues(t, 1, d.Dropped("null-value"))
	require.EqualValues(t, 1, d.Dropped(""))
}

func TestJoinVersioned_GoesOnWhileItsInputIsIdle(t *testing.T) {
	t.Parallel()
	d := start(t, waitingJoin(stream.IdleAfter(in(5))))
	feed(t, d, "in", "k=1@5", "k=2@8")
	d.Advance(in(11))
	d.Advance(in(11))
	require.Equal(t, []string{"k=1+none@5", "k=2+none@8"}, read(d, "out"))
}

func TestJoinVersioned_UndoesAFailedRecordWithWhatItReleased(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder().OnError(dlq.Skip())
	table := b.VersionedTable(lines("table"), versionedStore(100))
	s := b.Stream(lines("in"))
	s.LeftJoinVersioned(table, leftPlus, stream.Grace(in(10), waiting)).To(lines("out"))
	s.TryPeek(failOnBad)
	d := start(t, b)
	feed(t, d, "in", "k=1@5", "k=bad@50", "k=2@14")
	require.Empty(t, read(d, "out"), "the clock is back, the record waits again")
	feed(t, d, "in", "k=3@15")
	require.Equal(t, []string{"k=1+none@5"}, read(d, "out"))
}

func TestJoinVersioned_WithoutGraceNeedsNoBuffer(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	table := b.VersionedTable(lines("table"), versionedStore(100))
	b.Stream(lines("in")).LeftJoinVersioned(table, leftPlus, stream.Grace(0, waiting), stream.Named("at-once")).To(lines("out"))
	d := start(t, b)
	feed(t, d, "in", "k=1@5", "k=2@4", "null=3@4")
	require.Equal(t, []string{"k=1+none@5", "k=2+none@4", "null=3+none@4"}, read(d, "out"))
}

// A crash at any place changes nothing of what is committed in the end.
func TestJoinVersioned_SurvivesCrashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		calm, wild := start(t, waitingJoin()), start(t, waitingJoin(), streamtest.ManualCommit())
		now := int64(0)
		for i := range rapid.IntRange(1, 25).Draw(rt, "records") {
			ts := max(0, now+rapid.Int64Range(-15, 8).Draw(rt, "time"))
			now = max(now, ts)
			topic := rapid.SampledFrom([]string{"in", "in", "table"}).Draw(rt, "topic")
			value := rapid.SampledFrom([]string{fmt.Sprint(i), fmt.Sprint(i), "null"}).Draw(rt, "value")
			record := fmt.Sprintf("%s=%s@%d", rapid.SampledFrom([]string{"k", "l", "null"}).Draw(rt, "key"), value, ts)
			feed(t, calm, topic, record)
			feed(t, wild, topic, record)
			// The two inputs are one task: what is replayed is taken by time, so that all must be committed or none.
			switch rapid.SampledFrom([]string{"", "commit", "crash", "lose"}).Draw(rt, "then") {
			case "crash":
				wild.Commit()
				wild.Crash()
				wild.Restart()
			case "lose":
				wild.Commit()
				wild.Crash()
				wild.LoseDisk()
				wild.Restart()
			case "commit":
				wild.Commit()
			}
		}
		wild.Commit()
		require.Equal(rt, read(calm, "out"), read(wild, "out"))
		require.Equal(rt, versionsOf(t, calm, 100, "k"), versionsOf(t, wild, 100, "k"))
	})
}
