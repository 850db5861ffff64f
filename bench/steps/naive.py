"""First step, the server of many tutorials: one Redis subscription per viewer, one event at a time."""

import sys
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI
from redis.asyncio import ConnectionPool, Redis
from sse_starlette import EventSourceResponse


def make_app(url: str) -> FastAPI:
    """Relays the Redis channel that is named like the stream. No history, no resume."""
    app = FastAPI()
    client = Redis.from_pool(ConnectionPool.from_url(url, max_connections=100_000))

    async def relay(stream: str) -> AsyncIterator[dict[str, str]]:
        async with client.pubsub() as subscription:
            await subscription.subscribe(stream)
            async for published in subscription.listen():
                if published["type"] == "message":
                    yield {"data": published["data"].decode()}

    @app.get("/{stream}")
    async def watch(stream: str) -> EventSourceResponse:
        return EventSourceResponse(relay(stream))

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False)
