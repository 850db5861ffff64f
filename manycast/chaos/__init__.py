"""Chaos runs: real processes, faults by a seed, and a checker that compares what every viewer received."""
