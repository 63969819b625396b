package stream_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/stream"
	"github.com/weirstream/weir/stream/streamtest"
)

type foreignDescriptor = stream.ForeignJoin[string, string, string, string]

func TestBuild_RefusesForeignJoinsThatAreIncomplete(t *testing.T) {
	t.Parallel()
	noSerde := "the descriptor of the join \"join\" has no serde for one of its keys or values: give it all four"
	text := serde.String()
	tests := []struct {
		name string
		via  foreignDescriptor
		want string
	}{
		{"none", foreignDescriptor{}, "the descriptor of the join has no name: make it with NewForeignJoin"},
		{"no key", stream.NewForeignJoin[string, string, string, string]("join", nil, text, text, text), noSerde},
		{"no value", stream.NewForeignJoin[string, string, string, string]("join", text, nil, text, text), noSerde},
		{"no foreign key", stream.NewForeignJoin[string, string, string, string]("join", text, text, nil, text), noSerde},
		{"no foreign value", stream.NewForeignJoin[string, string, string, string]("join", text, text, text, nil), noSerde},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := stream.NewBuilder()
			l := b.Table(lines("left"), lineStore("left"))
			result, pos := l.JoinForeign(l, foreignKey, plus, test.via), here()
			result.ToStream().To(lines("out"))
			requireFault(t, b, pos, "join-foreign: "+test.want)
		})
	}
}

func TestBuild_RefusesForeignJoinsOfOtherBuilders(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	l := b.Table(lines("left"), lineStore("left"))
	other := stream.NewBuilder().Table(lines("right"), lineStore("right"))
	_, pos := l.LeftJoinForeign(other, foreignKey, leftPlus, foreign("join")), here()
	requireFault(t, b, pos, "left-join-foreign: a handle is empty or belongs to another builder")

	b = stream.NewBuilder()
	l = b.Table(lines("left"), lineStore("left"))
	_, pos = l.JoinForeign(lineTable{}, foreignKey, plus, foreign("join")), here()
	requireFault(t, b, pos, "join-foreign: a handle is empty or belongs to another builder")

	var none lineTable
	none.JoinForeign(none, foreignKey, plus, foreign("join")).Materialize(lineStore("result")).ToStream().To(lines("out"))
	none.LeftJoinForeignWithKey(none, func(_, v string) (string, bool) { return foreignKey(v) }, leftPlus, foreign("join"))
}

func TestBuild_RefusesReadersOfAForeignJoinThatIsNotKept(t *testing.T) {
	t.Parallel()
	const want = "the result of the join \"join\" is read by other operators: keep it with Materialize"
	result := func(b *stream.Builder) (lineTable, string) {
		l, r := b.Table(lines("left"), lineStore("left")), b.Table(lines("right"), lineStore("right"))
		return l.JoinForeign(r, foreignKey, plus, foreign("join")), here()
	}
	b := stream.NewBuilder()
	table, _ := result(b)
	_, pos := b.Stream(lines("in")).JoinTable(table, plus), here()
	requireFault(t, b, pos, "join-table \"join-table-")

	b = stream.NewBuilder()
	table, pos = result(b)
	table.Filter(hasA)
	requireFault(t, b, pos, "join-foreign \"join\": "+want)

	b = stream.NewBuilder()
	table, _ = result(b)
	table.Filter(hasA)
	table.Materialize(lineStore("result")) // late, and in time
	_, err := b.Build()
	require.NoError(t, err)
}

func TestBuild_RefusesAForeignJoinThatIsUsedTwice(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	l := b.Table(lines("left"), lineStore("left"))
	l.JoinForeign(l, foreignKey, plus, foreign("join"))
	l.JoinForeign(l, foreignKey, plus, foreign("join"))
	_, err := b.Build()
	require.ErrorContains(t, err, "the repartition is used already at join_foreign_build_test.go:")
}

func TestJoinForeign_HasTopicsOfItsTablesPartitions(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	l, r := b.Table(lines("left"), lineStore("left")), b.Table(lines("right"), lineStore("right"))
	l.JoinForeign(r, foreignKey, plus, foreign("join")).ToStream().To(lines("out"))
	top, err := b.Build()
	require.NoError(t, err)
	require.Len(t, top.Subtopologies(), 2, "one at each table")
	counts := map[string]int32{"left": 3, "right": 5}
	plan, err := top.Plan("app", func(topic string) (int32, bool) { return counts[topic], true })
	require.NoError(t, err)
	require.EqualValues(t, 5, plan.Partitions["app-join-subscription-repartition"])
	require.EqualValues(t, 5, plan.Partitions["app-join-subscriptions-changelog"])
	require.EqualValues(t, 3, plan.Partitions["app-join-response-repartition"])
	require.Len(t, plan.Tasks, 8)
}

// The serdes of a registry depend on the topic: what the nodes of a join compare must have one form.
func TestJoinForeign_BindsItsSerdes(t *testing.T) {
	t.Parallel()
	text := boundSerde{}
	b := stream.NewBuilder()
	topic := func(name string) stream.Topic[string, string] {
		return stream.NewTopic[string, string](name, text, text)
	}
	store := func(name string) state.KeyValueSpec[string, string] {
		return state.KeyValue[string, string](name, text, text)
	}
	l, r := b.Table(topic("left"), store("left")), b.Table(topic("right"), store("right"))
	via := stream.NewForeignJoin[string, string, string, string]("join", text, text, text, text)
	l.JoinForeign(r, foreignKey, plus, via).Materialize(store("result")).ToStream().To(lines("out"))
	d := start(t, b)
	send := func(name, k, v string) {
		d.SendRaw(name, []byte(name+":"+k), []byte(name+":"+v), at(1))
	}
	send("right", "a", "A")
	send("left", "k", "a:1")
	send("left", "k", "a:2")
	send("right", "a", "B")
	require.Equal(t, []streamtest.Pair[string, string]{{Key: "k", Value: "a:1+A"}, {Key: "k", Value: "a:2+A"}, {Key: "k", Value: "a:2+B"}},
		streamtest.Output(d, lines("out")).Pairs())
	require.Zero(t, d.Dropped(""))
}

// A boundSerde writes the topic's name before the text, and reads no other topic's.
type boundSerde struct{ topic string }

func (s boundSerde) Bind(topic string, _ serde.Role) (serde.Serde[string], error) {
	return boundSerde{topic + ":"}, nil
}

func (s boundSerde) Append(dst []byte, v string) ([]byte, error) {
	return append(append(dst, s.topic...), v...), nil
}

func (s boundSerde) Decode(b []byte) (string, error) {
	v, ok := strings.CutPrefix(string(b), s.topic)
	if !ok {
		return "", fmt.Errorf("%q is not of %q", b, s.topic)
	}
	return v, nil
}
