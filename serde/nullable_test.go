package serde_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
)

// subject is a string serde like those of a schema registry: its bytes start with what Bind was told.
type subject struct {
	serde.Serde[string]
	header string
}

func (s subject) Bind(topic string, role serde.Role) (serde.Serde[string], error) {
	if topic == "" {
		return nil, serde.Unavailable(errors.New("no route"))
	}
	roles := map[serde.Role]string{serde.Key: "key:", serde.Value: "value:"}
	return subject{serde.String(), roles[role] + topic + ":"}, nil
}

func (s subject) Append(dst []byte, v string) ([]byte, error) {
	return append(append(dst, s.header...), v...), nil
}

// bucketed is a string serde that partitions by the first byte; a subject as well.
type bucketed struct{ subject }

func (bucketed) PartitionKey(encoded []byte) []byte { return encoded[:1] }

func TestNullable_TellsNullFromEmpty(t *testing.T) {
	t.Parallel()
	s := serde.Nullable(serde.String())

	v, err := s.Decode(nil)
	require.NoError(t, err)
	require.Nil(t, v)
	require.True(t, s.IsNull(v))

	v, err = s.Decode([]byte{})
	require.NoError(t, err)
	require.Equal(t, new(""), v)
	require.False(t, s.IsNull(v))
}

func TestNullable_EncodesAsTheInnerSerde(t *testing.T) {
	t.Parallel()
	require.Equal(t, encode(t, serde.Int64(), -7), encode(t, serde.Nullable(serde.Int64()), new(int64(-7))))
}

func TestNullable_RefusesToAppendNil(t *testing.T) {
	t.Parallel()
	dst, err := serde.Nullable(serde.Int64()).Append([]byte("dst"), nil)
	require.EqualError(t, err, "encode nil pointer: null has no encoding")
	require.Equal(t, "dst", string(dst))
}

func TestNullable_PassesErrorsOn(t *testing.T) {
	t.Parallel()
	v, err := serde.Nullable(serde.Int64()).Decode([]byte{1})
	require.EqualError(t, err, "decode int64: want 8 bytes, got 1")
	require.Nil(t, v)
}

func TestNullable_HasTheAbilitiesOfTheInnerSerde(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name              string
		serde             any
		binds, partitions bool
	}{
		{"plain", serde.Nullable(serde.String()), false, false},
		{"binder", serde.Nullable[string](subject{Serde: serde.String()}), true, false},
		{"both", serde.Nullable[string](bucketed{subject{Serde: serde.String()}}), true, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, binds := c.serde.(serde.Binder[*string])
			require.Equal(t, c.binds, binds)
			_, partitions := c.serde.(serde.Partitioned)
			require.Equal(t, c.partitions, partitions)
			require.Implements(t, (*serde.NullSerde[*string])(nil), c.serde)
		})
	}

	// A windowed key is Partitioned and no Binder.
	window := any(serde.Nullable(serde.SessionWindowed(serde.String())))
	require.NotImplements(t, (*serde.Binder[*serde.Windowed[string]])(nil), window)
	key := window.(serde.Partitioned).PartitionKey([]byte("k0123456789abcdef"))
	require.Equal(t, "k", string(key))
}

func TestNullable_BindsTheInnerSerde(t *testing.T) {
	t.Parallel()
	s := serde.Nullable[string](subject{Serde: serde.String()}).(serde.Binder[*string])
	bound, err := s.Bind("orders", serde.Value)
	require.NoError(t, err)
	require.Implements(t, (*serde.NullSerde[*string])(nil), bound, "what Bind returns knows null too")
	require.Equal(t, "value:orders:a", string(encode(t, bound, new("a"))))

	_, err = s.Bind("", serde.Value)
	require.EqualError(t, err, `bind nullable serde to topic "": reach service of serde: no route`)
	require.True(t, serde.IsUnavailable(err))
}

func TestNullable_RoundTrip(t *testing.T) {
	t.Parallel()
	testRoundTrip[*int64](t, serde.Nullable(serde.Int64()), rapid.Ptr(rapid.Int64(), false))
	testRoundTrip[*[]byte](t, serde.Nullable(serde.Bytes()), rapid.Ptr(rapid.SliceOf(rapid.Byte()), false))
}
