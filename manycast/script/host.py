"""What a run needs from outside. The worker is the host of real runs, `manycast.script.testing` that of tests."""

from collections.abc import AsyncGenerator
from typing import Any, NamedTuple, Protocol

from manycast.script.message import Chunk


class Entry(NamedTuple):
    """An event that a script writes into the log of its run: docs/protocol.md, section 14."""

    kind: str
    data: dict[str, Any]


class Host(Protocol):
    """The surroundings of one run."""

    run_id: str

    def generate(self, request: dict[str, Any], name: str) -> AsyncGenerator[Chunk, None]:
        """The chunks of one provider call, in OpenAI's form; `name` is that of the step. A request without `model` gets
        the default. Raises: GenerationError.
        """

    async def write(self, entry: Entry) -> None:
        """Appends to the log, in the order of the calls."""

    async def store(self, entry: Entry) -> None:
        """As `write`, but returns only when the entry cannot be lost any more."""

    def now(self) -> float:
        """Unix seconds."""
