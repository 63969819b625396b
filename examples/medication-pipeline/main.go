// Medication-pipeline is an example of a stream application: it follows medication orders from their creation to
// the pharmacy.
//
// Without flags it is a demonstration that needs nothing else. It starts a broker in memory, publishes 50,000
// generated events, runs the pipeline over them, stops when all is done, and proves from what came out that every
// event is accounted for, exactly once. It exits with 1 if that is not so.
//
// pipeline.go is the program proper: read it first. README.md tells the rules and what is guaranteed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Options are what the flags say.
type options struct {
	Brokers     []string
	Prefix      string
	Application string
	Orders      int
	Seed        uint64
	Input       string
	Workers     int
	Guarantee   string
	StateDir    string
	Serve       bool
	Timeout     time.Duration
	Verbose     bool
}

func main() {
	o, err := parseFlags(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2) // the flags have told why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "medication-pipeline:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("medication-pipeline", flag.ContinueOnError)
	brokers := f.String("brokers", "", "addresses of a Kafka cluster, host:port,...; none: an embedded broker")
	f.StringVar(&o.Prefix, "prefix", "", "a prefix to the names of the topics")
	f.StringVar(&o.Application, "application", "medication-pipeline",
		"the application's id: instances with the same id share the work")
	f.IntVar(&o.Orders, "orders", 50_000, "the number of events about orders to publish")
	f.Uint64Var(&o.Seed, "seed", 1, "the seed of the generated orders")
	f.StringVar(&o.Input, "input", "", "a file of JSON lines to publish instead: see README.md")
	f.IntVar(&o.Workers, "workers", 2, "the number of goroutines that share the tasks")
	f.StringVar(&o.Guarantee, "guarantee", exactlyOnce, exactlyOnce+" or "+atLeastOnce)
	f.StringVar(&o.StateDir, "state-dir", "", "a directory for local state, kept; none: a temporary one")
	f.BoolVar(&o.Serve, "serve", false, "run until interrupted, without an account at the end")
	f.DurationVar(&o.Timeout, "timeout", 5*time.Minute, "the time in which all must be done, without -serve")
	f.BoolVar(&o.Verbose, "v", false, "log what the engine does")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var wrong []error
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if *brokers != "" {
		o.Brokers = strings.Split(*brokers, ",")
	}
	if o.Guarantee != exactlyOnce && o.Guarantee != atLeastOnce {
		bad("-guarantee %q: use %s or %s", o.Guarantee, exactlyOnce, atLeastOnce)
	}
	if o.Orders < 0 {
		bad("-orders %d: use 0 or more", o.Orders)
	}
	if f.NArg() > 0 {
		bad("unexpected argument %q", f.Arg(0))
	}
	err := errors.Join(wrong...)
	if err != nil {
		fmt.Fprintln(f.Output(), err)
	}
	return o, err
}

// generatedStart is when the first generated order is placed.
var generatedStart = time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)

// run is the program.
func run(ctx context.Context, o options, out io.Writer) error {
	if !o.Serve {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("it is not done after %v", o.Timeout))
		defer cancel()
	}
	if len(o.Brokers) == 0 {
		brokers, stop, err := startBroker()
		if err != nil {
			return err
		}
		defer stop()
		o.Brokers = brokers
		fmt.Fprintf(out, "embedded broker at %s\n", strings.Join(brokers, ", "))
	}
	if o.StateDir == "" {
		dir, err := os.MkdirTemp("", "medication-pipeline-")
		if err != nil {
			return fmt.Errorf("make a directory for local state: %w", err)
		}
		defer os.RemoveAll(dir)
		o.StateDir = dir
	}
	r := &running{options: o, out: out, log: slog.New(slog.DiscardHandler)}
	if o.Verbose {
		r.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return r.run(ctx)
}

// load returns what is to be published.
func (o options) load(partitions int32) (workload, error) {
	if o.Input == "" {
		return generate(o.Seed, o.Orders, partitions, generatedStart), nil
	}
	f, err := os.Open(o.Input)
	if err != nil {
		return workload{}, fmt.Errorf("read the input: %w", err)
	}
	defer f.Close()
	w, err := readWorkload(f, partitions)
	if err != nil {
		return w, fmt.Errorf("read the input %s: %w", o.Input, err)
	}
	return w, nil
}
