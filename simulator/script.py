"""What a model does, step by step, before anyone decides how it is sent. Pure: no I/O, no clock.

A model gives a script. Streamed, each delta is a chunk; whole, the deltas are put together. A script that
simply ends is a completion that ended well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from simulator.errors import ApiError


@dataclass(frozen=True, slots=True)
class Delta:
    """One chunk of one choice; `delta` is OpenAI's object of that name, vendor fields included."""

    delta: dict[str, Any]
    choice: int = 0
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The provider fails half-way and says so: in an error frame, or where not streamed by its status."""

    error: ApiError


@dataclass(frozen=True, slots=True)
class Garbage:
    """A data line that is no JSON. The script may go on after it."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes of the body, sent as they are."""

    data: bytes


class Fate(Enum):
    """Ends a script badly; nothing is played after it."""

    STALL = "the connection stays open and nothing more comes"
    CUT = "the TCP connection is closed in the middle of the body"
    TRUNCATE = "the body ends cleanly, without a finish_reason and without [DONE]"


Step: TypeAlias = Delta | Breakdown | Garbage | Raw | Fate
Script: TypeAlias = Iterator[Step]


def role(choice: int = 0) -> Delta:
    return Delta({"role": "assistant", "content": "", "refusal": None}, choice)


def finish(reason: str = "stop", choice: int = 0) -> Delta:
    return Delta({}, choice, finish_reason=reason)
