"""The plug-in point: what a generator of chunks is, and how the chosen one is found. No provider is known here."""

import inspect
from collections.abc import AsyncGenerator, Callable
from importlib import import_module
from typing import Any, Protocol

from contract.event import Chunk
from contract.worker_registry import Model
from worker.settings import Settings

Generate = Callable[[dict[str, Any]], AsyncGenerator[Chunk, None]]


class Source(Protocol):
    """Where chunks come from. One for all runs of the process."""

    def generate(self, request: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        """The answer to an OpenAI chat-completions body, chunk by chunk. Closing it stops the provider at once.

        It is patient for its first chunk as long as it likes; between later ones the worker's patience counts.

        Raises: contract.errors.RunFailedError to end the run with a reason; anything else ends it as `worker_error`.
        """

    async def list_models(self) -> tuple[Model, ...]:
        """What may be asked for; empty where that is unknown. Raises: nothing that the worker must know of."""

    async def close(self) -> None:
        """Ends its connections."""


class FunctionSource:
    """A source that is one async generator function and nothing else."""

    def __init__(self, generate: Generate) -> None:
        self.generate = generate

    async def list_models(self) -> tuple[Model, ...]:
        return ()

    async def close(self) -> None:
        return None


class SourceNotFoundError(Exception):
    """The setting names no source, or the source lacks what it needs. The text is for the operator."""


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
        raise SourceNotFoundError(f"MANYCAST_GENERATOR {settings.generator!r} is not there: {error}") from error
    if inspect.isasyncgenfunction(found):
        return FunctionSource(found)
    source: Source = found(settings)
    return source
