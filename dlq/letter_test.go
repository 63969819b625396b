package dlq_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/dlq"
)

// keys are the letter's headers in their order: the documented form, written down a second time.
var keys = [...]string{
	"error-reason", "error-message", "error-class", "source-topic", "source-partition", "source-offset",
	"failure-timestamp", "application-id", "node", "stage", "attempts",
}

func letterOf(err error) dlq.Letter {
	f := &dlq.Failure{Node: "check", Stage: dlq.Process, Attempts: 4, Err: err}
	origin := dlq.Origin{Topic: "orders", Partition: 7, Offset: 42}
	return dlq.NewLetter(f, dlq.Resolve(dlq.Send(), f), "pharmacy", origin,
		time.Date(2026, time.March, 1, 12, 0, 0, 123_456_789, time.FixedZone("CET", 3600)))
}

// The bytes of the first release: a reader of old letters depends on them.
func TestLetter_HasTheRecordedForm(t *testing.T) {
	t.Parallel()
	l := letterOf(dlq.Reject("bad-dose", &json.SyntaxError{Offset: 9}))
	original := []dlq.Header{{Key: "trace", Value: []byte("t1")}, {Key: "node", Value: nil}}
	got := l.AppendHeaders(original[:2:2])
	require.Equal(t, original, got[:2])
	var lines []string
	for _, h := range got[2:] {
		lines = append(lines, h.Key+"="+string(h.Value))
	}
	require.Equal(t, []string{
		"error-reason=bad-dose",
		"error-message=bad-dose: ",
		"error-class=*json.SyntaxError",
		"source-topic=orders",
		"source-partition=7",
		"source-offset=42",
		"failure-timestamp=1772362800123",
		"application-id=pharmacy",
		"node=check",
		"stage=process",
		"attempts=4",
	}, lines)
}

func TestNewLetter_FillsTheReasonOfTheStage(t *testing.T) {
	t.Parallel()
	f := &dlq.Failure{Stage: dlq.Decode, Attempts: 1, Err: io.EOF}
	l := dlq.NewLetter(f, dlq.Decision{Action: dlq.ActionSend}, "a", dlq.Origin{}, time.Time{})
	require.Equal(t, "deserialization-failed", l.Reason)
}

type typedError[T any] struct{ value T }

func (e typedError[T]) Error() string { return fmt.Sprint(e.value) }

func TestLetter_ClassIsTheInnermostTypeThatSaysMost(t *testing.T) {
	t.Parallel()
	_, number := strconv.Atoi("x")
	_, missing := os.Open("/no/such/file")
	syntax := &json.SyntaxError{}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"none", nil, "error"},
		{"errors.New", errors.New("x"), "error"},
		{"fmt.Errorf", fmt.Errorf("x %d", 1), "error"},
		{"wrapped text", fmt.Errorf("x: %w", io.EOF), "error"},
		{"joined text", errors.Join(io.EOF, io.ErrClosedPipe), "error"},
		{"type", syntax, "*json.SyntaxError"},
		{"wrapped type", fmt.Errorf("decode: %w", fmt.Errorf("value: %w", syntax)), "*json.SyntaxError"},
		{"type around text", number, "*strconv.NumError"},
		{"type around type", missing, "syscall.Errno"},
		{"type around wrapped type", &fs.PathError{Op: "open", Err: fmt.Errorf("x: %w", syntax)}, "*json.SyntaxError"},
		{"first of several", errors.Join(io.EOF, number, syntax), "*strconv.NumError"},
		{"several in a format", fmt.Errorf("%w: %w", io.EOF, syntax), "*json.SyntaxError"},
		{"value type", context.DeadlineExceeded, "context.deadlineExceededError"},
		{"generic type", typedError[int]{}, "dlq_test.typedError[int]"},
		{"failure", &dlq.Failure{Err: syntax}, "*json.SyntaxError"},
		{"reject with a type", dlq.Reject("r", syntax), "*json.SyntaxError"},
		{"reject with text", dlq.Reject("r", io.EOF), "error"},
		{"reject without a cause", dlq.Reject("r", nil), "error"},
		{"panic", &dlq.PanicError{Value: "oops"}, "panic"},
		{"panic with an error", fmt.Errorf("x: %w", &dlq.PanicError{Value: syntax}), "panic"},
		{"reject inside a panic", &dlq.PanicError{Value: dlq.Reject("r", syntax)}, "panic"},
		{"error that panics", (*lostError)(nil), "*dlq_test.lostError"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, letterOf(tt.err).Class)
		})
	}
}

