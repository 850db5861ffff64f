"""The position of an event in its stream. Pure: no I/O, no clock.

A position is `epoch-seq`. It is the Redis entry id of an event and the `id:` of its SSE event, so that a viewer's
`Last-Event-ID` is all a gateway needs to resume (WHATWG HTML, section 9.2.4).
"""

import re
from typing import NamedTuple

# Clients send positions. 15 digits fit the integers of both Redis (64 bits, unsigned) and JavaScript (2**53).
_PATTERN = re.compile(r"(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,14})")


class MalformedPositionError(ValueError):
    """The text is not `epoch-seq`."""

    def __init__(self, text: str) -> None:
        super().__init__(f"malformed position {text[:64]!r}: expected EPOCH-SEQ, for example 1-42")


class Position(NamedTuple):
    """`epoch` grows by one with each claim of the job; `seq` counts from 1 in each epoch. Positions sort as pairs."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Raises: MalformedPositionError for anything but two decimal integers without leading zeros."""
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise MalformedPositionError(text)
        return cls(int(match[1]), int(match[2]))

    def follows(self, last: "Position") -> bool:
        """Whether this can be the next position of a log after `last`: each epoch counts from 1 without a hole."""
        if self.epoch == last.epoch:
            return self.seq == last.seq + 1
        return self.epoch > last.epoch and self.seq == 1


START = Position(0, 0)
"""The position before the first event."""
