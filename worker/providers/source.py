"""The plug-in point: the interface of a source of chunks, and the loading of the configured one."""

import inspect
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from contract.event import Chunk
from contract.passed import take_passed
from contract.worker_registry import Model
from worker.settings import Settings

END: Chunk = {}
"""The last item of a source whose provider has said that the answer is complete, as `[DONE]` does. It is no chunk."""


@dataclass(frozen=True, slots=True)
class ChunkTimeout:
    """An item of a source that is no chunk: it replaces MANYCAST_CHUNK_TIMEOUT_S for this run (0: no limit)."""

    seconds: float


Answer = AsyncGenerator[Chunk | ChunkTimeout | None, None]
Generate = Callable[[dict[str, Any]], Answer]


class Source(Protocol):
    """A source of chunks. One object serves all runs of the process."""

    def generate(self, request: dict[str, Any]) -> Answer:
        """The answer to an OpenAI chat-completions body, chunk by chunk. Closing it stops the provider at once.

        The body may also contain the field `manycast` (contract.passed), which is not for the provider.

        The first chunk may take any time. After it the worker's chunk timeout applies to the time between two yields;
        a ChunkTimeout replaces it. None is a sign of life without a chunk. An answer is complete if each choice has a
        finish reason, or if END comes last.

        Raises: contract.errors.RunFailedError to end the run with a reason; anything else ends it as `worker_error`.
        """

    async def list_models(self) -> tuple[Model, ...]:
        """The models on offer; empty if unknown. Must not raise."""

    async def close(self) -> None:
        """Closes its connections."""


class FunctionSource:
    """A source made from one async generator function."""

    def __init__(self, generate: Generate) -> None:
        self._generate = generate

    def generate(self, request: dict[str, Any]) -> Answer:
        """The function gets OpenAI's body alone."""
        body, _ = take_passed(request)
        return self._generate(body)

    async def list_models(self) -> tuple[Model, ...]:
        return ()

    async def close(self) -> None:
        return None


class SourceNotFoundError(Exception):
    """MANYCAST_GENERATOR names no source, or the source lacks a setting. The text is for the operator."""


def load_source(settings: Settings) -> Source:
    """The source that `MANYCAST_GENERATOR` names, `package.module:name`.

    The name is an async generator function of a request, or a function that makes a Source from the settings.
    Raises: SourceNotFoundError.
    """
    module_name, colon, name = settings.generator.partition(":")
    if not colon:
        raise SourceNotFoundError(f"MANYCAST_GENERATOR must be MODULE:NAME, not {settings.generator!r}")
    try:
        found = getattr(import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SourceNotFoundError(f"MANYCAST_GENERATOR {settings.generator!r} cannot be imported: {error}") from error
    if inspect.isasyncgenfunction(found):
        return FunctionSource(found)
    source: Source = found(settings)
    return source