func TestLetter_MessageIsTheErrorsText(t *testing.T) {
	t.Parallel()
	require.Equal(t, "check: EOF", letterOf(fmt.Errorf("check: %w", io.EOF)).Message)
	require.Equal(t, "panic: oops", letterOf(&dlq.PanicError{Value: "oops", Stack: []byte("stack")}).Message)
	require.Empty(t, letterOf(nil).Message)
	require.Equal(t, "read the message of a *dlq_test.lostError: panic: "+
		"runtime error: invalid memory address or nil pointer dereference", letterOf((*lostError)(nil)).Message)
}

func TestLetter_RepairsAndCutsText(t *testing.T) {
	t.Parallel()
	const limit, marker = dlq.MaxMessageBytes, "... [cut]"
	tests := []struct {
		name, text, want string
	}{
		{"broken bytes", "a\xff\xfeb\xc3", "a\uFFFDb\uFFFD"},
		{"just short enough", strings.Repeat("a", limit), strings.Repeat("a", limit)},
		{"one too many", strings.Repeat("a", limit+1), strings.Repeat("a", limit-len(marker)) + marker},
		{
			"between the bytes of a character", strings.Repeat("\u20ac", limit),
			strings.Repeat("\u20ac", (limit-len(marker))/3) + marker,
		},
		{
			"too long once repaired", strings.Repeat("\xff.", limit/2),
			strings.Repeat("\uFFFD.", (limit-len(marker))/4) + "\uFFFD" + marker,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, letterOf(errors.New(tt.text)).Message)
		})
	}
	l := letterOf(dlq.Reject(strings.Repeat("r", 5000), nil))
	require.Len(t, l.Reason, 1024)
}

func TestLimitMessage_DropsTheMessageAtZero(t *testing.T) {
	t.Parallel()
	l := letterOf(errors.New("\u20ac\u20ac\u20ac and more"))
	l.LimitMessage(100)
	require.Equal(t, "\u20ac\u20ac\u20ac and more", l.Message)
	l.LimitMessage(15)
	require.Equal(t, "\u20ac\u20ac... [cut]", l.Message)
	l.LimitMessage(5)
	require.Equal(t, "\u20ac", l.Message)
	l.LimitMessage(0)
	require.Empty(t, l.Message)
	l.LimitMessage(-1)
	require.Empty(t, l.Message)

	// The header stays: the message of an older letter must not show through.
	older := letterOf(errors.New("older"))
	got, err := dlq.Parse(l.AppendHeaders(older.AppendHeaders(nil)))
	require.NoError(t, err)
	require.Equal(t, l, got)
}

func TestAppendHeaders_CapsEachValue(t *testing.T) {
	t.Parallel()
	l := letterOf(io.EOF)
	headers := l.AppendHeaders(nil)
	for _, h := range headers {
		require.NotNil(t, h.Value)
		_ = append(h.Value, "overwritten"...)
	}
	got, err := dlq.Parse(headers)
	require.NoError(t, err)
	require.Equal(t, l, got)
}

func TestParse_RejectsWhatIsNoLetter(t *testing.T) {
	t.Parallel()
	l := letterOf(io.EOF)
	_, err := dlq.Parse(nil)
	require.EqualError(t, err, `parse dead letter: no header "error-reason"`)
	for i, key := range keys {
		headers := l.AppendHeaders(nil)
		_, err := dlq.Parse(append(headers[:i:i], headers[i+1:]...))
		require.EqualError(t, err, fmt.Sprintf("parse dead letter: no header %q", key))
	}
	for _, h := range []dlq.Header{
		{Key: "source-partition", Value: []byte("2147483648")},
		{Key: "source-offset", Value: []byte("9223372036854775808")},
		{Key: "failure-timestamp", Value: []byte("yesterday")},
		{Key: "attempts", Value: nil},
	} {
		got, err := dlq.Parse(append(l.AppendHeaders(nil), h))
		require.ErrorContains(t, err, fmt.Sprintf("parse dead letter: header %q: want a decimal number", h.Key))
		require.Equal(t, dlq.Letter{}, got)
	}
	long := dlq.Header{Key: "attempts", Value: bytes.Repeat([]byte("x"), 1<<20)}
	_, err = dlq.Parse(append(l.AppendHeaders(nil), long))
	require.Error(t, err)
	require.Less(t, len(err.Error()), 200)
}

