package topology_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/topology"
)

var programs = []struct {
	name    string
	program func(b *topology.Builder)
}{
	{"stateless", stateless},
	{"counted", counted},
	{"joined", joined},
	{"branched", branched},
	{"global", global},
}

func TestDescription_HasTheRecordedForms(t *testing.T) {
	t.Parallel()
	for _, tt := range programs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := build(t, tt.program).Describe()
			b, err := d.JSON()
			require.NoError(t, err)
			path := filepath.Join("testdata", tt.name)
			golden.Equal(t, path+".txt", d.String())
			golden.Equal(t, path+".mmd", d.Mermaid())
			golden.Equal(t, path+".dot", d.DOT())
			golden.Equal(t, path+".json", string(b))
		})
	}
}

func TestDescription_IsTheSameForTheSameProgram(t *testing.T) {
	t.Parallel()
	for _, tt := range programs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := build(t, tt.program).Describe()
			for range 20 {
				got := build(t, tt.program).Describe()
				require.Equal(t, want, got)
				require.Equal(t, want.Mermaid(), got.Mermaid())
				require.Equal(t, want.DOT(), got.DOT())
			}
		})
	}
}

func TestDescription_SurvivesJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range programs {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := build(t, tt.program).Describe()
			b, err := want.JSON()
			require.NoError(t, err)
			var got topology.Description
			require.NoError(t, json.Unmarshal(b, &got))
			require.Equal(t, want, got)
			require.Equal(t, want.String(), got.String())
		})
	}
}

func TestDescription_SharesNothingWithTheTopology(t *testing.T) {
	t.Parallel()
	top := build(t, joined)
	want := top.Describe().String()
	d := top.Describe()
	d.Subtopologies[0].Nodes[0].Children[0] = "other"
	d.Reads[0].Name = "other"
	require.Equal(t, want, top.Describe().String())
}

func TestDescription_KeepsARepartitionApartFromATopicOfItsName(t *testing.T) {
	t.Parallel()
	d := build(t, func(b *topology.Builder) {
		p := b.Source(text("views"), topology.SourceSpec[string, string]{NodeSpec: node("stream", "in")})
		write(p.Through(rekey("views"), via("repartition", "")), text("out"))
	}).Describe()
	require.Len(t, d.Reads, 1)
	require.Len(t, d.Repartitions, 1)
	require.Equal(t, 3, strings.Count(d.Mermaid(), `"views<br/>`)+strings.Count(d.Mermaid(), `"out<br/>`))
}

func TestDescription_EscapesLabels(t *testing.T) {
	t.Parallel()
	type quoted = struct {
		//lint:ignore SA5008 the tag is there to need escaping
		A []int `json:"]\")<script>"`
	}
	d := build(t, func(b *topology.Builder) {
		read(b, topology.NewTopic("in", serde.String(), serde.JSON[quoted]()))
	}).Describe()
	typ := d.Reads[0].ValueType
	require.Contains(t, typ, `"`)
	for name, drawn := range map[string]string{"mermaid": d.Mermaid(), "dot": d.DOT()} {
		for l := range strings.Lines(drawn) {
			quotes := strings.Count(l, `"`) - strings.Count(l, `\"`)
			require.Contains(t, []int{0, 2}, quotes, "%s: %s", name, l)
		}
	}
	require.NotContains(t, d.Mermaid(), "<script>")
	require.NotContains(t, d.Mermaid(), `\`)
}
