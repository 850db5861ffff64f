"""The worker: takes jobs, runs their generators, publishes their chunks. Its state is in Redis."""
