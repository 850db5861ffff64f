"""A client of `GET /v1/events`: it keeps the events of each stream, and the id from which it would resume."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from contract.event import Kind
from contract.sse import FrameReader
from manycast.client.text_frame import TextFrame
from tests.viewers import DEADLINE_S

LOGGED = frozenset(Kind)


@dataclass
class Joint:
    """What one or several responses brought. `logged`: by stream, the frames of its log, each with its position."""

    stream_ids: list[str]
    frames: list[TextFrame] = field(default_factory=list)
    last_id: str | None = None
    logged: dict[str, list[TextFrame]] = field(default_factory=dict)
    retry_ms: int | None = None
    status: int = 0

    def take(self, frame: TextFrame) -> None:
        self.frames.append(frame)
        if frame.id is None:
            return
        self.last_id = frame.id
        stream_id, places = frame.id.split(" ")
        if frame.event in LOGGED:
            position = places.split(",")[self.stream_ids.index(stream_id)]
            self.logged.setdefault(stream_id, []).append(TextFrame(frame.event, frame.data, position))

    def of(self, stream_id: str, name: str) -> list[Any]:
        """The data of a stream's events of that name."""
        return [
            json.loads(frame.data)
            for frame in self.frames
            if frame.event == name and (frame.id or "").startswith(f"{stream_id} ")
        ]


def query(stream_ids: Iterable[str], **positions: str) -> str:
    """The address of the set. `positions`: by stream."""
    named = (f"stream={name}.{positions[name]}" if name in positions else f"stream={name}" for name in stream_ids)
    return f"/v1/events?{'&'.join(named)}"


async def read_joint(
    client: httpx2.AsyncClient,
    base: str,
    joint: Joint,
    *,
    cut_after: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Joint:
    """Reads to the end of the response, or until `cut_after` more events of logs. Resumes from `joint.last_id`."""
    headers = headers or {}
    if joint.last_id is not None:
        headers = {**headers, "Last-Event-ID": joint.last_id}
    reader, count = FrameReader(), 0
    address = base + query(joint.stream_ids)
    async with asyncio.timeout(DEADLINE_S), client.stream("GET", address, headers=headers) as answer:
        joint.status = answer.status_code
        async for piece in answer.aiter_raw():
            for frame in reader.feed(piece):
                joint.take(TextFrame.decode(frame))
                count += frame.event.decode() in LOGGED
                if count == cut_after:
                    return joint
            joint.retry_ms = reader.retry_ms
    return joint
