// Package dlq decides the fate of a record that failed, and gives a dead letter its form.
//
// # Fate
//
// A function that fails says so with an error, and the error's value carries the decision. Where it does not, a
// [Policy] decides: the one of the operator, else the one of the builder, else [Fail]. [Resolve] is the one place
// where this is done.
//
//	what happened                                    what becomes of the record
//	-----------------------------------------------  ---------------------------------------------------------
//	ErrSkip                                          dropped at that node, counted; no policy is asked, and what
//	                                                 the record caused at other nodes stays
//	Reject(reason, err), wherever in the chain       a dead letter, whatever the policy says; never retried
//	any other error of a user function               the policy's decision, stage "process"
//	a panic of a user function                       the same; the error is a *PanicError
//	panic(ErrSkip)                                   a panic like any other: the policy's decision
//	panic(Reject(reason, err))                       a dead letter: the Reject is in the panic's chain
//	Reject(reason, ErrSkip)                          a dead letter: Reject wins
//	bytes that a serde cannot read                   the policy's decision, stage "decode"
//	a value that a serde cannot write                the policy's decision, stage "encode"
//	a policy that panics, or answers nonsense        Fail
//	an error of a punctuator                         fails, Reject included: there is no record to send
//	a serde whose registry cannot be reached         no policy is asked: the partition waits, and the serde is
//	                                                 asked again
//	an error of Kafka                                no policy is asked: it is not the record's fault
//
// A policy answers with one of four actions:
//
//   - [ActionFail] stops the application with the error. The record is read again when the application starts again.
//   - [ActionSkip] drops the record and counts it.
//   - [ActionSend] writes a dead letter.
//   - [ActionRetry] puts the record back at the head of its partition, which pauses for the delay. Other partitions
//     go on, and commit. See [Retry].
//
// Policies compose: Retry(3, Constant(time.Second)).Then(Send()).
//
// # Transaction
//
// The effects of a source record on its task are all or nothing. Whatever the action, what the record had written to
// stores, and what it had sent on to topics, is undone before the action is carried out. A dead letter is produced by
// the task's own producer, together with the commit of the source record's offset. Under exactly-once processing both
// are in one transaction: a reader that reads committed records sees one letter for one failure, and never a letter
// together with an output of the same record. Under at-least-once processing a letter is on its topic before the
// offset is committed: it is never lost, but a crash in between repeats it. A transaction that is aborted takes its
// letters with it; they are written again when the records are read again.
//
// # Letter
//
// A dead letter has the key, the value and the headers of the record that its task read, unchanged, byte for byte.
// Behind the headers come these, always all of them, always in this order:
//
//	error-reason       a word for the reason: of the Reject or the policy, else "processing-failed",
//	                   "deserialization-failed" or "serialization-failed" by the stage
//	error-message      the text of the error, cut at MaxMessageBytes; empty where the letter was too large
//	error-class        the Go type of the cause, such as "*json.SyntaxError"; "panic"; "error" for plain text
//	source-topic       the topic of the record that entered the application
//	source-partition   its partition, decimal
//	source-offset      its offset, decimal
//	failure-timestamp  when the record failed: milliseconds since the Unix epoch, decimal
//	application-id     the application that failed
//	node               the node that failed
//	stage              "decode", "process" or "encode"
//	attempts           how often the record was tried, decimal
//
// Text is valid UTF-8. The source is the record as it entered the application, even where a repartition topic lies
// between it and the failure; the letter goes to that source's dead-letter topic (see [TopicFor]), with the bytes of
// the repartition topic's record. A letter that is replayed and fails again carries an older set of headers first;
// [Parse] reads the last. The names and the form of the headers do not change; a later version may append others.
package dlq
