package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
)

// compare runs both systems in turn, so that what the machine does beside it falls on both, and prints medians and their ratios.
func compare(ctx context.Context, s settings) error {
	if err := load(ctx, s); err != nil {
		return err
	}
	fmt.Printf("%d records, %d keys, %d partitions, %d workers, commit every %v, %d rounds\n",
		s.records, s.keys, s.partitions, s.workers, s.commit, s.rounds)
	for _, workload := range []string{"stateless", "count"} {
		runs := map[string][]result{}
		for range s.rounds {
			for _, system := range []string{"raw", "weir"} {
				r, err := child(ctx, s, system, workload)
				if err != nil {
					return fmt.Errorf("%s %s: %w", system, workload, err)
				}
				runs[system] = append(runs[system], r)
			}
		}
		raw, weir := medians(runs["raw"]), medians(runs["weir"])
		for _, m := range []result{raw, weir} {
			fmt.Printf("%-10s %-9s %9.0f rec/s  %9.0f rec/CPU-s  %5d MiB\n", workload, m.System, m.PerSecond, m.PerCPUSecond, m.PeakMemoryMiB)
		}
		fmt.Printf("%-10s %-9s %9.2f         %9.2f\n", workload, "weir/raw", weir.PerSecond/raw.PerSecond, weir.PerCPUSecond/raw.PerCPUSecond)
	}
	return nil
}

func child(ctx context.Context, s settings, system, workload string) (r result, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, self, "-brokers", s.brokers, "-records", strconv.Itoa(s.records), "-keys", strconv.Itoa(s.keys),
		"-partitions", strconv.Itoa(s.partitions), "-workers", strconv.Itoa(s.workers), "-commit", s.commit.String(), "-topic", s.topic,
		system, workload)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	return r, json.NewDecoder(bytes.NewReader(out)).Decode(&r)
}

// medians are those of each figure by itself.
func medians(rs []result) result {
	m := rs[0]
	median := func(f func(result) float64) float64 {
		xs := make([]float64, len(rs))
		for i, r := range rs {
			xs[i] = f(r)
		}
		slices.Sort(xs)
		return xs[len(xs)/2]
	}
	m.WallSeconds = median(func(r result) float64 { return r.WallSeconds })
	m.CPUSeconds = median(func(r result) float64 { return r.CPUSeconds })
	m.PerSecond = median(func(r result) float64 { return r.PerSecond })
	m.PerCPUSecond = median(func(r result) float64 { return r.PerCPUSecond })
	m.PeakMemoryMiB = int64(median(func(r result) float64 { return float64(r.PeakMemoryMiB) }))
	return m
}
