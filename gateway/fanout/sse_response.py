"""A viewer's response on any ASGI server, by sse-starlette. The viewer decides what to send."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

from sse_starlette.sse import AppStatus, EventSourceResponse, SendTimeoutError
from starlette.types import Receive, Scope, Send

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import MalformedEventError
from gateway.fanout.local_viewers import LocalViewers
from gateway.fanout.watcher import Watcher

logger = logging.getLogger(__name__)

# The gateway ends each response itself when it drains; sse-starlette would cut all of them at the first signal.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]


class ViewerResponse(EventSourceResponse):
    """Sends what `Watcher.take` returns, until the stream ends or the client disconnects."""

    def __init__(
        self, watcher: Watcher, local_viewers: LocalViewers, send_timeout_s: float, headers: Mapping[str, str]
    ) -> None:
        # The viewer's bytes are complete: they contain the pings and all line ends. The library must add nothing.
        super().__init__(self._body(), headers=headers, ping=0, sep="\n", send_timeout=send_timeout_s)
        self._watcher = watcher
        self._woken = asyncio.Event()
        self._local_viewers = local_viewers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Join and leave here, not in the generator: a generator that never starts does not run its `finally`.
        self._local_viewers.join(self._watcher, self._woken.set)
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            logger.info("a viewer of %s read nothing for too long", self._watcher.name)
        finally:
            self._local_viewers.leave(self._watcher)

    async def _body(self) -> AsyncIterator[bytes]:
        watcher = self._watcher
        while not watcher.finished:
            self._woken.clear()
            try:
                due = await watcher.take_page() if watcher.is_behind else watcher.take()
            except (BrokerUnavailableError, BrokerRefusedError, MalformedEventError) as error:
                # Only Redis has the old events. End the response, so that the client reconnects and asks again.
                logger.warning("stream %s: %s", watcher.name, error)
                return
            if due is not None:
                yield due.body
            elif not watcher.finished:
                await self._woken.wait()
