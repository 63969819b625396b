package stream_test

import (
	"iter"
	"strconv"
	"strings"

	"github.com/weirstream/weir/serde"
	"github.com/weirstream/weir/stream"
)

// text is what keys and values are in conformance cases: a string or null.
type text = *string

// texts is the serde of text.
var texts = serde.Nullable(serde.String())

func textOf(s string) text { return &s }

// show is a text as Java's string concatenation shows it.
func show(t text) string {
	if t == nil {
		return "null"
	}
	return *t
}

func equal(a, b text) bool { return a == b || a != nil && b != nil && *a == *b }

// predicates are the functions of filters and branches, by their names in the cases.
var predicates = map[string]func(k, v text) bool{
	"len-even":    func(_, v text) bool { return v == nil || len(*v)%2 == 0 },
	"has-a":       func(_, v text) bool { return v != nil && strings.Contains(*v, "a") },
	"key-below-c": func(k, _ text) bool { return k != nil && *k < "c" },
}

// mappers are the functions of map-values. Null stays null.
var mappers = map[string]func(string) text{
	"upper":  func(v string) text { return textOf(strings.ToUpper(v)) },
	"suffix": func(v string) text { return textOf(v + "!") },
	"length": func(v string) text { return textOf(strconv.Itoa(len(v))) },
	"null-if-b": func(v string) text {
		if strings.Contains(v, "b") {
			return nil
		}
		return &v
	},
}

func mapper(name string) func(text) text {
	f := mappers[name]
	return func(v text) text {
		if v == nil {
			return nil
		}
		return f(*v)
	}
}

// firstOf is the key that records get from their value: its first character.
func firstOf(_, v text) text {
	if v == nil || *v == "" {
		return nil
	}
	return textOf((*v)[:1])
}

func mapPair(k, v text) (text, text) {
	if v == nil {
		return nil, nil
	}
	return firstOf(k, v), textOf(show(k) + ":" + *v)
}

func letters(v text) []text {
	switch {
	case v == nil:
		return nil
	case *v == "":
		return []text{v}
	}
	var out []text
	for _, r := range *v {
		out = append(out, textOf(string(r)))
	}
	return out
}

func letterPairs(_, v text) iter.Seq2[text, text] {
	return func(yield func(text, text) bool) {
		for _, c := range letters(v) {
			if !yield(c, v) {
				return
			}
		}
	}
}

func joined(l, r text) text { return textOf("(" + show(l) + "+" + show(r) + ")") }

func leftJoined(l text, r stream.Opt[text]) text { return joined(l, r.Value) }

func reduced(a, v text) text { return textOf(show(a) + "," + show(v)) }

func zeroText() text { return textOf("0") }

func added(_, v, a text) text { return textOf(show(a) + "+" + show(v)) }

// addedUnlessX is added that deletes the row where the value is x.
func addedUnlessX(k, v, a text) text {
	if *v == "x" {
		return nil
	}
	return added(k, v, a)
}

func number(n int64) text { return textOf(strconv.FormatInt(n, 10)) }

// windowText is the key of a window's result.
func windowText(w stream.Windowed[text]) text {
	at := func(ms int64) string { return strconv.FormatInt(ms, 10) }
	return textOf(show(w.Key) + "@" + at(w.Start.UnixMilli()) + "/" + at(w.End.UnixMilli()))
}
