"""The events of a stream as types, and how SSE frames become events. No I/O, no clock.

docs/protocol.md, sections 2 and 3, is the source of every rule here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from contract.errors import RunError
from contract.event import Status, merge_chunk
from contract.position import Position
from contract.sse import Frame
from manycast.client.text_frame import TextFrame


@dataclass(frozen=True, slots=True)
class Start:
    """An epoch begins. `shared` holds the fields common to its chunks; each `Chunk` already includes them."""

    position: Position
    stream: str
    epoch: int
    shared: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One complete `chat.completion.chunk`, as the provider sent it."""

    position: Position
    chunk: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Restart:
    """The worker was lost: discard the text so far; the answer starts again."""

    position: Position
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end of the stream. `position` is None if the log itself is lost. Times are in milliseconds."""

    position: Position | None
    status: Status
    finish_reason: str | None
    usage: dict[str, Any] | None
    error: RunError | None
    timing: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a script begins, goes on, ends or starts again: `state` is begin, chunk, end or restart. `data` has the
    fields of docs/protocol.md, section 14."""

    position: Position
    id: str
    state: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """A question of a script, or how it has ended: `state` is asked, answered, refused or timed_out. `data` has the
    fields of docs/protocol.md, section 14."""

    position: Position
    id: str
    state: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Emit:
    """An event of a script's author. `step` is the id of the step that it belongs to."""

    position: Position
    name: str
    step: str | None
    data: Any


@dataclass(frozen=True, slots=True)
class Ping:
    """The connection works. `state`: queued, waiting, streaming, parked, broker_unavailable, full (the client
    reconnects)."""

    state: str


@dataclass(frozen=True, slots=True)
class Viewers:
    """The number of viewers, over all gateways."""

    viewers: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Redis lost events that this viewer has seen: discard the text so far; the stream follows from its start."""

    asked: str
    last: str


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """From the client, not the server: the connection ended before `Done`, and the client reconnects.

    `attempt` counts consecutive failures; it is 0 if the server ended the response cleanly.
    """

    reason: str
    delay_s: float
    attempt: int


Event = Start | Chunk | Restart | Done | Step | Input | Emit | Ping | Viewers | Gap | Reconnecting


class MalformedFrameError(ValueError):
    """A frame that breaks the protocol."""


class EventReader:
    """Turns the frames of one stream into events, over any number of connections.

    `position` is that of the last event, the `Last-Event-ID` of the next connection; None before the first.
    """

    def __init__(self) -> None:
        self.position: Position | None = None
        self._shared: dict[str, Any] = {}
        self._shared_epoch = 0

    def read(self, frame: Frame) -> Event | None:
        """Returns None for an unknown event, and for an event that it has already returned.

        Raises: MalformedFrameError; the position does not change.
        """
        text = TextFrame.decode(frame)
        try:
            position = None if text.id is None else Position.parse(text.id)
            event = self._decode(text.event, position, text.data)
        except MalformedFrameError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MalformedFrameError(f"event {text.event!r} at {text.id} cannot be read: {error!r}") from error
        if isinstance(event, Gap):
            # Positions start again. A reconnect before the next event must not ask for the old position.
            self.position = None
            return event
        if position is None:
            return event
        if self.position is not None and position <= self.position:
            return None
        self.position = position
        if isinstance(event, Start):
            self._shared, self._shared_epoch = event.shared, position.epoch
        return event

    def _decode(self, name: str, position: Position | None, text: str) -> Event | None:  # noqa: PLR0911 -- a table
        data: dict[str, Any] = json.loads(text)
        match name:
            case "chunk":
                return self._merge(_required(position), data)
            case "start":
                return Start(_required(position), data["stream"], data["epoch"], data["chunk"])
            case "restart":
                return Restart(_required(position), data["epoch"], data["reason"])
            case "done":
                return _read_done(position, data)
            case "step":
                return Step(_required(position), data["id"], data["state"], data)
            case "input":
                return Input(_required(position), data["id"], data["state"], data)
            case "emit":
                return Emit(_required(position), data["name"], data["step"], data["data"])
            case "ping":
                return Ping(data["state"])
            case "viewers":
                return Viewers(data["viewers"])
            case "gap":
                return Gap(data["asked"], data["last"])
        return None

    def _merge(self, position: Position, difference: dict[str, Any]) -> Chunk:
        if position.epoch != self._shared_epoch:
            raise MalformedFrameError(f"chunk {position} came before the start of its epoch")
        return Chunk(position, merge_chunk(self._shared, difference))


def _required(position: Position | None) -> Position:
    if position is None:
        raise MalformedFrameError("an event of the log came without its position")
    return position


def _read_done(position: Position | None, data: Mapping[str, Any]) -> Done:
    error = data.get("error")
    known = {field.name for field in fields(RunError)}
    return Done(
        position=position,
        status=Status(data["status"]),
        finish_reason=data.get("finish_reason"),
        usage=data.get("usage"),
        error=RunError(**{name: value for name, value in error.items() if name in known}) if error else None,
        timing=data.get("timing") or {},
    )
