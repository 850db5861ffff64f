"""Viewers for tests: they read a stream's events as they arrive and keep each one exactly."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx2

from contract.event import Kind, merge_chunk
from contract.sse import FrameReader
from manycast.client.text_frame import TextFrame

DEADLINE_S = 60.0


@dataclass
class Response:
    """One response, read to its end or to the cut. `logged` are the frames of events in the log."""

    status: int = 0
    frames: list[TextFrame] = field(default_factory=list)
    retry_ms: int | None = None

    @property
    def logged(self) -> list[TextFrame]:
        return [frame for frame in self.frames if frame.id is not None]

    @property
    def done(self) -> dict[str, Any]:
        (last,) = [frame for frame in self.frames if frame.event == Kind.DONE]
        data: dict[str, Any] = json.loads(last.data)
        return data

    @property
    def states(self) -> list[str]:
        return [json.loads(frame.data)["state"] for frame in self.frames if frame.event == "ping"]

    @property
    def text(self) -> str:
        return text_of(self.frames)


async def read_events(
    client: httpx2.AsyncClient,
    url: str,
    *,
    after: str | None = None,
    cut_after: int | None = None,
    response: Response | None = None,
) -> Response:
    """Reads `url` until the response ends, or until `cut_after` events of the log have arrived.

    `response`, if given, is filled meanwhile, so that a test can wait for an event.
    """
    seen = response or Response()
    reader = FrameReader()
    headers = {} if after is None else {"Last-Event-ID": after}
    async with asyncio.timeout(DEADLINE_S), client.stream("GET", url, headers=headers) as answer:
        seen.status = answer.status_code
        async for piece in answer.aiter_raw():
            for frame in reader.feed(piece):
                seen.frames.append(TextFrame.decode(frame))
                if cut_after is not None and len(seen.logged) == cut_after:
                    return seen
            seen.retry_ms = reader.retry_ms
    return seen


async def until(condition: Any, deadline_s: float = DEADLINE_S) -> None:
    """Waits for `condition()` to be true. Raises: TimeoutError."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.01)


async def until_nobody_watches(url: str) -> None:
    """Until the gateway at `url` has no viewers. Raises: TimeoutError after the deadline."""
    async with httpx2.AsyncClient(base_url=url) as http, asyncio.timeout(DEADLINE_S):
        while "manycast_viewers 0.0" not in (await http.get("/metrics")).text:
            await asyncio.sleep(0.05)


def text_of(frames: list[TextFrame]) -> str:
    """The text of choice 0 since the last start or restart."""
    text, shared = "", {}
    for frame in frames:
        if frame.event in (Kind.RESTART, "gap"):
            text = ""
        elif frame.event == Kind.START:
            shared = json.loads(frame.data)["chunk"]
        elif frame.event == Kind.CHUNK:
            for choice in merge_chunk(shared, json.loads(frame.data))["choices"]:
                if choice["index"] == 0:
                    text += choice["delta"].get("content") or ""
    return text


def question(model: str, text: str = "Why is the sky blue?", **more: Any) -> dict[str, Any]:
    """A body for `POST /v1/streams`."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}
