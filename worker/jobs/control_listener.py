"""Reacts to messages to all workers: a run was cancelled, a job was submitted or released.

These messages only save time. A worker that misses one learns the same from its next write, renewal or poll.
"""

import re
from collections.abc import Collection

from worker.generations.pool import GenerationPool
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.job_reader import JobReader

_is_partition = re.compile("[0-9a-f]{2}").fullmatch


class ControlListener:
    """A contract.subscription.Listener on the control channel."""

    def __init__(self, pool: GenerationPool, reader: JobReader, heartbeat: Heartbeat) -> None:
        self._pool = pool
        self._reader = reader
        self._heartbeat = heartbeat

    def on_payload(self, channel: str, payload: bytes) -> None:  # noqa: ARG002 - there is only one channel
        word, _, rest = payload.decode(errors="replace").partition(" ")
        if word == "cancel":
            self._pool.cancel(rest)
        elif _is_partition(rest) and word == "jobs":
            self._reader.ring(int(rest, 16))
        elif _is_partition(rest) and word == "released":
            self._reader.look_now(int(rest, 16))

    def on_confirmed(self, channel: str) -> None:  # noqa: ARG002
        self._heartbeat.renew_now()
        self._reader.look_now()

    def on_down(self, reason: str, channels: Collection[str]) -> None:
        """Does nothing: on_confirmed catches up."""
