"""The generator that a user has written: finding it, and checking what it yields.

Errors name it as MANYCAST_GENERATOR does, so that its author knows which code to fix.
"""

import inspect
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from importlib import import_module
from typing import Any, NoReturn

from contract.errors import Code, RunError, RunFailedError
from contract.event import Chunk, encode_json
from contract.passed import take_passed
from contract.worker_registry import Model, ProviderState
from worker.providers.errors import own_error
from worker.providers.source import END, Answer, ChunkTimeout, Source, SourceNotFoundError
from worker.settings import Settings

logger = logging.getLogger(__name__)

ALLOWED = (
    "a chat.completion.chunk as a dict (of an SDK's object: its model_dump()), a str (a piece of the text), "
    "or None (a sign of life)"
)

Generate = Callable[[dict[str, Any]], AsyncGenerator[Any, None]]


def load_source(settings: Settings) -> Source:
    """The source that `MANYCAST_GENERATOR` names, `package.module:name`.

    The name is an async generator function of a request, or a function that makes a Source from the settings. Modules
    in the working directory are found too, after all installed ones. Raises: SourceNotFoundError.
    """
    named = settings.generator
    module_name, colon, name = named.partition(":")
    if not colon:
        raise SourceNotFoundError(f"MANYCAST_GENERATOR must be MODULE:NAME, not {named!r}")
    here = os.getcwd()  # noqa: PTH109 - an entry of sys.path is a str
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = import_module(module_name)
    except (ImportError, ValueError) as error:
        text = f"MANYCAST_GENERATOR {named!r} cannot be imported: {error} (looked in {here} too)"
        raise SourceNotFoundError(text) from error
    except Exception as error:
        # The module's own code failed. Its traceback would hide the name of the setting.
        text = f"MANYCAST_GENERATOR {named!r} cannot be imported: {type(error).__name__}: {error}"
        raise SourceNotFoundError(text) from error
    found = getattr(module, name, None)
    if found is None:
        place = getattr(module, "__file__", None) or module_name
        raise SourceNotFoundError(f"MANYCAST_GENERATOR {named!r} cannot be imported: {place} has no {name!r}")
    if inspect.isasyncgenfunction(found):
        try:
            inspect.signature(found).bind({})
        except TypeError as error:
            text = f"MANYCAST_GENERATOR {named!r} must take one argument, the request: {error}"
            raise SourceNotFoundError(text) from error
        return FunctionSource(found, named)
    source: Any = found(settings) if callable(found) and not inspect.iscoroutinefunction(found) else None
    if not all(callable(getattr(source, method, None)) for method in ("generate", "list_models", "close")):
        text = (
            f"MANYCAST_GENERATOR {named!r} is neither an async generator function (`async def` with `yield`) "
            "nor a function that makes a source from the settings"
        )
        raise SourceNotFoundError(text)
    made: Source = source
    return made


class FunctionSource:
    """A source made from one async generator function. `name`: as the user knows it."""

    def __init__(self, generate: Generate, name: str) -> None:
        self._generate = generate
        self._name = name

    async def generate(self, request: dict[str, Any]) -> Answer:
        """See Source. An answer that ends with a text is complete.

        Raises: RunFailedError if the function yields something that is not ALLOWED.
        """
        ends_with_text = False
        # The function gets OpenAI's body alone.
        body, _ = take_passed(request)
        async with aclosing(self._generate(body)) as items:
            async for item in items:
                if isinstance(item, str):
                    ends_with_text = True
                    yield _chunk({"content": item}, None)
                else:
                    ends_with_text = ends_with_text and not isinstance(item, dict)
                    yield self._check(item)
        if ends_with_text:
            yield _chunk({}, "stop")

    async def forward(self, endpoint: str, request: dict[str, Any]) -> Answer:  # noqa: ARG002
        """Raises: RunFailedError. The function answers only chat completions."""
        text = f"This server's own generator answers chat completions, and not /v1/{endpoint}."
        raise RunFailedError(RunError("unsupported_endpoint", text, "invalid_request_error", http_status=404))
        yield None  # makes this function a generator

    def _check(self, item: object) -> Chunk | ChunkTimeout | None:
        if item is None or item is END or isinstance(item, ChunkTimeout):
            return item
        if not isinstance(item, dict):
            self._refuse(f"a value of the type {type(item).__name__}")
        choices = item.get("choices", [] if isinstance(item.get("usage"), dict) else None)
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            self._refuse("a dict whose `choices` is not a list of dicts")
        try:
            encode_json(item)
        except (TypeError, ValueError, RecursionError) as error:
            self._refuse(f"a dict that is not JSON ({error})")
        return item

    def _refuse(self, found: str) -> NoReturn:
        message = f"The generator {self._name} yielded {found}. Allowed is {ALLOWED}."
        logger.error("%s", message)
        raise RunFailedError(own_error(Code.UPSTREAM_INVALID, message))

    async def list_models(self) -> tuple[Model, ...]:
        return ()

    def describe(self) -> tuple[ProviderState, ...]:
        return ()

    async def close(self) -> None:
        return None


def _chunk(delta: dict[str, Any], finish_reason: str | None) -> Chunk:
    return {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }
