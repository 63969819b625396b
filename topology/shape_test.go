package topology_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/topology"
)

func TestDiamonds(t *testing.T) {
	top := build(t, func(b *topology.Builder) {
		p := read(b, text("in"))
		for i := range 26 {
			p = topology.Merge(node("merge", fmt.Sprint("m", i)), pass(p, node("a", fmt.Sprint("a", i))), pass(p, node("b", fmt.Sprint("b", i))))
		}
		p.Through(rekey("r"), via("r", ""))
		write(p, text("out"))
		b.Copartition("join", "j", p, read(b, text("other")))
	})
	_, err := top.Plan("shop", cluster{"in": 2, "other": 2}.partitions)
	require.NoError(t, err)
}

func TestTransitive(t *testing.T) {
	p := plan(t, cluster{"four": 4, "two": 2, "eight": 8}, func(b *topology.Builder) {
		a := read(b, text("eight")).Through(rekey("a"), via("r", ""))
		d := read(b, text("two")).Through(rekey("d"), via("r", ""))
		b.Copartition("join", "1", d, read(b, text("four")))
		b.Copartition("join", "2", d, a)
	})
	require.Equal(t, int32(4), p.Partitions["shop-a-repartition"])
}

func TestNames(t *testing.T) {
	build(t, func(b *topology.Builder) {
		write(read(b, text("_schemas")), text(strings.Repeat("x", 249)))
	})
}

func TestNoOp(t *testing.T) {
	build(t, func(b *topology.Builder) {
		pass(read(b, text("in")), topology.NodeSpec{})
	})
}
