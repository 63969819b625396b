package dlq_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
)

// policyFunc is a user's own policy.
type policyFunc func(f *dlq.Failure) dlq.Decision

func (p policyFunc) Decide(f *dlq.Failure) dlq.Decision { return p(f) }

// answer is a user's policy that always says the same, and may be wrong.
func answer(d dlq.Decision) dlq.Policy {
	return policyFunc(func(*dlq.Failure) dlq.Decision { return d })
}

// brokenPolicy is a user's policy whose optional methods panic.
type brokenPolicy struct{ dlq.Policy }

func (brokenPolicy) Validate() error { panic("no") }

func (brokenPolicy) Topics() []string { panic("no") }

// lostError is an error type whose method needs a receiver: a nil pointer of it is the classic mistake.
type lostError struct{ text string }

func (e *lostError) Error() string { return e.text }

func (e *lostError) Unwrap() error { panic("no cause: " + e.text) }

func TestResolve_FollowsTheTable(t *testing.T) {
	t.Parallel()
	var nilReject *dlq.RejectError
	rejected := dlq.Reject("unknown-patient", io.EOF)
	send := func(reason string) dlq.Decision { return dlq.Decision{Action: dlq.ActionSend, Reason: reason} }
	tests := []struct {
		name   string
		policy dlq.Policy
		stage  dlq.Stage
		err    error
		want   dlq.Decision
	}{
		{"no policy fails", nil, dlq.Process, io.EOF, dlq.Decision{}},
		{"Fail", dlq.Fail(), dlq.Process, io.EOF, dlq.Decision{}},
		{"Skip", dlq.Skip(), dlq.Process, io.EOF, dlq.Decision{Action: dlq.ActionSkip}},
		{"Send, process", dlq.Send(), dlq.Process, io.EOF, send("processing-failed")},
		{"Send, decode", dlq.Send(), dlq.Decode, io.EOF, send("deserialization-failed")},
		{"Send, encode", dlq.Send(), dlq.Encode, io.EOF, send("serialization-failed")},
		{"Send, stage of a later version", dlq.Send(), "later", io.EOF, send("processing-failed")},
		{"Send, no cause", dlq.Send(), dlq.Process, nil, send("processing-failed")},
		{
			"SendTo", dlq.SendTo("bad-orders"), dlq.Decode, io.EOF,
			dlq.Decision{Action: dlq.ActionSend, Reason: "deserialization-failed", Topic: "bad-orders"},
		},
		{"a panic meets the policy", dlq.Send(), dlq.Process, &dlq.PanicError{Value: 1}, send("processing-failed")},
		{
			"a skip inside a panic meets the policy", dlq.Fail(), dlq.Process, &dlq.PanicError{Value: dlq.ErrSkip},
			dlq.Decision{},
		},
		{"Reject under no policy", nil, dlq.Process, rejected, send("unknown-patient")},
		{"Reject under Fail", dlq.Fail(), dlq.Process, rejected, send("unknown-patient")},
		{"Reject under Skip", dlq.Skip(), dlq.Process, rejected, send("unknown-patient")},
		{"Reject under SendTo", dlq.SendTo("bad-orders"), dlq.Process, rejected, send("unknown-patient")},
		{
			"Reject is not retried", dlq.Retry(3, dlq.Constant(time.Second)), dlq.Process, rejected,
			send("unknown-patient"),
		},
		{"Reject in a serde", dlq.Fail(), dlq.Decode, rejected, send("unknown-patient")},
		{"wrapped Reject", nil, dlq.Process, fmt.Errorf("check: %w", rejected), send("unknown-patient")},
		{"joined Reject", nil, dlq.Process, errors.Join(io.EOF, rejected), send("unknown-patient")},
		{"panic with a Reject", nil, dlq.Process, &dlq.PanicError{Value: rejected}, send("unknown-patient")},
		{"outermost Reject counts", nil, dlq.Process, dlq.Reject("outer", rejected), send("outer")},
		{"Reject without reason", nil, dlq.Process, dlq.Reject("", nil), send("rejected")},
		{"literal RejectError", nil, dlq.Process, &dlq.RejectError{Err: io.EOF}, send("rejected")},
		{
			"fields of other actions are cleared",
			answer(dlq.Decision{Action: dlq.ActionSkip, Reason: "r", Topic: "t", Delay: time.Second}),
			dlq.Process, io.EOF, dlq.Decision{Action: dlq.ActionSkip},
		},
		{
			"a reason of the policy", answer(dlq.Decision{Action: dlq.ActionSend, Reason: "r", Delay: time.Second}),
			dlq.Process, io.EOF, send("r"),
		},
		{
			"a negative delay is none", answer(dlq.Decision{Action: dlq.ActionRetry, Delay: -1}),
			dlq.Process, io.EOF, dlq.Decision{Action: dlq.ActionRetry},
		},
		{
			"an unknown action fails", answer(dlq.Decision{Action: 9}), dlq.Process, io.EOF,
			dlq.Decision{Reason: "decide about a failure: policy dlq_test.policyFunc answered action 9"},
		},
		{
			"a policy that panics fails", policyFunc(func(*dlq.Failure) dlq.Decision { panic("oops") }),
			dlq.Process, io.EOF, dlq.Decision{Reason: "decide about a failure: panic: oops"},
		},
		{
			"an error that panics fails", dlq.Send(), dlq.Process, (*lostError)(nil),
			dlq.Decision{Reason: "decide about a failure: panic: " +
				"runtime error: invalid memory address or nil pointer dereference"},
		},
		{
			"a nil RejectError fails", dlq.Send(), dlq.Process, nilReject,
			dlq.Decision{Reason: "decide about a failure: panic: " +
				"runtime error: invalid memory address or nil pointer dereference"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &dlq.Failure{Node: "check", Stage: tt.stage, Attempts: 1, Err: tt.err}
			require.Equal(t, tt.want, dlq.Resolve(tt.policy, f))
		})
	}
}

