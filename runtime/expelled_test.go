package runtime

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/testbroker"
)

// An instance that freezes between two generations is thrown out of the group, and another one runs its tasks. When it wakes and joins, the client does not
// say that anything was lost; what it has not committed must not be committed under its new membership.
func TestRebalance_AnExpelledInstanceCommitsNothingOfBefore(t *testing.T) {
	t.Parallel()
	b := testbroker.Start(t)
	p := newPipeline(b, 2)
	cfg := quick(b, p.application)
	cfg.StateDir = t.TempDir()
	other := cfg
	other.StateDir = t.TempDir()

	var arm atomic.Bool
	var frozen *instance
	expel := make(chan struct{})
	woken := make(chan struct{})
	wake := sync.OnceFunc(func() { close(woken) })
	cfg.OnState = func(_, to State) {
		if to == Rebalancing && arm.CompareAndSwap(true, false) { // before the join is sent
			close(expel)
			<-woken
		}
	}
	frozen = launch(t, p.build(t, newTrace(p)), cfg)
	t.Cleanup(wake)
	frozen.running(b)
	p.send(100)
	p.awaitCounted(t, frozen)

	arm.Store(true)
	frozen.app.consumer.ForceRebalance()
	<-expel
	member, _ := frozen.app.consumer.GroupMetadata()
	req := kmsg.NewPtrLeaveGroupRequest()
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = member
	req.Group, req.MemberID, req.Members = p.application, member, append(req.Members, m)
	_, err := req.RequestWith(context.Background(), b.Client())
	require.NoError(t, err)
	p.send(40)
	second := launch(t, p.build(t, newTrace(p)), other)
	second.running(b)
	p.awaitCounted(t, second)
	second.end()
	wake()

	p.send(40)
	p.awaitCounted(t, frozen)
	frozen.end()
	requireCounts(t, b, p.counts, p.sent)
}
