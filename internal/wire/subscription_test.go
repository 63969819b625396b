package wire

import (
	"bytes"
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
			Manifest: rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "manifest"),
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
	s := Subscription{ProcessID: "p1", Workers: 300, Manifest: []byte("abc")}
	require.Equal(t, "02"+"ac02"+"027031"+"00"+"03616263", hex.EncodeToString(s.Append(nil)))
}

func TestSubscription_PacksALargeManifest(t *testing.T) {
	t.Parallel()
	s := Subscription{ProcessID: "p1", Workers: 3, Manifest: bytes.Repeat([]byte(`{"name":"counts","kind":"key-value"}`), 1000)}
	b := s.Append(nil)
	require.Less(t, len(b), 1000)
	require.EqualValues(t, manifestDeflated, b[5])
	got, err := DecodeSubscription(b)
	require.NoError(t, err)
	require.Equal(t, s, got)
}

func TestDecodeSubscription_RejectsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	good := Subscription{ProcessID: "p1", Workers: 2, Manifest: []byte("abc")}.Append(nil)
	packed := Subscription{ProcessID: "p1", Workers: 2, Manifest: bytes.Repeat([]byte("abc"), 1000)}.Append(nil)
	for _, b := range [][]byte{good, packed} {
		for n := range b {
			_, err := DecodeSubscription(b[:n])
			require.Error(t, err, "%d bytes", n)
		}
	}
	bomb := Subscription{Manifest: make([]byte, manifestLimit+1)}.Append(nil)
	for _, c := range []struct {
		name, want string
		bytes      []byte
	}{
		{"nothing", "unknown version", nil},
		{"the version before", "unknown version", append([]byte{1}, good[1:]...)},
		{"another version", "unknown version", append([]byte{3}, good[1:]...)},
		{"trailing bytes", "1 bytes too many", append(append([]byte(nil), good...), 0)},
		{"too many workers", "end too soon", []byte{2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0}},
		{"a text longer than the bytes", "end too soon", []byte{2, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'x'}},
		{"an unknown form", "unknown form 2", []byte{2, 1, 0, 2, 0}},
		{"a manifest that does not unpack", "unpack the manifest", []byte{2, 1, 0, 1, 2, 0xff, 0xff}},
		{"a manifest that has no end", "larger than", bomb},
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
	f.Add(Subscription{ProcessID: "p1", Workers: 2, Manifest: []byte("abc")}.Append(nil))
	f.Add(Subscription{ProcessID: "p1", Workers: 2, Manifest: bytes.Repeat([]byte("abc"), 200)}.Append(nil))
	f.Add([]byte{2, 0, 0, 0, 0})
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
