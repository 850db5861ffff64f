"""Second step: one subscription for all viewers, and a queue per viewer.

Each event still wakes one task per viewer and is encoded for each viewer. The queue of a viewer that reads nothing
grows without limit.
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from redis.asyncio import Redis
from sse_starlette import EventSourceResponse


def make_app(url: str) -> FastAPI:
    """Puts the events of each channel into the queues of its viewers."""
    queues: dict[bytes, set[asyncio.Queue[str]]] = defaultdict(set)

    async def read() -> None:
        subscription = Redis.from_url(url).pubsub()
        await subscription.psubscribe("*")
        async for published in subscription.listen():
            for queue in queues[published["channel"]] if published["type"] == "pmessage" else ():
                queue.put_nowait(published["data"].decode())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        reader = asyncio.create_task(read())
        yield
        reader.cancel()

    async def relay(stream: bytes) -> AsyncIterator[dict[str, str]]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        queues[stream].add(queue)
        try:
            while True:
                yield {"data": await queue.get()}
        finally:
            queues[stream].discard(queue)

    app = FastAPI(lifespan=lifespan)

    @app.get("/{stream}")
    async def watch(stream: str) -> EventSourceResponse:
        return EventSourceResponse(relay(stream.encode()))

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False)
