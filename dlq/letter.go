package dlq

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"time"
)

// The headers of a letter. doc.go is their reference.
const (
	headerReason      = "error-reason"
	headerMessage     = "error-message"
	headerClass       = "error-class"
	headerTopic       = "source-topic"
	headerPartition   = "source-partition"
	headerOffset      = "source-offset"
	headerTimestamp   = "failure-timestamp"
	headerApplication = "application-id"
	headerNode        = "node"
	headerStage       = "stage"
	headerAttempts    = "attempts"

	headerCount = 11
)

const (
	// MaxMessageBytes bounds the error-message of a letter.
	MaxMessageBytes = 8 << 10

	// maxTextBytes bounds every other text of a letter: a reason may be whatever a function passed to Reject.
	maxTextBytes = 1 << 10

	// maxQuotedBytes bounds the foreign value that an error of Parse quotes.
	maxQuotedBytes = 64
)

// A Header is one header of a Kafka record.
type Header struct {
	Key   string
	Value []byte
}

// An Origin is where a record entered the application.
type Origin struct {
	Topic     string
	Partition int32
	Offset    int64
}

// A Letter is what a dead letter says about the failure of its record. The record itself is beside it: key, value, and
// the headers before the letter's.
//
// A Letter of NewLetter or Parse is comparable by ==: its time has whole milliseconds, in UTC.
type Letter struct {
	// ApplicationID is the application that failed.
	ApplicationID string
	// Node is the name of the node that failed.
	Node string
	// Stage is the part of the record's way in which it failed.
	Stage Stage
	// Attempts counts how often the record was tried.
	Attempts int
	// Reason is a word for the class of failures.
	Reason string
	// Message is the text of the error, MaxMessageBytes at most; empty where it was dropped to make the letter smaller.
	Message string
	// Class is the Go type of the cause that says most: the innermost one in the chain of errors that is more than
	// text. Types of the packages errors and fmt, *Failure and *RejectError are only text. Of an error that wraps
	// several, the first counts that has a class. It is "panic" where a panic is in the chain, and "error" where
	// nothing is more than text.
	Class string
	// Source is where the record entered the application.
	Source Origin
	// FailedAt is when the record failed.
	FailedAt time.Time
}

// NewLetter describes a failure that was decided to be sent. d is the decision of Resolve; where its reason is empty,
// that of the stage is used. failedAt is wall time. The text of the error is made valid UTF-8 and cut to the letter's
// limits. NewLetter never panics, even where the error's own methods do.
func NewLetter(f *Failure, d Decision, applicationID string, source Origin, failedAt time.Time) Letter {
	source.Topic = clip(source.Topic, maxTextBytes)
	return Letter{
		ApplicationID: clip(applicationID, maxTextBytes),
		Node:          clip(f.Node, maxTextBytes),
		Stage:         Stage(clip(string(f.Stage), maxTextBytes)),
		Attempts:      f.Attempts,
		Reason:        clip(cmp.Or(d.Reason, defaultReason(f.Stage)), maxTextBytes),
		Message:       clip(messageOf(f.Err), MaxMessageBytes),
		Class:         clip(classOf(f.Err), maxTextBytes),
		Source:        source,
		FailedAt:      fromMillis(failedAt.UnixMilli()),
	}
}

// LimitMessage cuts the error-message to a number of bytes, at the boundary of a character and with a marker behind it
// where there is room for one; 0 drops it. A letter that is too large for its topic loses its error-message first:
// everything else about it is short.
func (l *Letter) LimitMessage(bytes int) { l.Message = clip(l.Message, bytes) }

// AppendHeaders appends the letter's headers to dst, which holds those of the record, and returns the extended slice.
// All are written, in their order, also where a value is empty: else an older letter's value behind a replay would
// count. The values are the caller's; they share one array, each capped to its own bytes.
func (l *Letter) AppendHeaders(dst []Header) []Header {
	const digits = 4 * 20 // of four numbers
	room := digits + len(l.Reason) + len(l.Message) + len(l.Class) + len(l.Source.Topic) + len(l.ApplicationID) +
		len(l.Node) + len(l.Stage)
	buf := make([]byte, 0, room)
	start := 0
	add := func(key string) {
		dst = append(dst, Header{Key: key, Value: buf[start:len(buf):len(buf)]})
		start = len(buf)
	}
	text := func(key, value string) {
		buf = append(buf, value...)
		add(key)
	}
	number := func(key string, value int64) {
		buf = strconv.AppendInt(buf, value, 10)
		add(key)
	}
	text(headerReason, l.Reason)
	text(headerMessage, l.Message)
	text(headerClass, l.Class)
	text(headerTopic, l.Source.Topic)
	number(headerPartition, int64(l.Source.Partition))
	number(headerOffset, l.Source.Offset)
	number(headerTimestamp, l.FailedAt.UnixMilli())
	text(headerApplication, l.ApplicationID)
	text(headerNode, l.Node)
	text(headerStage, string(l.Stage))
	number(headerAttempts, int64(l.Attempts))
	return dst
}

// Parse reads the letter out of a record's headers. Other headers are ignored, and of several with one key the last
// counts: a record that was replayed carries older ones first. A header that is missing, and a number that is none,
// are errors: the record is no dead letter of this form. Text that is not valid UTF-8 is repaired, and never cut. The
// letter shares no memory with headers. Parse never panics.
func Parse(headers []Header) (Letter, error) {
	p := parser{last: make(map[string][]byte, headerCount)}
	for _, h := range headers {
		p.last[h.Key] = h.Value
	}
	l := Letter{
		Reason:  p.text(headerReason),
		Message: p.text(headerMessage),
		Class:   p.text(headerClass),
		Source: Origin{
			Topic:     p.text(headerTopic),
			Partition: int32(p.number(headerPartition, 32)),
			Offset:    p.number(headerOffset, 64),
		},
		FailedAt:      fromMillis(p.number(headerTimestamp, 64)),
		ApplicationID: p.text(headerApplication),
		Node:          p.text(headerNode),
		Stage:         Stage(p.text(headerStage)),
		Attempts:      int(p.number(headerAttempts, strconv.IntSize)),
	}
	if p.err != nil {
		return Letter{}, p.err
	}
	return l, nil
}

// A parser reads values by key. It keeps its first error, and reads zero values from then on.
type parser struct {
	last map[string][]byte
	err  error
}

func (p *parser) value(key string) string {
	v, ok := p.last[key]
	if !ok && p.err == nil {
		p.err = fmt.Errorf("parse dead letter: no header %q", key)
	}
	return string(v)
}

func (p *parser) text(key string) string { return clip(p.value(key), math.MaxInt) }

func (p *parser) number(key string, bits int) int64 {
	v := p.value(key)
	if p.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, bits)
	if err != nil {
		// The value is foreign and may be long: the error does not repeat all of it.
		v = clip(v, maxQuotedBytes)
		p.err = fmt.Errorf("parse dead letter: header %q: want a decimal number of %d bits, got %q", key, bits, v)
	}
	return n
}

// fromMillis returns the time of a header, in the form that makes letters comparable.
func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
