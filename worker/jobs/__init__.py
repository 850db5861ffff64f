"""The worker's side of the job queue: take jobs, keep leases alive, listen for cancellations, stay registered."""
