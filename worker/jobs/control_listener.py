"""Reacts to messages to all workers: a run was cancelled, or a job was released.

These messages only save time. A worker that misses one learns the same from its next write, renewal or poll.
"""

from collections.abc import Collection

from worker.generations.pool import GenerationPool
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.job_reader import JobReader


class ControlListener:
    """A contract.subscription.Listener on the control channel."""

    def __init__(self, pool: GenerationPool, reader: JobReader, heartbeat: Heartbeat) -> None:
        self._pool = pool
        self._reader = reader
        self._heartbeat = heartbeat

    def on_payload(self, channel: str, payload: bytes) -> None:  # noqa: ARG002 - there is only one channel
        word, _, stream_id = payload.decode(errors="replace").partition(" ")
        if word == "cancel":
            self._pool.cancel(stream_id)
        elif word == "jobs":
            self._reader.look_now()

    def on_confirmed(self, channel: str) -> None:  # noqa: ARG002
        self._heartbeat.renew_now()
        self._reader.look_now()

    def on_down(self, reason: str, channels: Collection[str]) -> None:
        """Does nothing: on_confirmed catches up."""
