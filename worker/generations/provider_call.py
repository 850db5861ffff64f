"""One call of a source. Puts its chunks into the outbox as lines, and collects the outcome of the run."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from contract.errors import SERVER_ERROR, Code, RunError, RunFailedError
from contract.event import Chunk, Kind, chunk_difference, encode_json, entry_line, shared_fields
from worker.generations.line_template import LineTemplate
from worker.generations.outbox import Outbox
from worker.generations.outcome import Outcome, answer_too_large, count_choices, worker_failed
from worker.generations.pace import Pace
from worker.generations.publisher import Publisher
from worker.model_timeouts import ModelTimeouts
from worker.providers.chunk_pattern import SimilarChunk, Texts
from worker.providers.errors import own_error
from worker.providers.repair import ChunkRepair, NoRepair
from worker.providers.source import END, Answer, ChunkTimeout, LogEntry, ParkedError, Source

logger = logging.getLogger(__name__)


class ProviderCall:
    """Runs once. Times are seconds of the event loop's clock; a limit of 0 is no limit.

    `body_limit_bytes` is the limit of the answer to a pass-through call.
    `chunk_timeouts` are the longest silences after the first chunk, unless the source sets another.
    `needs_finish_reason`: an answer without a finish reason is cut short, also if its provider calls it complete.
    """

    def __init__(
        self,
        stream_id: str,
        publisher: Publisher,
        answer_limit_bytes: int,
        *,
        chunk_timeouts: ModelTimeouts,
        body_limit_bytes: int,
        needs_finish_reason: bool,
    ) -> None:
        self.outcome = Outcome(1)
        self.pace = Pace()
        self.first_chunk_at: float | None = None
        self.first_words_at: float | None = None
        """When the first chunk came; of a script, the first text of a step or of the answer. None if there was none, or
        if an earlier attempt may have written it."""
        self.chunk_timeout_s = chunk_timeouts.default_s
        self._chunk_timeouts = chunk_timeouts
        self._stream_id = stream_id
        self._publisher = publisher
        self._answer_limit_bytes = answer_limit_bytes
        self._limit_setting = "MANYCAST_ANSWER_LIMIT_BYTES"
        self._body_limit_bytes = body_limit_bytes
        self._needs_finish_reason = needs_finish_reason
        self._answer_bytes = 0
        self._clock = asyncio.get_running_loop().time
        self._heard_at = 0.0
        self._is_held_back = False
        self._may_begin = True
        """Whether the words that come may be the first ones of the run."""
        self._awaits_text = False
        self._shared: Chunk | None = None
        self.parked: ParkedError | None = None
        """Why the answer is to be continued later, if it is."""
        self._template: LineTemplate | None = None
        self._taker: Callable[[list[Texts]], bool] | None = None

    async def run(
        self, source: Source, request: dict[str, Any], epoch: int, outbox: Outbox, *, endpoint: str = ""
    ) -> RunError | None:
        """Runs until the source ends. Returns its error, if it failed. Cancelling it ends the provider call at once.

        `endpoint` is that of a pass-through call, "" for a chat completion.
        """
        self.outcome = Outcome(count_choices(request))
        self.chunk_timeout_s = self._chunk_timeouts.of(str(request.get("model", "")))
        try:
            answer, repair = self._ask(source, request, endpoint)
        except RunFailedError as failure:
            return failure.error
        return await self._write_all(answer, repair, epoch, outbox)

    async def run_script(self, answer: Answer, request: dict[str, Any], epoch: int, outbox: Outbox) -> RunError | None:
        """As `run`, for the answer of a script. It opens with a chunk without text, and goes on where an earlier
        attempt has stopped."""
        self.outcome = Outcome(count_choices(request))
        self._awaits_text = True
        self._may_begin = epoch == 1
        return await self._write_all(answer, ChunkRepair(), epoch, outbox)

    async def _write_all(
        self, answer: Answer, repair: ChunkRepair | NoRepair, epoch: int, outbox: Outbox
    ) -> RunError | None:
        try:
            async with aclosing(answer):
                async for given in answer:
                    if given is None:
                        self._note_sign_of_life()
                        continue
                    self._heard_at = self._clock()
                    if isinstance(given, ChunkTimeout):
                        self.chunk_timeout_s = given.seconds
                        continue
                    if isinstance(given, LogEntry):
                        await self._write_entry(given, outbox)
                        continue
                    if self._template is not None and self._template.fits(given):
                        self._put(outbox, self._template.line_of(given.texts))
                        self._publisher.send(outbox)
                        given.pattern.taker = self._taker
                    elif not self._take(given, repair, epoch, outbox):
                        continue
                    self.pace.record(self._heard_at)
                    if self._publisher.is_full:
                        await self._wait_for_room()
            for chunk in repair.end():
                self._write(chunk, epoch, outbox)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # An author's code may raise anything. A SystemExit or a KeyboardInterrupt would end the worker.
            return self._explain(error)
        finally:
            # It is a method of this call, which would keep itself in memory for long.
            self._template = self._taker = None
        return None

    def _explain(self, error: BaseException) -> RunError | None:
        """Why the source has ended early. None if its answer is to be continued later."""
        if isinstance(error, RunFailedError):
            return error.error
        if isinstance(error, ParkedError):
            self.parked = error
            return None
        logger.error("run %s: the generator failed", self._stream_id, exc_info=error)
        return worker_failed()

    def _ask(self, source: Source, request: dict[str, Any], endpoint: str) -> tuple[Answer, ChunkRepair | NoRepair]:
        if not endpoint:
            wants_function_call = "functions" in request and "tools" not in request
            return source.generate(request), ChunkRepair(wants_function_call=wants_function_call)
        self._answer_limit_bytes = self._body_limit_bytes
        self._limit_setting = "MANYCAST_PASS_THROUGH_LIMIT_BYTES"
        return source.forward(endpoint, request), NoRepair()

    def quiet_s(self, now: float) -> float:
        """Seconds since the last chunk or sign of life; 0 before the first chunk, and while this call waits for the
        publisher."""
        if self.first_chunk_at is None or self._is_held_back:
            return 0.0
        return now - self._heard_at

    def _note_sign_of_life(self) -> None:
        # A complete answer waits only for its usage. Signs of life must not keep viewers from its end.
        if not self.outcome.is_whole:
            self._heard_at = self._clock()

    def _take(self, given: Chunk | SimilarChunk, repair: ChunkRepair | NoRepair, epoch: int, outbox: Outbox) -> bool:
        """Writes a chunk in OpenAI's form. Returns False if that has to wait for the next chunk, or was the end."""
        self._take_no_more()
        if given is END:
            chunk = whole = self._finish(repair)
        else:
            if self.first_chunk_at is None:
                self.first_chunk_at = self._heard_at
            whole = given.whole() if isinstance(given, SimilarChunk) else given
            if self.first_words_at is None:
                self._note_words(whole)
            chunk = repair.repair(whole)
        if chunk is None:
            self._template = None
            return False
        self._write(chunk, epoch, outbox)
        if isinstance(given, SimilarChunk) and chunk is whole and self._shared is not None and _only_brings_text(chunk):
            self._template = template = LineTemplate(given.pattern, self._shared)
            self._taker = partial(self._take_directly, template, outbox)
        return True

    def _note_words(self, chunk: Chunk) -> None:
        if self._may_begin and (not self._awaits_text or _has_text(chunk)):
            self.first_words_at = self._heard_at

    def _take_directly(self, template: LineTemplate, outbox: Outbox, chunks: list[Texts]) -> bool:
        """Writes chunks as soon as they arrive. Returns False if they must wait for the publisher, or are too many."""
        lines = [template.line_of(texts) for texts in chunks]
        size = sum(map(len, lines))
        if self._publisher.is_full or 0 < self._answer_limit_bytes < self._answer_bytes + size:
            return False
        self._answer_bytes += size
        self._heard_at = now = self._clock()
        for line in lines:
            outbox.put(line)
            self.pace.record(now)
        self._publisher.send(outbox)
        return True

    def _take_no_more(self) -> None:
        """Until the source yields another chunk of the template, all chunks come from it."""
        if self._template is not None:
            self._template.pattern.taker = None

    def _finish(self, repair: ChunkRepair | NoRepair) -> Chunk | None:
        if isinstance(repair, NoRepair):
            self.outcome.end()
            return None
        chunk = None if self._needs_finish_reason else repair.finish()
        if chunk is not None:
            logger.warning("run %s: the provider ended the answer without a finish_reason", self._stream_id)
        return chunk

    def _write(self, chunk: Chunk, epoch: int, outbox: Outbox) -> None:
        if self._shared is None:
            self._shared = shared_fields(chunk)
            start = {"stream": self._stream_id, "epoch": epoch, "chunk": self._shared}
            self._put(outbox, entry_line(Kind.START, _encode(start)))
        self._put(outbox, entry_line(Kind.CHUNK, _encode(chunk_difference(self._shared, chunk))))
        self._publisher.send(outbox)
        self.outcome.record(chunk)

    async def _write_entry(self, entry: LogEntry, outbox: Outbox) -> None:
        try:
            line = entry_line(entry.kind, encode_json(entry.data))
        except (TypeError, ValueError, RecursionError) as error:
            text = f"The script wrote an event of the kind '{entry.kind}' that is not JSON: {error}"
            raise RunFailedError(RunError(Code.SCRIPT_ERROR.value, text, SERVER_ERROR)) from error
        self._put(outbox, line)
        self._publisher.send(outbox)
        if self.first_words_at is None and entry.kind is Kind.STEP and entry.data["state"] == "chunk":
            self._note_words(entry.data)
        if entry.waits:
            await self._publisher.confirmed(outbox)
        elif self._publisher.is_full:
            await self._wait_for_room()

    def _put(self, outbox: Outbox, line: bytes) -> None:
        self._answer_bytes += len(line)
        if 0 < self._answer_limit_bytes < self._answer_bytes:
            raise RunFailedError(answer_too_large(self._answer_limit_bytes, self._limit_setting))
        outbox.put(line)

    async def _wait_for_room(self) -> None:
        self._is_held_back = True
        await self._publisher.room()
        self._is_held_back = False
        self._heard_at = self._clock()


def _only_brings_text(chunk: Chunk) -> bool:
    """Whether the outcome does not change when another chunk like it comes."""
    return chunk.get("usage") is None and all(choice.get("finish_reason") is None for choice in chunk["choices"])


def _has_text(chunk: Chunk) -> bool:
    """Whether a chunk of a script brings more than the role of who speaks."""
    deltas = [choice.get("delta") or {} for choice in chunk["choices"]]
    return any(value for delta in deltas for name, value in delta.items() if name != "role")


def _encode(value: Chunk) -> bytes:
    try:
        return encode_json(value)
    except (ValueError, RecursionError) as error:
        text = "The provider sent a number that JSON does not have."
        raise RunFailedError(own_error(Code.UPSTREAM_INVALID, text)) from error
