package serde_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/serde"
)

type order struct {
	ID    string            `json:"id"`
	Cents int64             `json:"cents"`
	Tags  map[string]string `json:"tags,omitempty"`
	Next  *order            `json:"next,omitempty"`
}

// noNumber is a struct whose marshaler writes null.
type noNumber struct{}

func (noNumber) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func TestJSON_WritesCompactSortedText(t *testing.T) {
	t.Parallel()
	v := order{ID: "<a & b>", Tags: map[string]string{"y": "1", "x": "2"}}
	b, err := serde.JSON[order]().Append([]byte("dst"), v)
	require.NoError(t, err)
	require.Equal(t, `dst{"id":"<a & b>","cents":0,"tags":{"x":"2","y":"1"}}`, string(b))
}

func TestJSON_HonoursMarshalersWithPointerReceivers(t *testing.T) {
	t.Parallel()
	n, ok := new(big.Int).SetString("12345678901234567890", 10)
	require.True(t, ok)
	require.Equal(t, "12345678901234567890", string(encode(t, serde.JSON[big.Int](), *n)))
}

func TestJSON_IgnoresUnknownFieldsAndOuterSpace(t *testing.T) {
	t.Parallel()
	v, err := serde.JSON[order]().Decode([]byte(" \t{\"id\":\"a\",\"new\":[1]}\r\n"))
	require.NoError(t, err)
	require.Equal(t, order{ID: "a"}, v)
}

func TestJSON_RejectsBadText(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":            "",
		"trailing garbage": `{"id":"a"}x`,
		"trailing value":   `{"id":"a"}{}`,
		"trailing zero":    "{}\x00",
		"truncated":        `{"id":"a"`,
		"other type":       `[1]`,
		"other field type": `{"id":"a","cents":"1"}`,
		"too deep":         strings.Repeat(`{"next":`, 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := serde.JSON[order]().Decode([]byte(text))
			require.ErrorContains(t, err, "decode serde_test.order from json: ")
			require.Zero(t, v, "an error comes with no half-read value")
		})
	}
}

func TestJSON_RejectsNullWhereItWouldBeAZeroValue(t *testing.T) {
	t.Parallel()
	for name, decode := range map[string]func([]byte) error{
		"struct": decoder(serde.JSON[order]()),
		"int":    decoder(serde.JSON[int]()),
		"string": decoder(serde.JSON[string]()),
		"bool":   decoder(serde.JSON[bool]()),
		"array":  decoder(serde.JSON[[2]int]()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, decode([]byte("null")), "null is no value of ")
			require.ErrorContains(t, decode([]byte(" null\r\n")), "null is no value of ")
		})
	}
}

func TestJSON_ReadsNullWhereItIsNil(t *testing.T) {
	t.Parallel()
	for name, decode := range map[string]func([]byte) error{
		"pointer":   decoder(serde.JSON[*order]()),
		"map":       decoder(serde.JSON[map[string]int]()),
		"slice":     decoder(serde.JSON[[]int]()),
		"interface": decoder(serde.JSON[any]()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, decode([]byte("null")))
		})
	}
	require.Equal(t, "null", string(encode(t, serde.JSON[*order](), nil)))
}

func TestJSON_RefusesToWriteWhatItCannotRead(t *testing.T) {
	t.Parallel()
	dst, err := serde.JSON[noNumber]().Append([]byte("dst"), noNumber{})
	require.EqualError(t, err, "encode serde_test.noNumber as json: null is no value of serde_test.noNumber")
	require.Equal(t, "dst", string(dst))

	dst, err = serde.JSON[float64]().Append([]byte("dst"), math.NaN())
	require.ErrorContains(t, err, "encode float64 as json: ")
	require.Equal(t, "dst", string(dst))

	_, err = serde.JSON[func()]().Append(nil, func() {})
	require.ErrorContains(t, err, "encode func() as json: ")
}

func TestJSON_BoundsEncodings(t *testing.T) {
	t.Parallel()
	const limit = 64 << 20
	huge := bytes.Repeat([]byte{' '}, limit+1)
	huge[0] = '1'
	_, err := serde.JSON[int]().Decode(huge)
	require.EqualError(t, err, "decode int from json: want at most 67108864 bytes, got 67108865")

	v, err := serde.JSON[int]().Decode(huge[:limit])
	require.NoError(t, err)
	require.Equal(t, 1, v)

	_, err = serde.JSON[json.Number]().Append(nil, json.Number(strings.Repeat("1", limit+1)))
	require.ErrorContains(t, err, "want at most 67108864 bytes, got 67108865")
}

func TestJSON_RoundTrip(t *testing.T) {
	t.Parallel()
	leaf := rapid.Custom(func(t *rapid.T) order {
		o := order{ID: rapid.String().Draw(t, "id"), Cents: rapid.Int64().Draw(t, "cents")}
		if tags := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "tags"); len(tags) > 0 {
			o.Tags = tags
		}
		return o
	})
	testRoundTrip(t, serde.JSON[order](), rapid.Custom(func(t *rapid.T) order {
		o := leaf.Draw(t, "order")
		o.Next = rapid.Ptr(leaf, true).Draw(t, "next")
		return o
	}))
}
