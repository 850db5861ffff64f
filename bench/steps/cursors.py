"""Third step: one log of encoded events and a cursor per viewer, on bare ASGI.

One write sends all events that a viewer has not received. A slow viewer costs one integer. Each event still wakes one
task per viewer.
"""

import asyncio
import sys
from collections import defaultdict

import uvicorn
from redis.asyncio import Redis
from starlette.types import Receive, Scope, Send


class Stream:
    """All published events. `grown` is set when the next event arrives."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.grown = asyncio.Event()


class Relay:
    """An ASGI application."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._streams: dict[bytes, Stream] = defaultdict(Stream)

    async def _read(self) -> None:
        subscription = Redis.from_url(self._url, protocol=2).pubsub()
        await subscription.psubscribe("*")
        async for published in subscription.listen():
            if published["type"] == "pmessage":
                stream = self._streams[published["channel"]]
                stream.events.append(b"data: %b\n\n" % published["data"])
                stream.grown.set()
                stream.grown = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            reader = asyncio.create_task(self._read())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            reader.cancel()
            return
        stream, cursor = self._streams[scope["path"][1:].encode()], 0
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while True:
            body = b"".join(stream.events[cursor:])
            cursor = len(stream.events)
            await send({"type": "http.response.body", "body": body, "more_body": True})
            if cursor == len(stream.events):
                await stream.grown.wait()


if __name__ == "__main__":
    uvicorn.run(Relay(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False)
