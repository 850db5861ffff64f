"""What gateway and worker must agree on: events, positions, keys, limits, errors, and the writing of a stream."""
