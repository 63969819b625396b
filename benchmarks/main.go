// Command benchmarks measures Weir beside a hand-written franz-go loop of the same shape: one group member, the same number of workers, exactly-once,
// the same commit interval, on the same input.
//
//	benchmarks load                        write the input topic, once
//	benchmarks weir stateless|count        one run of Weir, one line of JSON
//	benchmarks raw stateless|count         one run of the loop, one line of JSON
//	benchmarks compare                     alternate both, several rounds; medians and ratios
//
// Each run of compare is a process of its own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	brokers    string
	records    int
	keys       int
	partitions int
	workers    int
	commit     time.Duration
	rounds     int
	topic      string
	profile    string
}

func main() {
	var s settings
	flag.StringVar(&s.brokers, "brokers", "127.0.0.1:9092", "address of the cluster")
	flag.IntVar(&s.records, "records", 2_000_000, "records of the input")
	flag.IntVar(&s.keys, "keys", 100_000, "keys of the input")
	flag.IntVar(&s.partitions, "partitions", 4, "partitions of the input")
	flag.IntVar(&s.workers, "workers", 2, "workers")
	flag.DurationVar(&s.commit, "commit", 100*time.Millisecond, "commit interval")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds of compare")
	flag.StringVar(&s.topic, "topic", "bench-in", "input topic")
	flag.StringVar(&s.profile, "profile", "", "a file for the CPU profile of one run")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, s, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings, args []string) error {
	if len(args) == 0 {
		flag.Usage()
		return errors.New("say what to do: load, weir, raw or compare")
	}
	workload := "stateless"
	if len(args) > 1 {
		workload = args[1]
	}
	if workload != "stateless" && workload != "count" {
		return fmt.Errorf("workload %q: use stateless or count", workload)
	}
	if s.profile != "" {
		f, err := os.Create(s.profile)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var r result
	var err error
	switch args[0] {
	case "load":
		return load(ctx, s)
	case "compare":
		return compare(ctx, s)
	case "weir":
		r, err = runWeir(ctx, s, workload)
	case "raw":
		r, err = runRaw(ctx, s, workload)
	default:
		return fmt.Errorf("%q: use load, weir, raw or compare", args[0])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// result is one run.
type result struct {
	System        string  `json:"system"`
	Workload      string  `json:"workload"`
	Records       int64   `json:"records"`
	WallSeconds   float64 `json:"wall_s"`
	CPUSeconds    float64 `json:"cpu_s"`
	PerSecond     float64 `json:"records_per_s"`
	PerCPUSecond  float64 `json:"records_per_cpu_s"`
	PeakMemoryMiB int64   `json:"peak_memory_mib"`
}

func measured(system, workload string, records int64, started time.Time) result {
	wall := time.Since(started).Seconds()
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	cpu := float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
	return result{
		System: system, Workload: workload, Records: records, WallSeconds: wall, CPUSeconds: cpu,
		PerSecond: float64(records) / wall, PerCPUSecond: float64(records) / cpu, PeakMemoryMiB: int64(u.Maxrss) / 1024,
	}
}
