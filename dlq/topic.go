package dlq

import (
	"errors"
	"fmt"
)

// TopicFor returns the dead-letter topic of a source topic: its name and ".dlq".
func TopicFor(source string) string { return source + ".dlq" }

// A Naming gives the dead-letter topic of a source topic. A nil Naming is TopicFor.
//
// It is a pure function that may be called concurrently. Several sources may share one dead-letter topic: letters say
// where they come from.
type Naming func(source string) string

// Topic returns the dead-letter topic of source. A name that Kafka does not accept, the source itself, and a panic of
// n are errors.
func (n Naming) Topic(source string) (topic string, err error) {
	defer func() {
		if v := recover(); v != nil {
			topic, err = "", fmt.Errorf("name the dead-letter topic of %q: panic: %v", source, v)
		}
	}()
	if n == nil {
		n = TopicFor
	}
	topic = n(source)
	if err := checkTopic(topic); err != nil {
		return "", fmt.Errorf("name the dead-letter topic of %q: %q: %w", source, topic, err)
	}
	if topic == source {
		return "", fmt.Errorf("name the dead-letter topic of %q: it is the source itself", source)
	}
	return topic, nil
}

// maxTopicBytes is Kafka's limit of a topic's name.
const maxTopicBytes = 249

// checkTopic applies Kafka's rule for the names of topics.
func checkTopic(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case name == "." || name == "..":
		return errors.New(`the names "." and ".." are not allowed`)
	case len(name) > maxTopicBytes:
		return fmt.Errorf("want a name of %d bytes at most, got %d", maxTopicBytes, len(name))
	}
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("want letters, digits, '.', '_' and '-', got %q", c)
		}
	}
	return nil
}
