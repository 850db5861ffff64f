"""Chaos runs: inject faults into real processes, and check every event that every viewer received."""
