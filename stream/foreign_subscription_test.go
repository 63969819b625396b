package stream

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/serde"
)

// What applications of yesterday wrote is read by today's program: a change of the file needs a new version.
func TestFormat_OfForeignJoins(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	note := func(what string, b []byte, err error) {
		require.NoError(t, err)
		fmt.Fprintf(&text, "%s %s\n", what, hex.EncodeToString(b))
	}
	row := fingerprintOf([]byte("value"))
	for i, name := range []string{"unsubscribe", "unsubscribe-and-reply", "reply-always", "reply-quietly"} {
		b, err := subscriptionSerde{}.Append(nil, subscription{instruction(i), row, 3, []byte("key")})
		note(name, b, err)
	}
	b, err := subscriptionSerde{}.Append(nil, subscription{instruction: replyAlways, partition: 1 << 20})
	note("no-row", b, err)
	responses := newResponseSerde(serde.String())
	for _, r := range []response[string]{
		{row: row, value: "value", ok: true}, {row: row, ok: true}, {row: row}, {row: row, quiet: true}, {ended: true},
	} {
		b, err = responses.Append(nil, r)
		note("response", b, err)
	}
	b, err = subscriberSerde{}.Append(nil, subscriber{row, 3})
	note("subscriber", b, err)
	note("prefix", subscriptionPrefix([]byte("foreign")), nil)
	golden.Equal(t, "testdata/foreign-join-1.txt", text.String())
}

func TestForeignMessages_AreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	prints := rapid.Custom(func(t *rapid.T) fingerprint { return fingerprintOf(rapid.SliceOf(rapid.Byte()).Draw(t, "value")) })
	rapid.Check(t, func(t *rapid.T) {
		s := subscription{
			instruction(rapid.ByteRange(0, 3).Draw(t, "instruction")), prints.Draw(t, "row"), rapid.Int32Min(0).Draw(t, "partition"),
			[]byte(rapid.String().Draw(t, "key")),
		}
		b, err := subscriptionSerde{}.Append([]byte("before"), s)
		require.NoError(t, err)
		got, err := subscriptionSerde{}.Decode(b[6:])
		require.NoError(t, err)
		clear(b)
		require.Equal(t, s, got)

		r := response[string]{row: s.row, ok: rapid.Bool().Draw(t, "ok"), quiet: rapid.Bool().Draw(t, "quiet"), ended: rapid.Bool().Draw(t, "ended")}
		if r.ok {
			r.value = rapid.String().Draw(t, "value")
		}
		responses := newResponseSerde(serde.String())
		b, err = responses.Append([]byte("before"), r)
		require.NoError(t, err)
		back, err := responses.Decode(b[6:])
		require.NoError(t, err)
		require.Equal(t, r, back)
	})
}

func TestForeignMessages_RefuseWhatTheyCannotRead(t *testing.T) {
	t.Parallel()
	subscriptionBytes, err := subscriptionSerde{}.Append(nil, subscription{instruction: replyAlways})
	require.NoError(t, err)
	responseBytes, err := newResponseSerde(serde.String()).Append(nil, response[string]{})
	require.NoError(t, err)
	subscriberBytes, err := subscriberSerde{}.Append(nil, subscriber{})
	require.NoError(t, err)
	decode := map[string]func(b []byte) error{
		"subscription": func(b []byte) error { _, err := subscriptionSerde{}.Decode(b); return err },
		"response":     func(b []byte) error { _, err := newResponseSerde(serde.String()).Decode(b); return err },
		"subscriber":   func(b []byte) error { _, err := subscriberSerde{}.Decode(b); return err },
	}
	for what, good := range map[string][]byte{"subscription": subscriptionBytes, "response": responseBytes, "subscriber": subscriberBytes} {
		require.NoError(t, decode[what](good))
		for n := range good {
			require.ErrorContains(t, decode[what](good[:n]), fmt.Sprintf("decode a %s: %d bytes are too few", what, n))
		}
		require.ErrorContains(t, decode[what](append([]byte{2}, good[1:]...)), "unknown version 2")
	}
	require.ErrorContains(t, decode["subscription"](append([]byte{1, 4}, subscriptionBytes[2:]...)), "unknown instruction 4")
	require.ErrorContains(t, decode["response"](append([]byte{1, 8}, responseBytes[2:]...)), "unknown flags 0x8")
	require.ErrorContains(t, decode["response"](append(responseBytes, 0)), "1 bytes too many")
	require.ErrorContains(t, decode["subscriber"](append(subscriberBytes, 0)), "1 bytes too many")
}

func FuzzDecodeForeignMessages(f *testing.F) {
	for _, s := range []subscription{{}, {instruction: replyQuietly, partition: 7, key: []byte("key")}} {
		b, err := subscriptionSerde{}.Append(nil, s)
		require.NoError(f, err)
		f.Add(b)
	}
	for _, r := range []response[[]byte]{{}, {ok: true, value: []byte("value"), ended: true}} {
		b, err := newResponseSerde(serde.Bytes()).Append(nil, r)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := (subscriptionSerde{}).Decode(b); err == nil {
			again, err := subscriptionSerde{}.Append(nil, s)
			require.NoError(t, err)
			require.Equal(t, b, again)
		}
		responses := newResponseSerde(serde.Bytes())
		if r, err := responses.Decode(b); err == nil {
			again, err := responses.Append(nil, r)
			require.NoError(t, err)
			require.Equal(t, b, again)
		}
		if s, err := (subscriberSerde{}).Decode(b); err == nil {
			again, err := subscriberSerde{}.Append(nil, s)
			require.NoError(t, err)
			require.Equal(t, b, again)
		}
	})
}

// The subscriptions of a key, and of no other, lie between its prefix and what is behind.
func TestSubscriptionPrefix_SetsKeysApart(t *testing.T) {
	t.Parallel()
	key := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 0xfe, 0xff}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		one, other, row := key.Draw(t, "one"), key.Draw(t, "other"), key.Draw(t, "row")
		prefix := subscriptionPrefix(one)
		full := append(subscriptionPrefix(other), row...)
		inside := bytes.Compare(prefix, full) <= 0 && bytes.Compare(full, behind(prefix)) < 0
		require.Equal(t, bytes.Equal(one, other), inside)
	})
}
