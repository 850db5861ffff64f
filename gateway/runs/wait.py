"""Waits for a run on behalf of a caller, who may disconnect meanwhile. Sends nothing."""

import asyncio
from collections.abc import Callable

from fastapi import Request

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from gateway.dialects.base import NewDialect
from gateway.fanout.feed import Feed
from gateway.fanout.hub import Hub
from gateway.fanout.local_viewers import LocalViewers

OPEN_RETRY_S = 0.2


class ClientGoneError(Exception):
    """The caller has disconnected."""


class DismissedError(Exception):
    """The gateway drains, and the run did not end in time."""


class RunWaiter:
    """The `Subscriber` of one request, whose body must have been read. Within `async with`, it counts as a viewer and
    notices when the client disconnects."""

    resumes = False

    def __init__(self, request: Request, stream_id: str, hub: Hub, local_viewers: LocalViewers) -> None:
        self.stream_id = stream_id
        self._request = request
        self._hub = hub
        self._local_viewers = local_viewers
        self._gone = False
        self._dismissed = False
        self._woken = asyncio.Event()

    async def __aenter__(self) -> "RunWaiter":
        self._local_viewers.add(self)
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._local_viewers.remove(self)
        self._listening.cancel()
        await asyncio.wait([self._listening])

    async def _listen(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._woken.set()

    def dismiss(self, retry_window_ms: int) -> None:  # noqa: ARG002 - Subscriber's signature
        """Called when the gateway drains: makes `open` and `wait` raise DismissedError."""
        self._dismissed = True
        self._woken.set()

    def wake(self) -> None:
        """Called when the feed has news: makes `wait` check its condition."""
        self._woken.set()

    def on_notice(self, kind: bytes, encoded: bytes) -> None:
        """Ignores notices: no condition depends on them."""

    def on_revoked(self, count: int) -> None:
        """Ignores revocations: the caller who started the run needs no ticket."""

    async def open(self, dialect: str, within_s: float, new: NewDialect | None = None) -> Feed:
        """Opens the feed, as `Hub.open`. Retries while Redis is unavailable: an error would make the caller start a
        second run.

        Raises: ClientGoneError, DismissedError, NoSuchStreamError; after `within_s` BrokerUnavailableError,
        BrokerRefusedError.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + within_s
        while True:
            try:
                return await self._hub.open(self.stream_id, dialect, new)
            except (BrokerUnavailableError, BrokerRefusedError):
                if clock() >= deadline:
                    raise
            await asyncio.wait([self._listening], timeout=OPEN_RETRY_S)
            self._check()

    async def wait(self, feed: Feed, condition: Callable[[], bool], within_s: float | None) -> bool:
        """Waits until `condition()` is true. Returns False after `within_s`.

        Raises: ClientGoneError, DismissedError.
        """
        feed.subscribers.join(self)
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    await self._woken.wait()
                    self._woken.clear()
                    self._check()
        except TimeoutError:
            return False
        finally:
            feed.subscribers.leave(self)
            if not len(feed.subscribers):
                self._hub.drop_later(feed)
        return True

    def _check(self) -> None:
        if self._gone:
            raise ClientGoneError
        if self._dismissed:
            raise DismissedError
