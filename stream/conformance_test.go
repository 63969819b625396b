package stream_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// conformanceDir is the variable that names a directory of cases to run instead of those in testdata.
const conformanceDir = "CONFORMANCE_DIR"

// rules are where the answer is meant to differ from Kafka Streams', by name: docs/from-kafka-streams.md has them at length.
var rules = map[string]string{
	"initial-aggregate": "without a cache, Kafka Streams gives the initial aggregate as the old value of a new row: an aggregation behind it " +
		"takes away what it was never given",
	"suppressed-old": "Kafka Streams gives the last update that it held back as the old value of the one that it sends: a filter behind it " +
		"misses a delete, an aggregation takes away what it was never given",
}

// divergenceFile names, beside the cases, those that differ, each with its rule.
const divergenceFile = "divergences.txt"

// readDivergences reads lines of a case and a rule.
func readDivergences(t *testing.T, dir string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, divergenceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	out := map[string]string{}
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(line)
		require.Len(t, words, 2, "%s: want a case and a rule: %q", divergenceFile, line)
		require.Contains(t, rules, words[1], "%s: there is no such rule", divergenceFile)
		out[words[0]] = words[1]
	}
	return out
}

// The cases were recorded from Kafka Streams 4.3.1: each is a topology, its input, and every record that came out. Cases
// with an operator that the interpreter does not know count as not yet.
func TestConformance_AnswersAsKafkaStreamsDoes(t *testing.T) {
	t.Parallel()
	dir := os.Getenv(conformanceDir)
	if dir == "" {
		dir = filepath.Join("testdata", "conformance")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "no cases in %s", dir)
	divergences := readDivergences(t, dir)
	for _, file := range files {
		family := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			s := conformanceScore{divergences: divergences}
			for _, c := range readCases(t, file) {
				s.add(t, c)
			}
			_, err := fmt.Fprintf(t.Output(), "conformance %s: %v\n", family, &s)
			require.NoError(t, err)
		})
	}
}

func readCases(t *testing.T, file string) []*conformanceCase {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var cases []*conformanceCase
	require.NoError(t, json.Unmarshal(b, &cases), "read %s", file)
	return cases
}

// A conformanceScore counts the cases of a family by their outcome.
type conformanceScore struct {
	cases, identical, listed, notYet, different int
	missing                                     map[string]int
	divergences                                 map[string]string
}

// add runs a case. A difference that is not listed fails the test, and so does a listed case that does not differ.
func (s *conformanceScore) add(t *testing.T, c *conformanceCase) {
	t.Helper()
	s.cases++
	nodes, missing, err := c.nodes()
	require.NoError(t, err, "read case %s", c.Name)
	if len(missing) > 0 {
		s.notYet++
		for _, op := range missing {
			if s.missing == nil {
				s.missing = map[string]int{}
			}
			s.missing[op]++
		}
		return
	}
	difference := c.run(t, nodes)
	rule, listed := s.divergences[c.Name]
	switch {
	case difference != "" && listed:
		s.listed++
	case difference != "":
		s.different++
		t.Error(c.explain(difference))
	case listed:
		t.Errorf("case %s is listed as a divergence (%s) and has none", c.Name, rules[rule])
	default:
		s.identical++
	}
}

// String gives the figures, and in a second line the operators that are not there yet, with the number of cases that
// need each.
func (s *conformanceScore) String() string {
	line := fmt.Sprintf("%d cases, %d identical, %d listed divergences, %d not yet, %d different",
		s.cases, s.identical, s.listed, s.notYet, s.different)
	if len(s.missing) == 0 {
		return line
	}
	var ops []string
	for _, op := range slices.Sorted(maps.Keys(s.missing)) {
		ops = append(ops, fmt.Sprintf("%s %d", op, s.missing[op]))
	}
	return line + "\n    not yet: " + strings.Join(ops, ", ")
}
