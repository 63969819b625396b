package serde_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
)

func windowed[K any](key K, startMs, endMs int64) serde.Windowed[K] {
	return serde.Windowed[K]{Key: key, Start: time.UnixMilli(startMs).UTC(), End: time.UnixMilli(endMs).UTC()}
}

func TestWindowed_PrintsAsKafkaStreams(t *testing.T) {
	t.Parallel()
	require.Equal(t, "[a@60000/120000]", windowed("a", 60_000, 120_000).String())
}

func TestTimeWindowed_MatchesKafkaStreams(t *testing.T) {
	t.Parallel()
	testGolden(t, serde.TimeWindowed(serde.String(), time.Minute), []golden[serde.Windowed[string]]{
		{"plain", windowed("a", 60_000, 120_000), "61000000000000ea60"},
		{"empty key at the epoch", windowed("", 0, 60_000), "0000000000000000"},
		{"end clipped", windowed("k", math.MaxInt64-5, math.MaxInt64), "6b7ffffffffffffffa"},
	})
	testGolden(t, serde.TimeWindowed(serde.Int32(), time.Minute), []golden[serde.Windowed[int32]]{
		{"negative key", windowed(int32(-2), 1_700_000_000_000, 1_700_000_060_000), "fffffffe0000018bcfe56800"},
	})
}

func TestSessionWindowed_MatchesKafkaStreams(t *testing.T) {
	t.Parallel()
	testGolden(t, serde.SessionWindowed(serde.String()), []golden[serde.Windowed[string]]{
		{"plain", windowed("a", 60_000, 60_500), "61000000000000ec54000000000000ea60"},
		{"one instant, empty key", windowed("", 7, 7), "00000000000000070000000000000007"},
	})
}

func TestWindowed_EncodesTimesOfAnyZone(t *testing.T) {
	t.Parallel()
	w := windowed("a", 60_000, 120_000)
	zone := time.FixedZone("somewhere", 3600)
	there := serde.Windowed[string]{Key: "a", Start: w.Start.In(zone), End: w.End.In(zone)}
	s := serde.TimeWindowed(serde.String(), time.Minute)
	b := encode(t, s, there)
	require.Equal(t, encode(t, s, w), b)
	v, err := s.Decode(b)
	require.NoError(t, err)
	require.True(t, v == w, "decoded windows are in UTC and comparable")
}

func TestWindowed_RefusesImpossibleWindows(t *testing.T) {
	t.Parallel()
	minute := serde.TimeWindowed(serde.String(), time.Minute)
	session := serde.SessionWindowed(serde.String())
	start := time.UnixMilli(60_000)
	cases := []struct {
		name       string
		serde      serde.Serde[serde.Windowed[string]]
		start, end time.Time
		want       string
	}{
		{"negative start", minute, time.UnixMilli(-1), time.UnixMilli(59_999),
			"encode time-windowed key: start -1 ms is negative"},
		{"zero time", session, time.Time{}, start, "encode session-windowed key: start -62135596800000 ms is negative"},
		{"start behind end", minute, start, time.UnixMilli(0),
			"encode time-windowed key: start 60000 ms is behind end 0 ms"},
		{"session reversed", session, start, time.UnixMilli(59_999),
			"encode session-windowed key: start 60000 ms is behind end 59999 ms"},
		{"other size", minute, start, time.UnixMilli(60_001),
			"encode time-windowed key: end of a window of 60000 ms from 60000 ms is 120000 ms, got 60001 ms"},
		{"fraction of a start", minute, start.Add(time.Microsecond), start.Add(time.Minute),
			"encode time-windowed key: start 1970-01-01T00:01:00.000001Z is no whole number of milliseconds"},
		{"fraction of an end", session, start, start.Add(1),
			"encode session-windowed key: end 1970-01-01T00:01:00.000000001Z is no whole number of milliseconds"},
		{"beyond the range", session, start, time.Unix(math.MaxInt64/1000+1, 0), "is no whole number of milliseconds"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dst, err := c.serde.Append([]byte("dst"), serde.Windowed[string]{Key: "a", Start: c.start, End: c.end})
			require.ErrorContains(t, err, c.want)
			require.Equal(t, "dst", string(dst))
		})
	}
}

func TestWindowed_RejectsForeignBytes(t *testing.T) {
	t.Parallel()
	minute := decoder(serde.TimeWindowed(serde.Int32(), time.Minute))
	session := decoder(serde.SessionWindowed(serde.Int32()))
	cases := []struct {
		name   string
		decode func([]byte) error
		hex    string
		want   string
	}{
		{"empty", minute, "", "decode time-windowed key: want at least 8 bytes, got 0"},
		{"short", minute, "00000000000000", "decode time-windowed key: want at least 8 bytes, got 7"},
		{"short session", session, "00000000000000", "decode session-windowed key: want at least 16 bytes, got 7"},
		{"negative start", minute, "00000001ffffffffffffffff", "decode time-windowed key: start -1 ms is negative"},
		{"negative session", session, "000000010000000000000000ffffffffffffffff",
			"decode session-windowed key: start -1 ms is negative"},
		{"reversed session", session, "0000000100000000000000010000000000000002",
			"decode session-windowed key: start 2 ms is behind end 1 ms"},
		{"bad key", minute, "010000000000000001", "decode time-windowed key: decode int32: want 4 bytes, got 1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, c.decode(unhex(t, c.hex)), c.want)
		})
	}
}