// text draws strings that are often broken, and sometimes longer than a letter allows.
func text() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		s := string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")) + rapid.StringN(0, 40, -1).Draw(t, "string")
		return strings.Repeat(s, rapid.SampledFrom([]int{0, 1, 1, 1, 300}).Draw(t, "times"))
	})
}

func headerList() *rapid.Generator[[]dlq.Header] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) dlq.Header {
		key := rapid.OneOf(rapid.SampledFrom(keys[:]), rapid.String()).Draw(t, "key")
		return dlq.Header{Key: key, Value: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "value")}
	}), 0, 8)
}

func TestLetter_RoundTripsBehindOtherHeaders(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := &dlq.Failure{
			Node:     text().Draw(t, "node"),
			Stage:    rapid.SampledFrom([]dlq.Stage{dlq.Decode, dlq.Process, dlq.Encode}).Draw(t, "stage"),
			Attempts: rapid.Int().Draw(t, "attempts"),
			Err:      dlq.Reject(text().Draw(t, "reason"), errors.New(text().Draw(t, "message"))),
		}
		origin := dlq.Origin{
			Topic:     text().Draw(t, "topic"),
			Partition: rapid.Int32().Draw(t, "partition"),
			Offset:    rapid.Int64().Draw(t, "offset"),
		}
		failedAt := time.UnixMilli(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "failedAt"))
		l := dlq.NewLetter(f, dlq.Resolve(nil, f), text().Draw(t, "application"), origin, failedAt)

		original := headerList().Draw(t, "original")
		headers := l.AppendHeaders(original)
		require.Equal(t, original, headers[:len(original):len(original)])
		added := headers[len(original):]
		require.Len(t, added, len(keys))
		for i, h := range added {
			require.Equal(t, keys[i], h.Key)
			require.True(t, utf8.Valid(h.Value), h.Key)
			require.LessOrEqual(t, len(h.Value), dlq.MaxMessageBytes)
		}
		got, err := dlq.Parse(headers)
		require.NoError(t, err)
		require.True(t, l == got, "want %+v, got %+v", l, got)
		require.True(t, failedAt.Equal(got.FailedAt))
	})
}

// FuzzParse reads headers from keys and values that are separated by zero bytes.
func FuzzParse(f *testing.F) {
	l := letterOf(io.EOF)
	older := letterOf(errors.New("older"))
	for _, headers := range [][]dlq.Header{
		nil,
		l.AppendHeaders(nil),
		l.AppendHeaders(older.AppendHeaders(nil)),
		append(l.AppendHeaders(nil), dlq.Header{Key: "error-message", Value: []byte("\xff")}),
		append(l.AppendHeaders(nil), dlq.Header{Key: "failure-timestamp", Value: []byte(strconv.Itoa(math.MaxInt64))}),
		append(l.AppendHeaders(nil), dlq.Header{Key: "failure-timestamp", Value: []byte(strconv.Itoa(math.MinInt64))}),
		append(l.AppendHeaders(nil), dlq.Header{Key: "source-partition", Value: []byte("-0")}),
		append(l.AppendHeaders(nil), dlq.Header{Key: "attempts", Value: []byte("1e3")}),
	} {
		var data [][]byte
		for _, h := range headers {
			data = append(data, []byte(h.Key), h.Value)
		}
		f.Add(bytes.Join(data, []byte{0}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var headers []dlq.Header
		parts := bytes.Split(data, []byte{0})
		for i := 0; i+1 < len(parts); i += 2 {
			headers = append(headers, dlq.Header{Key: string(parts[i]), Value: parts[i+1]})
		}
		parsed, err := dlq.Parse(headers)
		if err != nil {
			require.Equal(t, dlq.Letter{}, parsed)
			return
		}
		again, err := dlq.Parse(parsed.AppendHeaders(nil))
		require.NoError(t, err)
		require.True(t, parsed == again, "want %+v, got %+v", parsed, again)
	})
}
