"""A script: the steps of a model's output, independent of how they are sent. No I/O, no clock.

In a streamed response each delta is one chunk; otherwise the deltas are joined. A script that just ends is a completion
without a fault.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from simulator.errors import ApiError


@dataclass(frozen=True, slots=True)
class Delta:
    """One chunk of one choice. `delta` is OpenAI's object of that name, and may have fields of other vendors."""

    delta: dict[str, Any]
    choice: int = 0
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The provider reports an error during the answer: by an error frame, or by the status if not streamed."""

    error: ApiError


@dataclass(frozen=True, slots=True)
class Garbage:
    """A data line that is not JSON. The script may continue after it."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes of the body, sent as they are."""

    data: bytes


class Fate(Enum):
    """Ends the response with a fault. No step follows."""

    STALL = "the connection stays open and nothing more comes"
    CUT = "the TCP connection is closed in the middle of the body"
    TRUNCATE = "the body ends cleanly, without a finish_reason and without [DONE]"


Step: TypeAlias = Delta | Breakdown | Garbage | Raw | Fate
Script: TypeAlias = Iterator[Step]


def role(choice: int = 0) -> Delta:
    return Delta({"role": "assistant", "content": "", "refusal": None}, choice)


def finish(reason: str = "stop", choice: int = 0) -> Delta:
    return Delta({}, choice, finish_reason=reason)
