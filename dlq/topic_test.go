package dlq_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirstream/weir/dlq"
)

func TestTopicFor_AppendsTheSuffix(t *testing.T) {
	t.Parallel()
	require.Equal(t, "orders.dlq", dlq.TopicFor("orders"))
}

func TestNaming_ChecksWhatItAnswers(t *testing.T) {
	t.Parallel()
	constant := func(topic string) dlq.Naming { return func(string) string { return topic } }
	topic, err := dlq.Naming(nil).Topic("orders")
	require.NoError(t, err)
	require.Equal(t, "orders.dlq", topic)
	topic, err = constant("all-dead").Topic("orders")
	require.NoError(t, err)
	require.Equal(t, "all-dead", topic)

	_, err = constant("orders").Topic("orders")
	require.EqualError(t, err, `name the dead-letter topic of "orders": it is the source itself`)
	_, err = constant("").Topic("orders")
	require.EqualError(t, err, `name the dead-letter topic of "orders": "": the name is empty`)
	_, err = dlq.Naming(nil).Topic(strings.Repeat("a", 246))
	require.ErrorContains(t, err, "want a name of 249 bytes at most, got 250")
	topic, err = dlq.Naming(func(string) string { panic("oops") }).Topic("orders")
	require.EqualError(t, err, `name the dead-letter topic of "orders": panic: oops`)
	require.Empty(t, topic)
}
