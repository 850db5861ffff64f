"""The worker: takes jobs, runs their generators, publishes what they yield. It serves nobody and keeps no state."""
