"""A response whose body is large and shared: it is sent piece by piece, so that a slow client holds no copy of it."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PIECE_BYTES = 64 << 10


class LargeBody(Response):
    """Sends the `parts` one after another. Closes `holding` when the client has the whole body or has left."""

    media_type = "application/json"

    def __init__(self, parts: Sequence[bytes], holding: AsyncExitStack, headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)
        self.headers["content-length"] = str(sum(map(len, parts)))
        self._parts = parts
        self._holding = holding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        async with self._holding:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for part in self._parts:
                for at in range(0, len(part), PIECE_BYTES):
                    # The server waits here while its client reads nothing.
                    await send({"type": "http.response.body", "body": part[at : at + PIECE_BYTES], "more_body": True})
            await send({"type": "http.response.body", "body": b""})
