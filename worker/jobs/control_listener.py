"""What is called out to all workers, heard. Only a doorbell: the truth is in Redis, and what is missed here is found
at the next write, renewal or poll."""

from worker.generations.pool import Workshop
from worker.jobs.heartbeat import LeaseKeeper
from worker.jobs.job_reader import JobReader


class Doorbell:
    """A contract.subscription.Listener on the control channel."""

    def __init__(self, workshop: Workshop, reader: JobReader, keeper: LeaseKeeper) -> None:
        self._workshop = workshop
        self._reader = reader
        self._keeper = keeper

    def on_payload(self, channel: str, payload: bytes) -> None:  # noqa: ARG002 - there is one channel only
        word, _, stream_id = payload.decode(errors="replace").partition(" ")
        if word == "cancel":
            self._workshop.cancel(stream_id)
        elif word == "jobs":
            self._reader.look_now()

    def on_confirmed(self, channel: str) -> None:  # noqa: ARG002
        self._keeper.renew_now()
        self._reader.look_now()

    def on_down(self, reason: str) -> None:
        """Nothing to do: on_confirmed makes up for it."""
