"""What a script has done before one of its steps, from the log of its run. No I/O.

The id of a call is its place in the script (docs/protocol.md, section 14): `3` is the third call, `3.1` the first one
inside it. The parts of a `gather` do not see each other's results, so none comes before another. A `gather` has no
event of its own.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contract.event import (
    Event,
    Kind,
    chunk_difference,
    encode_json,
    entry_line,
    merge_chunk,
    parse_json,
    shared_fields,
)

Place = tuple[int, ...]
Entry = tuple[Kind, dict[str, Any]]
"""An event without its position. Chunks are whole."""

_PLACE = re.compile(r"[1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,8}){0,63}")


class ScriptRecord:
    """A run of a script. `add` takes all events of its log, in order."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._shared: dict[str, Any] = {}
        self._kinds: dict[str, str] = {}
        """Of steps and questions, by id."""
        self._ended: set[str] = set()

    def add(self, event: Event) -> None:
        data = parse_json(event.data)
        match event.kind:
            case Kind.START:
                self._shared = data["chunk"]
            case Kind.RESTART if data.get("reason") == "script_changed":
                # The script has begun again from its first call.
                self._entries.clear()
                self._kinds.clear()
                self._ended.clear()
            case Kind.RESTART:
                # The text so far is void: the new attempt wrote it again. Steps and answers stay valid.
                self._entries = [entry for entry in self._entries if not _is_said(entry)]
            case Kind.CHUNK:
                self._entries.append((Kind.CHUNK, merge_chunk(self._shared, data)))
            case Kind.STEP | Kind.INPUT | Kind.EMIT | Kind.VALUE:
                self._note(event.kind, data)
                self._entries.append((event.kind, data))

    def _note(self, kind: Kind, data: Mapping[str, Any]) -> None:
        if data.get("state") == "begin":
            self._kinds[data["id"]] = str(data["kind"])
        elif data.get("state") == "asked":
            self._kinds[data["id"]] = str(kind)
        elif kind is Kind.STEP and data.get("state") == "end":
            self._ended.add(data["id"])

    def kind_of(self, step_id: str) -> str | None:
        """`generate`, `tool`, `part` or `script`; `input` for a question; None if the run has no such step."""
        return self._kinds.get(step_id)

    def comes_before(self, place: str, step_id: str) -> bool:
        """Whether a call belongs to what a run has done before that step."""
        one, other = _read_place(place), _read_place(step_id)
        for depth, (number, of_step) in enumerate(zip(one, other, strict=False)):
            if number != of_step:
                outer = ".".join(map(str, other[:depth]))
                is_part = depth > 0 and outer not in self._kinds
                return is_part or number < of_step
        # A step that contains the given one has begun before it; a step inside it has not.
        return len(one) < len(other)

    def before(self, step_id: str) -> list[Entry]:
        """The events of all calls before a step. Empty if it is the first one."""
        outer = {".".join(step_id.split(".")[:size]) for size in range(1, step_id.count(".") + 1)}
        kept, opening = [], None
        for kind, data in self._entries:
            place = str(_place_of(kind, data))
            if not place:
                opening = opening or (kind, data)
            elif self.comes_before(place, step_id) and not self._is_open(kind, data, place, outer):
                kept.append((kind, data))
        return [opening, *kept] if opening and kept else kept

    def _is_open(self, kind: Kind, data: Mapping[str, Any], place: str, outer: set[str]) -> bool:
        """Whether an event belongs to a generation that has not ended, or ends a step that contains the given one."""
        if self._kinds.get(place) == "generate" and place not in self._ended:
            return True
        return kind is Kind.STEP and data["state"] == "end" and place in outer


def encode_record(entries: Sequence[Entry], stream_id: str) -> list[bytes]:
    """The entries as the lines of a log of another run: its first epoch."""
    lines: list[bytes] = []
    shared: dict[str, Any] | None = None
    for kind, data in entries:
        line = data
        if kind is Kind.CHUNK:
            if shared is None:
                head = {**shared_fields(data), "id": f"chatcmpl-{stream_id}"}
                shared = {name: value for name, value in head.items() if name not in ("manycast", "usage")}
                start = {"stream": stream_id, "epoch": 1, "chunk": shared}
                lines.append(entry_line(Kind.START, encode_json(start)))
            line = chunk_difference(shared, {**data, "id": shared["id"]})
        lines.append(entry_line(kind, encode_json(line)))
    return lines


def is_place(text: str) -> bool:
    return _PLACE.fullmatch(text) is not None


def _read_place(text: str) -> Place:
    return tuple(map(int, text.split(".")))


def _place_of(kind: Kind, data: Mapping[str, Any]) -> str:
    """The id of the call that an event belongs to; "" for the beginning and the end of an answer."""
    if kind is not Kind.CHUNK:
        return str(data["id"])
    ours = data.get("manycast")
    return str(ours.get("step", "")) if isinstance(ours, Mapping) else ""


def _is_said(entry: Entry) -> bool:
    kind, data = entry
    return kind is Kind.CHUNK and bool(_place_of(kind, data))


def read_record(events: Iterable[Event]) -> ScriptRecord:
    """The record of a whole log."""
    record = ScriptRecord()
    for event in events:
        record.add(event)
    return record
