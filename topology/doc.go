// Package topology is the graph of a stream program: nodes, edges, stores and topics.
//
// A Builder collects nodes; Build compiles them to an immutable Topology: it finds the subtopologies, checks everything that can be
// checked without a cluster, and returns all faults at once. Plan lays a topology out on a cluster: its tasks, its internal topics and
// their numbers of partitions. The description of a topology is its public truth: golden tests and reviews use it.
//
// A global store is part of no subtopology: every instance fills it from all partitions of a topic (Builder.Global), and tasks read it.
//
// What a topology leaves behind has durable names; Manifest and Compare tell what a new program would find changed.
//
// # Typed links in an erased graph
//
// The graph knows its nodes without their types. Each node keeps a function that builds its receiver, a Processor of its input's key and
// value types, for one task from the receivers of its children: one type assertion per edge, when a task is wired. Build wires every
// subtopology once with empty stores, so that an assertion that fails is an error of Build. On the way of a record there is no reflection, no
// boxing and no look-up by name.
//
// # Processors
//
// Package stream builds everything that it offers on Port.Attach. Users who want a graph of their own use Builder.Source, Port.Process and
// Port.Sink: see Setup and Node.
//
// # Nodes that do something without a record
//
// An operator with a clock of its own that sends by time must implement NodeContext.OnAdvance: an input upstream is quiet, and its clock is to go on. One
// that holds results back until the commit sends them in NodeContext.OnCommit. What fails there stops the task: there is no record to set aside.
package topology
