"""An ASGI response that sends one performance, and stops it when the client disconnects.

The only module that imports starlette. Starlette's own responses do not notice a disconnection during a stall, and
cannot cut the connection.
"""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException as FrameworkError
from starlette.requests import ClientDisconnect as ClientLeft
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from simulator.performance import Send as Sending

__all__ = ["ClientLeft", "Exchange", "FrameworkError"]


class Exchange(Response):
    """Sends until the end, or until the client disconnects. Calls `ended` with whether it was the end."""

    def __init__(self, play: Callable[[Sending], Awaitable[bool]], ended: Callable[[bool], None]) -> None:
        super().__init__()
        self._play = play
        self._ended = ended

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        playing = asyncio.ensure_future(self._play(send))
        leaving = asyncio.create_task(wait_for_leaving(receive))
        try:
            await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
            self._ended(playing.done())
        finally:
            playing.cancel()
            leaving.cancel()
            await asyncio.wait((playing, leaving))
        if not playing.cancelled():
            playing.result()  # raises any error of the performance


async def wait_for_leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
