"""Events of a stream and the way a chunk is written as a difference. Pure: no I/O, no clock.

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

_ONLY_ESCAPED = re.compile("[\ud800-\udfff\u0085\u2028\u2029]")


class Kind(StrEnum):
    """What an entry of the log is. `ping`, `viewers` and `gap` are not entries: they carry no position."""

    START = "start"
    CHUNK = "chunk"
    RESTART = "restart"
    DONE = "done"


class Status(StrEnum):
    """What became of a run. The first two are passing, the others final."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING)


class Event(NamedTuple):
    """One entry of a log. `data` is JSON without a line break, UTF-8."""

    position: Position
    kind: Kind
    data: bytes


class MalformedEventError(ValueError):
    """An entry of the log is not `kind SP json`."""


def encode_json(value: object) -> bytes:
    """Compact JSON in one line of UTF-8.

    Half a surrogate pair is legal in JSON text and cannot be encoded as UTF-8: such a value is written with escapes, so
    that one bad character of a provider never cuts a viewer and is not lost either. So are the three characters at
    which Unicode ends a line, too: clients that split a stream as str.splitlines does would see half an event.

    Values may be nested at any depth. Raises: ValueError for NaN and infinities, which JSON does not have (RFC 8259,
    section 6).
    """
    text = _dump(value, ensure_ascii=False)
    if not text.isascii() and _ONLY_ESCAPED.search(text):
        text = _dump(value, ensure_ascii=True)
    return text.encode()


def parse_json(data: bytes) -> Any:
    """A value that `encode_json` wrote, at any depth. For what a stranger sent use json.loads, which has a limit."""
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
    """What one entry holds in the log and on the live channel: `kind SP json`."""
    return kind.encode() + b" " + data


def parse_entry(position: Position, line: bytes) -> Event:
    """Raises: MalformedEventError where the log holds what no version of ours wrote."""
    kind, space, data = line.partition(b" ")
    if not space:
        raise MalformedEventError(f"entry {position} has no data")
    try:
        return Event(position, Kind(kind.decode()), data)
    except ValueError as error:
        raise MalformedEventError(f"entry {position} is of an unknown kind") from error


def shared_fields(first: Chunk) -> Chunk:
    """The fields that `start` carries for all chunks of its epoch: all of the first chunk but `choices`."""
    return {name: value for name, value in first.items() if name != "choices"}


def chunk_difference(shared: Mapping[str, Any], chunk: Mapping[str, Any]) -> Chunk:
    """What `merge_chunk` needs to turn `shared` into `chunk`."""
    difference: Chunk = {
        ("$" + name if name.startswith("$") else name): value
        for name, value in chunk.items()
        if name not in shared or not _same(shared[name], value)
    }
    if gone := [name for name in shared if name not in chunk]:
        difference[UNSET] = gone
    return difference


def merge_chunk(shared: Mapping[str, Any], difference: Mapping[str, Any]) -> Chunk:
    """The provider's chunk again: the inverse of `chunk_difference` for the same `shared`."""
    gone: Sequence[str] = difference.get(UNSET, ())
    chunk = {name: value for name, value in shared.items() if name not in gone}
    for name, value in difference.items():
        if name != UNSET:
            chunk[name[1:] if name.startswith("$$") else name] = value
    return chunk


def _same(one: object, other: object) -> bool:
    """Equal as JSON. Python holds 1, 1.0 and True to be equal, and 0.0 and -0.0; a reader of JSON does not."""
    if type(one) is not type(other) or one != other:
        return False
    return not isinstance(one, dict | list | float) or encode_json(one) == encode_json(other)
