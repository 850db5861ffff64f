"""Parses payloads of a stream's live channel, as docs/protocol.md, section 6, defines them. Pure: no I/O."""

import re
from typing import NamedTuple

_is_position = re.compile(rb"(?:0|[1-9][0-9]{0,14})-(?:0|[1-9][0-9]{0,14})").fullmatch


class LiveEvents(NamedTuple):
    """One appended batch. Positions stay text, because most readers only compare them and pass them on.

    `before` is the log's last position before the batch; each entry is (position, kind, data).
    """

    before: bytes
    entries: list[tuple[bytes, bytes, bytes]]


class Notice(NamedTuple):
    """A message for viewers that is not in the log: a count of viewers, a change of state."""

    kind: bytes
    data: bytes


def parse_live(payload: bytes) -> LiveEvents | Notice | None:
    """Returns None for a payload that this version does not understand; the reader then reads the log instead.

    Any client of Redis can publish on this channel, so all returned positions are checked: they can be parsed.
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
