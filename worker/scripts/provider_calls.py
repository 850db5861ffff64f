"""The provider calls of scripts. They have the repairs, timeouts and rules of runs without a script."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from contract.errors import Code, RunError, RunFailedError
from contract.event import Chunk
from contract.prompts import SCRIPT_PREFIX
from manycast.script import GenerationError
from worker.default_model import DefaultModel
from worker.generations.outcome import Outcome
from worker.model_timeouts import ModelTimeouts
from worker.providers.chunk_pattern import SimilarChunk
from worker.providers.errors import own_error, silent_provider, unknown_model
from worker.providers.repair import ChunkRepair
from worker.providers.source import END, LINGER_S, SILENT, Answer, ChunkTimeout, LogEntry, Source

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProviderCalls:
    """All provider calls of all scripts of a worker. The timeouts are those of runs without a script."""

    source: Source
    default_model: DefaultModel
    chunk_timeouts: ModelTimeouts
    needs_finish_reason: bool

    async def generate(self, request: dict[str, Any], run_id: str) -> AsyncGenerator[Chunk, None]:
        """The chunks of one call, in OpenAI's form. Raises: GenerationError."""
        try:
            async with aclosing(self._generate(request, run_id)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except RunFailedError as failure:
            raise GenerationError(failure.error.as_json()) from failure

    async def _generate(self, request: dict[str, Any], run_id: str) -> AsyncGenerator[Chunk, None]:
        """Raises: RunFailedError."""
        model = request.get("model") or await self._find_model()
        call = _Call(run_id, self.chunk_timeouts.of(str(model)), self.needs_finish_reason)
        async with aclosing(self.source.generate({**request, "model": model})) as items:
            while await call.receive(items):
                if (chunk := call.take()) is not None:
                    yield chunk
        for chunk in call.finish():
            yield chunk

    async def _find_model(self) -> str:
        """Raises: RunFailedError."""
        model = await self.default_model.find()
        if not model or model.startswith(SCRIPT_PREFIX):
            text = "The script names no model, and there is no default one: write `run.generate(…, model=…)`."
            raise RunFailedError(unknown_model(text))
        return model


class _Call:
    """One call, item by item. `timeout_s`: the longest silence after its first chunk; 0 is no limit."""

    def __init__(self, run_id: str, timeout_s: float, needs_finish_reason: bool) -> None:
        self._run_id = run_id
        self._timeout_s = timeout_s
        self._needs_finish_reason = needs_finish_reason
        self._outcome = Outcome(1)
        self._repair = ChunkRepair()
        self._item: Chunk | ChunkTimeout | LogEntry | None = None
        self._has_begun = False

    async def receive(self, items: Answer) -> bool:
        """Waits for the next item. False if the call has ended. Raises: RunFailedError."""
        limit_s = LINGER_S if self._outcome.is_whole else self._timeout_s if self._has_begun else 0
        task, timer = asyncio.current_task(), None
        if task is not None and limit_s:
            # With this argument, the source counts the silent provider as failed.
            timer = asyncio.get_running_loop().call_later(limit_s, task.cancel, SILENT)
        try:
            item = await anext(items)
        except StopAsyncIteration:
            return False
        except asyncio.CancelledError as reason:
            if task is None or reason.args != (SILENT,) or task.uncancel():
                raise
            if self._outcome.is_whole:
                return False
            raise RunFailedError(silent_provider(self._timeout_s)) from None
        except RunFailedError as failure:
            if not self._outcome.is_whole:
                raise
            logger.info("run %s: an answer was complete when its provider failed: %s", self._run_id, failure)
            return False
        finally:
            if timer is not None:
                timer.cancel()
        self._item = item.whole() if isinstance(item, SimilarChunk) else item
        return True

    def take(self) -> Chunk | None:
        """The chunk of the item, if it has one. Raises: RunFailedError."""
        item = self._item
        if isinstance(item, ChunkTimeout):
            self._timeout_s = item.seconds
        if not isinstance(item, dict):
            return None
        self._has_begun = True
        if item is END:
            chunk = None if self._needs_finish_reason else self._repair.finish()
        else:
            chunk = self._repair.repair(item)
        if chunk is not None:
            self._outcome.record(chunk)
        return chunk

    def finish(self) -> Iterable[Chunk]:
        """What is left. Raises: RunFailedError if the answer is not complete."""
        rest = list(self._repair.end())
        for chunk in rest:
            self._outcome.record(chunk)
        if not self._outcome.is_finished:
            text = "The provider ended without a finish_reason."
            raise RunFailedError(own_error(Code.UPSTREAM_TRUNCATED, text))
        return rest


def failed_generation(failure: GenerationError) -> RunError:
    """The inverse of what `ProviderCalls.generate` raises."""
    return RunError(**failure.details)
