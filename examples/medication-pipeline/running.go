package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/weirstream/weir/runtime"
	"github.com/weirstream/weir/topology"
)

// The values of -guarantee.
const (
	exactlyOnce = "exactly-once"
	atLeastOnce = "at-least-once"
)

// Running is one run of the program.
type running struct {
	options
	out io.Writer
	log *slog.Logger

	top     *topology.Topology
	cluster *cluster
	app     *runtime.App
	ready   chan struct{} // closed when the application runs for the first time
	began   time.Time     // since when it runs
	took    time.Duration // until all was done
}

func (r *running) run(ctx context.Context) (err error) {
	if r.top, err = pipeline(r.Prefix); err != nil {
		return err
	}
	if r.cluster, err = connect(r.Brokers); err != nil {
		return err
	}
	defer r.cluster.close()
	w, want, err := r.prepare(ctx)
	if err != nil {
		return explain(ctx, err)
	}
	before, err := r.progress(ctx)
	if err != nil {
		return explain(ctx, err)
	}
	if err := r.start(); err != nil {
		return err
	}
	if err := r.follow(ctx, int64(len(w.Events))); err != nil {
		return explain(ctx, err)
	}
	if r.Serve {
		return nil
	}
	return explain(ctx, r.settle(ctx, want, before))
}

// prepare creates the topics and publishes what they lack.
func (r *running) prepare(ctx context.Context) (w workload, want expectation, err error) {
	orders := r.Prefix + Orders.Name()
	partitions, err := r.cluster.createTopics(ctx, r.top, orders)
	if err != nil {
		return w, want, err
	}
	if w, err = r.load(partitions); err != nil {
		return w, want, err
	}
	var messages []message
	for _, e := range w.Events {
		messages = append(messages, e.message)
	}
	if _, err := r.cluster.publish(ctx, r.Prefix+Pharmacies.Name(), w.Pharmacies); err != nil {
		return w, want, err
	}
	n, err := r.cluster.publish(ctx, orders, messages)
	if err != nil {
		return w, want, err
	}
	fmt.Fprintf(r.out, "published %d events, %d were there already\n", n, len(w.Events)-n)
	return w, expect(w, partitions), nil
}

// start makes the application.
func (r *running) start() (err error) {
	cfg := runtime.Config{
		ApplicationID: r.Application, Brokers: r.Brokers, Workers: r.Workers, StateDir: r.StateDir, Logger: r.log,
		SessionTimeout: 10 * time.Second, // a run that was killed is missed sooner
		FlushInterval:  time.Second,      // and leaves less to replay
	}
	if r.Guarantee == atLeastOnce {
		cfg.Guarantee = runtime.AtLeastOnce
	}
	ready := make(chan struct{})
	r.ready = ready
	cfg.OnState = func(_, to runtime.State) { // one call at a time
		if to == runtime.Running && ready != nil {
			close(ready)
			ready = nil
		}
	}
	r.app, err = runtime.New(r.top, cfg)
	return err
}

// follow runs the application until its work is done, or until ctx ends if it serves.
func (r *running) follow(ctx context.Context, total int64) error {
	work, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.app.Run(work) }()
	err := r.watch(ctx, total, ended)
	stop()
	if errors.Is(err, errEnded) {
		return err
	}
	return errors.Join(err, <-ended)
}

var errEnded = errors.New("the application ended before its work was done")

// watch prints how far the application is. It returns nil when all is done, or when ctx ends if the application
// serves.
func (r *running) watch(ctx context.Context, total int64, ended <-chan error) error {
	const look = 50 * time.Millisecond
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	ready, printed := r.ready, time.Now()
	for {
		select {
		case <-ctx.Done():
			if r.Serve {
				return nil
			}
			return context.Cause(ctx)
		case err := <-ended:
			return errors.Join(errEnded, err)
		case <-ready:
			ready, r.began = nil, time.Now()
			s := r.app.Stats()
			fmt.Fprintf(r.out, "running; replayed %d changelog records, of %d\n", s.Restored, s.Changelog)
		case <-ticker.C:
			p, err := r.progress(ctx)
			switch {
			case err != nil && ctx.Err() == nil && !r.Serve:
				return err
			case err == nil && p.Done && ready == nil && !r.Serve:
				r.took = time.Since(r.began)
				return nil
			case err == nil && time.Since(printed) >= time.Second:
				printed = time.Now()
				fmt.Fprintf(r.out, "%d of %d events\n", p.Orders, total)
			}
		}
	}
}

func (r *running) progress(ctx context.Context) (progress, error) {
	return r.cluster.progress(ctx, r.Application, r.Prefix+Orders.Name(), inputs(r.top, r.Application))
}

// settle reads the outputs, prints the account and returns an error if it does not balance.
func (r *running) settle(ctx context.Context, want expectation, before progress) error {
	records, err := r.cluster.read(ctx, outputTopics(r.Prefix)...)
	if err != nil {
		return err
	}
	a := settle(want, outputsOf(records, r.Prefix), r.Guarantee == exactlyOnce)
	if !before.Started { // else this process has counted only its part
		a.checkCounters(r.app.Stats())
	}
	a.print(r.out, r.Prefix, int64(want.In)-before.Orders, r.took)
	if !a.OK() {
		return errors.New("the account does not balance")
	}
	return nil
}

// checkCounters compares what the engine says that it dropped with what is missing in the outputs.
func (a *account) checkCounters(s runtime.Stats) {
	c := check{Name: "the engine's own counters say the same"}
	if late := s.Count("dropped", "late"); late != int64(a.Late) {
		c.fail("%d new orders are in no window, the engine counted %d as late", a.Late, late)
	}
	if n := s.Count("dead-letter", ""); n != int64(len(a.out.letters)) {
		c.fail("there are %d dead letters, the engine counted %d", len(a.out.letters), n)
	}
	a.Checks = append(a.Checks, c)
}

// explain says why a context ended, where that is what an error is about.
func explain(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}
