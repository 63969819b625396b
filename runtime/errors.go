package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A class says what an error of Kafka asks for.
type class uint8

const (
	// fatal: nothing here can mend it. It stops the application, and Run returns it.
	fatal class = iota
	// retry: the same request may succeed in a moment.
	retry
	// abort: the transaction must be aborted and its tasks rolled back; then all goes on.
	abort
	// fenced: another producer has this one's id, or the broker has given it up: abort, and make a new producer.
	fenced
	// rejoin: the group has gone on without this generation. The offsets cannot be committed under it.
	rejoin
)

// classes is the one table of what is done about which error of a broker, with the reason. What is not in it is retried if the protocol calls it
// retriable, and fatal otherwise.
var classes = []struct {
	err    *kerr.Error
	class  class
	reason string
}{
	{kerr.CoordinatorLoadInProgress, retry, "the coordinator is starting"},
	{kerr.CoordinatorNotAvailable, retry, "the coordinator is moving"},
	{kerr.NotCoordinator, retry, "the coordinator has moved"},
	{kerr.ConcurrentTransactions, retry, "the last transaction is still being completed"},
	{kerr.UnstableOffsetCommit, retry, "a transaction with offsets of the partition is open"},
	{kerr.LeaderNotAvailable, retry, "a leader is being elected"},
	{kerr.NotLeaderForPartition, retry, "the leader has moved"},
	{kerr.RequestTimedOut, retry, "the broker was slow"},
	{kerr.NetworkException, retry, "the broker hung up"},
	{kerr.NotEnoughReplicas, retry, "replicas are down"},
	{kerr.NotEnoughReplicasAfterAppend, retry, "replicas are down"},
	{kerr.UnknownTopicOrPartition, retry, "metadata of a new topic has not spread, or the topic was deleted"},
	{kerr.TransactionAbortable, abort, "the broker asks for an abort"},
	{kerr.OperationNotAttempted, abort, "the commit was not tried, since a record was refused"},
	{kerr.InvalidTxnState, abort, "the transaction is over on the broker, by timeout"},
	{kerr.OutOfOrderSequenceNumber, fenced, "the broker lost part of what was produced"},
	{kerr.UnknownProducerID, fenced, "the broker has forgotten the producer"},
	{kerr.InvalidProducerIDMapping, fenced, "the broker has forgotten the transactional id"},
	{kerr.InvalidProducerEpoch, fenced, "another producer has the id, or the transaction timed out"},
	{kerr.ProducerFenced, fenced, "another producer has the id, or the transaction timed out"},
	{kerr.IllegalGeneration, rejoin, "the group is in a new generation"},
	{kerr.UnknownMemberID, rejoin, "the group has given this member up"},
	{kerr.RebalanceInProgress, rejoin, "the group is rebalancing"},
	{kerr.FencedInstanceID, rejoin, "another instance has the instance id"},
}

// classify tells what an error asks for. Errors that are no broker's are those of the network, which are retried, and those of time limits, which abort.
func classify(err error) class {
	if ke, ok := errors.AsType[*kerr.Error](err); ok {
		for _, row := range classes {
			if row.err.Code == ke.Code {
				return row.class
			}
		}
		if ke.Retriable {
			return retry // the protocol says so
		}
		return fatal
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, kgo.ErrRecordRetries) {
		return abort
	}
	if _, ok := errors.AsType[net.Error](err); ok || kgo.IsRetryableBrokerErr(err) || errors.Is(err, io.EOF) {
		return retry
	}
	return fatal
}

// A TopicError says what is wrong with a topic of the cluster.
type TopicError struct {
	Topic string
	Err   error
}

// Error names the topic.
func (e *TopicError) Error() string { return fmt.Sprintf("topic %q: %v", e.Topic, e.Err) }

// Unwrap returns the cause.
func (e *TopicError) Unwrap() error { return e.Err }