func TestIsSkip_YieldsToRejectAndPanic(t *testing.T) {
	t.Parallel()
	require.True(t, dlq.IsSkip(dlq.ErrSkip))
	require.True(t, dlq.IsSkip(fmt.Errorf("not active: %w", dlq.ErrSkip)))
	require.False(t, dlq.IsSkip(nil))
	require.False(t, dlq.IsSkip(io.EOF))
	require.False(t, dlq.IsSkip(dlq.Reject("r", dlq.ErrSkip)))
	require.False(t, dlq.IsSkip(errors.Join(dlq.ErrSkip, dlq.Reject("r", nil))))
	require.False(t, dlq.IsSkip(&dlq.PanicError{Value: dlq.ErrSkip}))
	require.False(t, dlq.IsSkip((*lostError)(nil)))
}

func TestReject_NamesReasonAndCause(t *testing.T) {
	t.Parallel()
	err := dlq.Reject("unknown-patient", io.EOF)
	require.EqualError(t, err, "unknown-patient: EOF")
	require.ErrorIs(t, err, io.EOF)
	require.EqualError(t, dlq.Reject("unknown-patient", nil), "unknown-patient")
	require.EqualError(t, dlq.Reject("", nil), "rejected")
	require.EqualError(t, dlq.Reject("", io.EOF), "rejected: EOF")
}

func TestFailure_NamesNodeStageAndCause(t *testing.T) {
	t.Parallel()
	f := &dlq.Failure{Node: "check", Stage: dlq.Process, Attempts: 1, Err: &dlq.PanicError{Value: io.EOF}}
	require.EqualError(t, f, `process at node "check": panic: EOF`)
	require.ErrorIs(t, f, io.EOF)
	require.NoError(t, (&dlq.PanicError{Value: "text"}).Unwrap())
}

