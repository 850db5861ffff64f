"""One performance and its audience of one: ends it when the client leaves.

The only module that imports starlette itself: an ASGI response of our own, because a stalled one must notice
that its client left, and a faulty one must be able to cut the connection.
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
    """Plays as long as someone listens. `ended` is told whether it was played to its end."""

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
            playing.result()  # raises what went wrong in the play


async def wait_for_leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
