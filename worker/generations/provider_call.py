"""One call of a source: its chunks become lines, and what they tell of the run is kept. It writes nothing itself."""

import asyncio
import logging
from contextlib import aclosing
from typing import Any

from contract.errors import Code, RunError, RunFailedError
from contract.event import Chunk, Kind, chunk_difference, encode_json, entry_line, shared_fields
from worker.generations.outbox import Outbox
from worker.generations.outcome import Outcome, answer_too_large, worker_failed
from worker.generations.pace import Pace
from worker.generations.publisher import Publisher
from worker.providers.errors import own_error
from worker.providers.source import Source

logger = logging.getLogger(__name__)


class ProviderCall:
    """Runs once. Times are of the running loop's clock, in seconds; an `answer_limit_bytes` of 0 is none."""

    def __init__(self, stream_id: str, publisher: Publisher, answer_limit_bytes: int) -> None:
        self.outcome = Outcome(1)
        self.pace = Pace()
        self.first_chunk_at: float | None = None
        self._stream_id = stream_id
        self._publisher = publisher
        self._answer_limit_bytes = answer_limit_bytes
        self._answer_bytes = 0
        self._clock = asyncio.get_running_loop().time
        self._heard_at = 0.0
        self._is_held_back = False

    async def run(self, source: Source, request: dict[str, Any], epoch: int, outbox: Outbox) -> RunError | None:
        """Until the source ends; why it failed, if it did. Cancelling it ends the call of the provider at once."""
        self.outcome = Outcome(request.get("n"))
        try:
            async with aclosing(source.generate(request)) as chunks:
                shared: Chunk | None = None
                async for chunk in chunks:
                    self._heard_at = self._clock()
                    if shared is None:
                        shared = self._begin(chunk, epoch, outbox)
                    self._put(outbox, entry_line(Kind.CHUNK, _encode(chunk_difference(shared, chunk))))
                    self._publisher.send(outbox)
                    self.outcome.record(chunk)
                    self.pace.record(self._heard_at)
                    if self._publisher.is_full:
                        await self._wait_for_room()
        except RunFailedError as failure:
            return failure.error
        except Exception:
            logger.exception("run %s: the generator failed", self._stream_id)
            return worker_failed()
        return None

    def quiet_s(self, now: float) -> float:
        """How long the source has sent nothing; 0 before its first chunk, and while we are those who do not take."""
        if self.first_chunk_at is None or self._is_held_back:
            return 0.0
        return now - self._heard_at

    def _begin(self, first: Chunk, epoch: int, outbox: Outbox) -> Chunk:
        self.first_chunk_at = self._heard_at
        shared = shared_fields(first)
        self._put(outbox, entry_line(Kind.START, _encode({"stream": self._stream_id, "epoch": epoch, "chunk": shared})))
        return shared

    def _put(self, outbox: Outbox, line: bytes) -> None:
        self._answer_bytes += len(line)
        if 0 < self._answer_limit_bytes < self._answer_bytes:
            raise RunFailedError(answer_too_large(self._answer_limit_bytes))
        outbox.put(line)

    async def _wait_for_room(self) -> None:
        self._is_held_back = True
        await self._publisher.room()
        self._is_held_back = False
        self._heard_at = self._clock()


def _encode(value: Chunk) -> bytes:
    try:
        return encode_json(value)
    except (ValueError, RecursionError) as error:
        text = "The provider sent a number that JSON does not have."
        raise RunFailedError(own_error(Code.UPSTREAM_INVALID, text)) from error
