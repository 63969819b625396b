package wire

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSubscription_RoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := Subscription{
			ProcessID: rapid.String().Draw(t, "process"), Workers: rapid.Uint32Range(0, 1<<20).Draw(t, "workers"),
			Signature: rapid.String().Draw(t, "signature"),
		}
		prefix := rapid.SliceOf(rapid.Byte()).Draw(t, "prefix")
		b := want.Append(prefix)
		require.Equal(t, prefix, b[:len(prefix):len(prefix)])
		got, err := DecodeSubscription(b[len(prefix):])
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// Members of other releases read these bytes.
func TestSubscription_HasAFixedForm(t *testing.T) {
	t.Parallel()
	s := Subscription{ProcessID: "p1", Workers: 300, Signature: "abc"}
	require.Equal(t, "01"+"ac02"+"027031"+"03616263", hex.EncodeToString(s.Append(nil)))
}

func TestDecodeSubscription_RejectsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	good := Subscription{ProcessID: "p1", Workers: 2, Signature: "abc"}.Append(nil)
	for n := range good {
		_, err := DecodeSubscription(good[:n])
		require.Error(t, err, "%d bytes", n)
	}
	for _, c := range []struct {
		name, want string
		bytes      []byte
	}{
		{"nothing", "unknown version", nil},
		{"another version", "unknown version", append([]byte{2}, good[1:]...)},
		{"trailing bytes", "1 bytes too many", append(append([]byte(nil), good...), 0)},
		{"too many workers", "end too soon", []byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0}},
		{"a text longer than the bytes", "end too soon", []byte{1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'x'}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := DecodeSubscription(c.bytes)
			require.ErrorContains(t, err, "decode subscription: ")
			require.ErrorContains(t, err, c.want)
			require.Zero(t, s)
		})
	}
}

func FuzzDecodeSubscription(f *testing.F) {
	f.Add(Subscription{ProcessID: "p1", Workers: 2, Signature: "abc"}.Append(nil))
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSubscription(b)
		if err != nil {
			return
		}
		again, err := DecodeSubscription(s.Append(nil))
		require.NoError(t, err)
		require.Equal(t, s, again)
	})
}
