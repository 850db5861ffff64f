"""Sends a script as one HTTP response, at its pace. Uses only ASGI's `send`, and no framework.

A coroutine here returns True if the response is complete, and False if the server must cut the connection.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from simulator.assembly import Assembly
from simulator.envelope import DONE_FRAME, Envelope, encode, frame
from simulator.errors import ApiError
from simulator.pace import Pace
from simulator.script import Breakdown, Delta, Fate, Garbage, Raw, Script

Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Frames that are due together are sent in one write, up to this size. Then other responses get their turn.
LONGEST_WRITE_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Hold:
    """A streamed answer waits for `released` after `after` chunks of text."""

    after: int
    released: asyncio.Event


@dataclass(frozen=True, slots=True)
class Performance:
    script: Script
    envelope: Envelope
    pace: Pace
    seed: int | None
    headers: dict[str, str]
    hold: Hold | None

    async def stream(self, send: Send) -> bool:
        """Sends each delta as a chunk when it is due."""
        await self._open(send, 200, {"content-type": "text/event-stream; charset=utf-8"})
        loop = asyncio.get_running_loop()
        began = loop.time()
        due = self.pace.due_seconds(self.seed)
        frames = bytearray()
        texts = 0
        for step in self.script:
            if self.hold and isinstance(step, Delta) and step.delta.get("content"):
                if texts == self.hold.after:
                    await write(send, frames)
                    await self.hold.released.wait()
                texts += 1
            if isinstance(step, Delta | Raw):
                wait_s = began + next(due) - loop.time()
                if wait_s > 0 or len(frames) >= LONGEST_WRITE_BYTES:
                    await write(send, frames)
                    await asyncio.sleep(wait_s if wait_s > 0 else 0)
                frames += step.data if isinstance(step, Raw) else self.envelope.chunk_frame(step)
            elif isinstance(step, Garbage):
                frames += frame(step.text)
            elif isinstance(step, Breakdown):
                frames += frame(encode(step.error.body()))
                return await finish(send, frames)
            else:
                return await meet(step, send, frames)
        if self.envelope.include_usage:
            frames += self.envelope.usage_frame()
        frames += DONE_FRAME
        return await finish(send, frames)

    async def answer_whole(self, send: Send) -> bool:
        """Waits as long as the streamed answer would take, and then sends the whole completion."""
        due = self.pace.due_seconds(self.seed)
        last_due_s = 0.0
        assembly = Assembly()
        for step in self.script:
            if isinstance(step, Delta):
                last_due_s = next(due)
                self.envelope.usage.count(step)
                assembly.add(step)
            elif isinstance(step, Garbage):
                return await self._answer(send, 200, step.text)
            elif isinstance(step, Breakdown):
                return await self._refuse(send, step.error)
            elif step is Fate.CUT:
                await self._open(send, 200, {"content-type": "application/json", "content-length": "100000"})
                return await meet(step, send, bytearray(b'{"id":"' + self.envelope.id.encode()))
            elif step is Fate.STALL:
                return await meet(step, send, bytearray())
            else:
                assert not isinstance(step, Raw), "models of raw bytes are always streamed"
                break
        await asyncio.sleep(last_due_s)
        return await self._answer(send, 200, self.envelope.completion(assembly.as_objects()))

    async def _refuse(self, send: Send, error: ApiError) -> bool:
        return await self._answer(send, error.status, encode(error.body()))

    async def _answer(self, send: Send, status: int, body: bytes) -> bool:
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        await self._open(send, status, headers)
        return await finish(send, body)

    async def _open(self, send: Send, status: int, headers: dict[str, str]) -> None:
        pairs = [(name.encode(), value.encode()) for name, value in {**self.headers, **headers}.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})


async def write(send: Send, frames: bytearray) -> None:
    """Sends the frames in one write, and clears them."""
    if frames:
        body = bytes(frames)
        frames.clear()
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def finish(send: Send, body: bytes | bytearray) -> bool:
    # One write with the end of the body, so that a client that disconnects at [DONE] does not count as aborted.
    await send({"type": "http.response.body", "body": bytes(body), "more_body": False})
    return True


async def meet(fate: Fate, send: Send, frames: bytearray) -> bool:
    if fate is Fate.TRUNCATE:
        return await finish(send, frames)
    await write(send, frames)
    if fate is Fate.STALL:
        # Waits until the client disconnects, which cancels this task.
        await asyncio.get_running_loop().create_future()
    return False
