"""Events of a stream, and chunks written as differences from the first. Pure: no I/O, no clock.

docs/protocol.md, sections 2, 3 and 6, is the source of every rule here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from contract.deep_json import read_deep_json, write_deep_json
from contract.position import Position

Chunk = dict[str, Any]
"""An OpenAI `chat.completion.chunk`, or a part of one, as parsed JSON."""

UNSET = "$unset"

LINE_SEPARATORS = re.compile("[\u0085\u2028\u2029]")
"""They end a line for some clients, so JSON in a log holds them as escapes only."""
_ONLY_ESCAPED = re.compile("[\ud800-\udfff\u0085\u2028\u2029]")


class Kind(StrEnum):
    """The kinds of log entries. `ping`, `viewers` and `gap` are not in the log and have no position."""

    START = "start"
    CHUNK = "chunk"
    RESTART = "restart"
    DONE = "done"
    STEP = "step"
    EMIT = "emit"
    VALUE = "value"
    INPUT = "input"


class Status(StrEnum):
    """The state of a run. QUEUED, RUNNING and PARKED (it waits for a person) may change; the others are final."""

    QUEUED = "queued"
    RUNNING = "running"
    PARKED = "parked"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING, Status.PARKED)


class Event(NamedTuple):
    """One entry of a log. `data` is JSON without a line break, UTF-8."""

    position: Position
    kind: Kind
    data: bytes


class MalformedEventError(ValueError):
    """An entry of the log is not `kind SP json`."""


def encode_json(value: object) -> bytes:
    """Compact JSON in one line of UTF-8.

    JSON allows lone surrogates, but UTF-8 does not. A value that holds one is written with escapes, so that a
    provider's bad character neither breaks a stream nor gets lost. Unicode's three line separators are escaped
    too: a client that splits lines as str.splitlines does would see half an event.

    Values may be nested at any depth. Raises: ValueError for NaN and infinities, which JSON does not have (RFC 8259,
    section 6).
    """
    text = _dump(value, ensure_ascii=False)
    if not text.isascii() and _ONLY_ESCAPED.search(text):
        text = _dump(value, ensure_ascii=True)
    return text.encode()


def parse_json(data: bytes) -> Any:
    """A value that `encode_json` wrote, at any depth. For untrusted input use json.loads, which limits it."""
    try:
        return json.loads(data)
    except RecursionError:
        return read_deep_json(data.decode())


def _dump(value: object, *, ensure_ascii: bool) -> str:
    try:
        return json.dumps(value, ensure_ascii=ensure_ascii, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        return write_deep_json(value, ensure_ascii=ensure_ascii)


def entry_line(kind: Kind, data: bytes) -> bytes:
    """One entry as the log and the live channel hold it: `kind SP json`."""
    return kind.encode() + b" " + data


def parse_entry(position: Position, line: bytes) -> Event:
    """The inverse of `entry_line`. Raises: MalformedEventError if the data is missing or the kind unknown."""
    kind, space, data = line.partition(b" ")
    if not space:
        raise MalformedEventError(f"entry {position} has no data")
    try:
        return Event(position, Kind(kind.decode()), data)
    except ValueError as error:
        raise MalformedEventError(f"entry {position} is of an unknown kind") from error


def shared_fields(first: Chunk) -> Chunk:
    """The fields that `start` carries for all chunks of its epoch: those of the first chunk, except `choices`."""
    return {name: value for name, value in first.items() if name != "choices"}


def chunk_difference(shared: Mapping[str, Any], chunk: Mapping[str, Any]) -> Chunk:
    """The fields that `merge_chunk` needs to turn `shared` into `chunk`."""
    difference: Chunk = {
        ("$" + name if name.startswith("$") else name): value
        for name, value in chunk.items()
        if name not in shared or not _same(shared[name], value)
    }
    if gone := [name for name in shared if name not in chunk]:
        difference[UNSET] = gone
    return difference


def merge_chunk(shared: Mapping[str, Any], difference: Mapping[str, Any]) -> Chunk:
    """Restores the provider's chunk: the inverse of `chunk_difference` for the same `shared`."""
    gone: Sequence[str] = difference.get(UNSET, ())
    chunk = {name: value for name, value in shared.items() if name not in gone}
    for name, value in difference.items():
        if name != UNSET:
            chunk[name[1:] if name.startswith("$$") else name] = value
    return chunk


def _same(one: object, other: object) -> bool:
    """Whether two values are the same JSON. In Python 1, 1.0 and True are equal, and so are 0.0 and -0.0."""
    if type(one) is not type(other) or one != other:
        return False
    return not isinstance(one, dict | list | float) or encode_json(one) == encode_json(other)
