"""What is published on a stream's live channel, read. Pure: no I/O. docs/protocol.md, section 6, is the source."""

import re
from typing import NamedTuple

_is_position = re.compile(rb"(?:0|[1-9][0-9]{0,14})-(?:0|[1-9][0-9]{0,14})").fullmatch


class LiveEvents(NamedTuple):
    """A batch as it was appended. Positions stay text: most readers only compare and pass on.

    `before` is the position the log had before; each entry is (position, kind, data).
    """

    before: bytes
    entries: list[tuple[bytes, bytes, bytes]]


class Notice(NamedTuple):
    """Something to tell viewers that stands in no log: a count of viewers, a change of state."""

    kind: bytes
    data: bytes


def parse_live(payload: bytes) -> LiveEvents | Notice | None:
    """None for what this version does not understand: a reader then finds out from the log what it missed.

    Anybody who reaches Redis may publish anything: what comes out of here has positions that can be parsed.
    """
    head, newline, rest = payload.partition(b"\n")
    if not newline:
        return None
    if head == b"!":
        kind, _, data = rest.partition(b" ")
        return None if b"\n" in rest else Notice(kind, data)
    entries = []
    for line in rest.split(b"\n"):
        parts = line.split(b" ", 2)
        if len(parts) != 3 or not _is_position(parts[0]):
            return None
        entries.append((parts[0], parts[1], parts[2]))
    return LiveEvents(head, entries) if _is_position(head) else None
