package dlq_test

import (
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/dlq"
)

// delays returns what a policy answers to a record that fails again and again: the delays of its retries, and the
// decision that ends them.
func delays(p dlq.Policy) ([]time.Duration, dlq.Decision) {
	var waited []time.Duration
	for attempt := 1; ; attempt++ {
		d := dlq.Resolve(p, &dlq.Failure{Node: "n", Stage: dlq.Process, Attempts: attempt, Err: io.EOF})
		if d.Action != dlq.ActionRetry {
			return waited, d
		}
		waited = append(waited, d.Delay)
	}
}

func TestRetry_RetriesThenAsksTheNextPolicy(t *testing.T) {
	t.Parallel()
	const s, m = time.Second, time.Minute
	sent := dlq.Decision{Action: dlq.ActionSend, Reason: "processing-failed"}
	tests := []struct {
		name   string
		policy dlq.Policy
		waited []time.Duration
		end    dlq.Decision
	}{
		{"fails by itself", dlq.Retry(2, dlq.Constant(s)), []time.Duration{s, s}, dlq.Decision{}},
		{"then send", dlq.Retry(1, dlq.Constant(s)).Then(dlq.Send()), []time.Duration{s}, sent},
		{"no retries", dlq.Retry(0, dlq.Constant(s)).Then(dlq.Send()), nil, sent},
		{
			"doubling to the limit", dlq.Retry(5, dlq.Exponential(s, 5*s)),
			[]time.Duration{s, 2 * s, 4 * s, 5 * s, 5 * s}, dlq.Decision{},
		},
		{
			"retries add up, each with its own backoff",
			dlq.Retry(2, dlq.Exponential(s, m)).Then(dlq.Retry(3, dlq.Exponential(m, 3*m)).Then(dlq.Send())),
			[]time.Duration{s, 2 * s, m, 2 * m, 3 * m}, sent,
		},
		{
			"negative retries are none", dlq.Retry(-5, dlq.Constant(s)).Then(dlq.Retry(1, dlq.Constant(m))),
			[]time.Duration{m}, dlq.Decision{},
		},
		{"zero policy fails", dlq.RetryPolicy{}, nil, dlq.Decision{}},
		{"Then without a policy fails", dlq.Retry(1, dlq.Constant(s)).Then(nil), []time.Duration{s}, dlq.Decision{}},
		{"invalid backoff has no delay", dlq.Retry(2, dlq.Constant(-s)), []time.Duration{0, 0}, dlq.Decision{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			waited, end := delays(tt.policy)
			require.Equal(t, tt.waited, waited)
			require.Equal(t, tt.end, end)
		})
	}
}

func TestRetry_ShowsTheNextPolicyAllAttempts(t *testing.T) {
	t.Parallel()
	seen := 0
	spy := policyFunc(func(f *dlq.Failure) dlq.Decision {
		seen = f.Attempts
		return dlq.Decision{Action: dlq.ActionSkip}
	})
	second := dlq.Constant(time.Second)
	_, end := delays(dlq.Retry(2, second).Then(dlq.Retry(3, second).Then(spy)))
	require.Equal(t, dlq.ActionSkip, end.Action)
	require.Equal(t, 6, seen)
}

func TestRetry_CountsMissingAttemptsAsTheFirst(t *testing.T) {
	t.Parallel()
	for _, attempts := range []int{math.MinInt, -1, 0, 1} {
		d := dlq.Retry(1, dlq.Constant(time.Second)).Decide(&dlq.Failure{Attempts: attempts})
		require.Equal(t, dlq.Decision{Action: dlq.ActionRetry, Delay: time.Second}, d)
	}
	endless := dlq.Retry(math.MaxInt-1, dlq.Constant(1)).Then(dlq.Retry(math.MaxInt, dlq.Constant(2)))
	require.Equal(t, time.Duration(2), endless.Decide(&dlq.Failure{Attempts: math.MaxInt}).Delay)
}

func TestThen_LeavesItsReceiverAlone(t *testing.T) {
	t.Parallel()
	r := dlq.Retry(0, dlq.Constant(time.Second))
	_ = r.Then(dlq.Send())
	require.Equal(t, dlq.ActionFail, r.Decide(&dlq.Failure{Attempts: 1}).Action)
}

func TestExponential_DoublesWithoutOverflow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "first"))
		limit := time.Duration(rapid.Int64Range(int64(first), math.MaxInt64).Draw(t, "limit"))
		b := dlq.Exponential(first, limit)
		require.NoError(t, b.Validate())
		require.Equal(t, first, b.Delay(1))
		for retry := 1; retry < 70; retry++ {
			now, next := b.Delay(retry), b.Delay(retry+1)
			want := limit
			if now <= limit-now {
				want = 2 * now
			}
			require.Equal(t, want, next, "retry %d", retry)
		}
		require.Equal(t, limit, b.Delay(math.MaxInt))
	})
}

func TestBackoff_DelayIsNeverNegative(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := time.Duration(rapid.Int64().Draw(t, "limit"))
		b := dlq.Exponential(time.Duration(rapid.Int64().Draw(t, "first")), limit)
		d := b.Delay(rapid.Int().Draw(t, "retry"))
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.LessOrEqual(t, d, max(limit, 0))
	})
}
