"""One performance and its audience of one: ends it when the client leaves, or when the server closes.

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

__all__ = ["ClientLeft", "Exchange", "FrameworkError", "Stage"]


class Stage:
    """The performances that are going on."""

    def __init__(self) -> None:
        self._playing: set[asyncio.Future[bool]] = set()
        self._closed = False

    def begin(self, playing: asyncio.Future[bool]) -> None:
        self._playing.add(playing)
        playing.add_done_callback(self._playing.discard)
        if self._closed:
            playing.cancel()

    def close(self) -> None:
        """Cuts every performance, and each that would begin later."""
        self._closed = True
        for playing in self._playing:
            playing.cancel()


class Exchange(Response):
    """Plays as long as someone listens. `ended` is told whether it was played to its end."""

    def __init__(self, play: Callable[[Sending], Awaitable[bool]], stage: Stage, ended: Callable[[bool], None]) -> None:
        super().__init__()
        self._play = play
        self._stage = stage
        self._ended = ended

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        playing = asyncio.ensure_future(self._play(send))
        leaving = asyncio.create_task(wait_for_leaving(receive))
        self._stage.begin(playing)
        try:
            await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
            self._ended(playing.done() and not playing.cancelled())
        finally:
            playing.cancel()
            leaving.cancel()
            await asyncio.wait((playing, leaving))
        if not playing.cancelled():
            playing.result()  # raises what went wrong in the play


async def wait_for_leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
