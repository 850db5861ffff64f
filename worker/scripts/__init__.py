"""Runs the operator's scripts: finds them, gives them provider calls, and writes what they do into the log."""
