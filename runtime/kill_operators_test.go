package runtime

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/internal/testbroker"
)

// TestKill_LeavesEveryOperatorExact kills one of two instances that run an operator of every kind again and again, at the points of a commit and at random.
// What comes out must be what comes out of an undisturbed run.
func TestKill_LeavesEveryOperatorExact(t *testing.T) {
	b := testbroker.Start(t)
	kills := 2
	if b.Real() {
		kills = 12
	}
	o := orchestra{Prefix: b.Name("orchestra"), From: time.UnixMilli(1_700_000_000_000).UTC(), Partitions: 4}
	o.create(t, b)
	dirs := []string{t.TempDir(), t.TempDir()}
	plan := func(i int) killPlan {
		return killPlan{Brokers: b.Addrs(), Application: b.Name("kill"), StateDir: dirs[i], Orchestra: &o}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	points := []string{pointBeforeFlush, pointAfterEnd, pointBetween, "", pointBeforeEnd}

	children, rounds := []*child{startChild(t, plan(0)), startChild(t, plan(1))}, 0
	send := func() {
		b.Produce(o.round(rounds)...)
		rounds++
	}
	send()
	for k := range kills {
		i := k % 2
		p := plan(i)
		p.Point, p.Hits = points[k%len(points)], 1+random.Int64N(6)
		_ = children[i].stdin.Close() // a clean stop, so that the next life has the point
		require.NoError(t, <-children[i].done, children[i].logs.String())
		children[i] = startChild(t, p)
		children[i].restored()
		after := time.Now().Add(time.Duration(random.IntN(300)) * time.Millisecond)
		var died error
		b.Eventually("the child dies", func() bool {
			select {
			case died = <-children[i].done:
				return true
			default:
			}
			if p.Point == "" && time.Now().After(after) {
				_ = children[i].cmd.Process.Kill()
			}
			if o.caughtUp(b, p.Application) {
				send()
			}
			return false
		})
		require.ErrorContains(t, died, "signal: killed", "kill %d at %q:\n%s", k, p.Point, children[i].logs)
		t.Logf("kill %d of instance %d at %q in round %d", k, i, p.Point, rounds)
		children[i] = startChild(t, plan(i))
	}
	for range 2 { // the last closes what the one before has left open
		b.Eventually("the round is done", func() bool { return o.caughtUp(b, plan(0).Application) })
		send()
	}
	b.Eventually("all is done", func() bool { return o.settled(b, plan(0).Application) })
	for _, c := range children {
		_ = c.stdin.Close()
		require.NoError(t, <-c.done, c.logs.String())
	}
	t.Logf("%d rounds, %d records out, %d kills", rounds, o.requireExact(t, b, rounds), kills)
}