func TestWindowed_RefusesKeysWithoutEncoding(t *testing.T) {
	t.Parallel()
	s := serde.SessionWindowed[*string](serde.Nullable(serde.String()))
	_, err := s.Append(nil, windowed[*string](nil, 0, 0))
	require.EqualError(t, err, "encode session-windowed key: encode nil pointer: null has no encoding")

	v, err := s.Decode(make([]byte, 16))
	require.NoError(t, err)
	require.Equal(t, new(""), v.Key, "an empty key in a window is no null")
}

func TestTimeWindowed_FailsForImpossibleSizes(t *testing.T) {
	t.Parallel()
	for _, size := range []time.Duration{0, -time.Second, time.Microsecond, time.Second + 1} {
		t.Run(size.String(), func(t *testing.T) {
			t.Parallel()
			want := "use time-windowed serde: size " + size.String() + " is no positive, whole number of milliseconds"
			s := serde.TimeWindowed(serde.String(), size)
			_, err := s.Append(nil, windowed("a", 0, 1))
			require.EqualError(t, err, want)
			_, err = s.Decode(make([]byte, 9))
			require.EqualError(t, err, want)
			_, err = s.(serde.Binder[serde.Windowed[string]]).Bind("t", serde.Key)
			require.EqualError(t, err, want, "wiring finds it before the first record")
			require.Equal(t, "k", string(s.(serde.Partitioned).PartitionKey([]byte("k"))))
		})
	}
}

func TestWindowed_PartitionsByThePlainKey(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]serde.Serde[serde.Windowed[string]]{
		"time":    serde.TimeWindowed(serde.String(), time.Minute),
		"session": serde.SessionWindowed(serde.String()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := s.(serde.Partitioned)
			b := encode(t, s, windowed("plain", 0, 60_000))
			key := p.PartitionKey(b)
			require.Equal(t, "plain", string(key))
			require.Len(t, key, cap(key), "an append to the key must not reach the window")
			require.Equal(t, "cut", string(p.PartitionKey([]byte("cut"))))
			require.NotImplements(t, (*serde.Binder[serde.Windowed[string]])(nil), s)
		})
	}
}

func TestWindowed_BindsThePlainKey(t *testing.T) {
	t.Parallel()
	key := subject{Serde: serde.String()}
	for name, s := range map[string]serde.Serde[serde.Windowed[string]]{
		"time":    serde.TimeWindowed[string](key, time.Minute),
		"session": serde.SessionWindowed[string](key),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			binder := s.(serde.Binder[serde.Windowed[string]])
			bound, err := binder.Bind("orders", serde.Key)
			require.NoError(t, err)
			b := encode(t, bound, windowed("a", 0, 60_000))
			require.Equal(t, "key:orders:a", string(bound.(serde.Partitioned).PartitionKey(b)))

			_, err = binder.Bind("", serde.Key)
			require.True(t, serde.IsUnavailable(err))
			require.ErrorContains(t, err, `bind `+name+`-windowed key to topic "": `)
		})
	}
}

// unreachable is a serde whose registry is down.
type unreachable struct{}

func (unreachable) Append([]byte, string) ([]byte, error) {
	return nil, serde.Unavailable(errors.New("no route"))
}

func (unreachable) Decode([]byte) (string, error) {
	return "", serde.Unavailable(errors.New("no route"))
}

func TestWrappers_KeepErrorsUnavailable(t *testing.T) {
	t.Parallel()
	window := serde.TimeWindowed[string](unreachable{}, time.Minute)
	_, err := window.Append(nil, windowed("a", 0, 60_000))
	require.True(t, serde.IsUnavailable(err))
	_, err = window.Decode(make([]byte, 9))
	require.True(t, serde.IsUnavailable(err))
	_, err = serde.Nullable[string](unreachable{}).Decode([]byte{1})
	require.True(t, serde.IsUnavailable(err))
}

func TestWindowed_RoundTrip(t *testing.T) {
	t.Parallel()
	const sizeMs = 90_000
	t.Run("time", func(t *testing.T) {
		t.Parallel()
		gen := rapid.Custom(func(t *rapid.T) serde.Windowed[string] {
			start := rapid.Int64Min(0).Draw(t, "start")
			end := min(start, math.MaxInt64-sizeMs) + sizeMs
			return windowed(rapid.String().Draw(t, "key"), start, end)
		})
		testRoundTrip(t, serde.TimeWindowed(serde.String(), sizeMs*time.Millisecond), gen)
	})
	t.Run("session", func(t *testing.T) {
		t.Parallel()
		gen := rapid.Custom(func(t *rapid.T) serde.Windowed[string] {
			start := rapid.Int64Min(0).Draw(t, "start")
			return windowed(rapid.String().Draw(t, "key"), start, rapid.Int64Min(start).Draw(t, "end"))
		})
		testRoundTrip(t, serde.SessionWindowed(serde.String()), gen)
	})
}