func TestValidate_ReportsProgrammerErrors(t *testing.T) {
	t.Parallel()
	second := dlq.Constant(time.Second)
	long := make([]byte, 250)
	for i := range long {
		long[i] = 'a'
	}
	tests := []struct {
		name   string
		policy dlq.Policy
		want   []string // parts of the error; none: valid
	}{
		{"nil", nil, nil},
		{"Fail", dlq.Fail(), nil},
		{"Skip", dlq.Skip(), nil},
		{"Send", dlq.Send(), nil},
		{"user's policy", answer(dlq.Decision{}), nil},
		{"SendTo", dlq.SendTo("Bad_orders.v1-x"), nil},
		{"Retry", dlq.Retry(3, second), nil},
		{"no retries", dlq.Retry(0, second), nil},
		{"exponential", dlq.Retry(3, dlq.Exponential(time.Second, time.Minute)), nil},
		{"exponential that is constant", dlq.Retry(3, dlq.Exponential(time.Second, time.Second)), nil},
		{"composed", dlq.Retry(3, second).Then(dlq.Retry(1, second).Then(dlq.SendTo("bad"))), nil},
		{"topic without a name", dlq.SendTo(""), []string{`send dead letters to "": the name is empty`}},
		{"topic with a space", dlq.SendTo("bad orders"), []string{`got ' '`}},
		{"topic of dots", dlq.SendTo(".."), []string{"not allowed"}},
		{"topic too long", dlq.SendTo(string(long)), []string{"want a name of 249 bytes at most, got 250"}},
		{"negative retries", dlq.Retry(-1, second), []string{"retry a record: want 0 retries or more, got -1"}},
		{
			"zero backoff", dlq.Retry(1, dlq.Backoff{}),
			[]string{"retry a record: back off: want a positive delay, got 0s"},
		},
		{"negative backoff", dlq.Retry(1, dlq.Constant(-time.Second)), []string{"got -1s"}},
		{
			"limit below first", dlq.Retry(1, dlq.Exponential(time.Minute, time.Second)),
			[]string{"want a limit of 1m0s, the first delay, or more, got 1s"},
		},
		{"Then without a policy", dlq.Retry(1, second).Then(nil), []string{"Then has no policy"}},
		{
			"everything at once", dlq.Retry(-1, dlq.Constant(0)).Then(dlq.Retry(-2, second).Then(dlq.SendTo(""))),
			[]string{"got -1", "got 0s", "got -2", "the name is empty"},
		},
		{"Validate that panics", brokenPolicy{}, []string{"validate policy dlq_test.brokenPolicy: panic: no"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := dlq.Validate(tt.policy)
			if len(tt.want) == 0 {
				require.NoError(t, err)
				return
			}
			for _, part := range tt.want {
				require.ErrorContains(t, err, part)
			}
		})
	}
}

func TestTopics_FindsNamesBehindRetries(t *testing.T) {
	t.Parallel()
	second := dlq.Constant(time.Second)
	require.Empty(t, dlq.Topics(nil))
	require.Empty(t, dlq.Topics(dlq.Send()))
	require.Empty(t, dlq.Topics(dlq.Retry(1, second)))
	require.Empty(t, dlq.Topics(dlq.Retry(1, second).Then(nil)))
	require.Empty(t, dlq.Topics(brokenPolicy{}))
	twice := dlq.Retry(1, second).Then(dlq.Retry(1, second).Then(dlq.SendTo("bad")))
	require.Equal(t, []string{"bad"}, dlq.Topics(twice))
}

func TestAction_HasAName(t *testing.T) {
	t.Parallel()
	require.Equal(t, "fail skip send retry action 4", fmt.Sprint(
		dlq.ActionFail, " ", dlq.ActionSkip, " ", dlq.ActionSend, " ", dlq.ActionRetry, " ", dlq.Action(4)))
}
