package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kfake"
)

// startBroker starts an in-memory Kafka on a free port of the loopback interface. It is gone, with all topics, when
// stop is called.
func startBroker() (brokers []string, stop func(), err error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return nil, nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	return cluster.ListenAddrs(), cluster.Close, nil
}
