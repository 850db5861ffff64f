"""What a run needs from outside. The worker is the host of real runs, `manycast.script.testing` that of tests."""

from collections.abc import AsyncGenerator, Callable, Sequence
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

    async def keep_prompt(self, step_id: str, messages: Sequence[dict[str, Any]]) -> None:
        """Keeps what a step is about to ask, for developers. Returns when they may read it, or if it cannot be kept."""

    async def write(self, entry: Entry) -> None:
        """Appends to the log, in the order of the calls."""

    async def store(self, entry: Entry) -> None:
        """As `write`, but returns only when the entry cannot be lost any more."""

    async def open(self, question: dict[str, Any], refused: str) -> None:
        """Takes answers to a question from now on; `question` is the data of its `input` event, which is written next.

        `refused`: an answer that did not fit, to be replaced; "" if there is none.
        """

    async def ask(self, question: dict[str, Any], is_idle: Callable[[], bool]) -> str | None:
        """The answer of a person: the JSON of `{"value", "by"}`; None if nobody has answered when the time of the
        question (`expires_at`, Unix seconds or None) is over.

        While `is_idle`, all parts of the run wait for people; the host may then end this attempt, and begin another
        one when there is an answer.
        """

    def now(self) -> float:
        """Unix seconds."""
