"""The proof that nothing is lost: real processes, faults by a seed, and a judge that compares what everyone saw."""
