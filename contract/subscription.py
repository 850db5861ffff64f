"""A pub/sub connection that one task keeps open. Other tasks only say which channels they want.

The subscription tells its listener of every confirmation from Redis. Payloads before it may have been missed; the
listener must read them from the log.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from contract.backoff import Backoff
from contract.connection import PubSubConnection
from contract.errors import BrokerRefusedError, BrokerUnavailableError

logger = logging.getLogger(__name__)

FIRST_DELAY_S = 0.02
MAX_DELAY_S = 1.0


class Listener(Protocol):
    """The subscription's task calls these methods, in order. They must not block."""

    def on_payload(self, channel: str, payload: bytes) -> None:
        """A payload was published on `channel`."""

    def on_confirmed(self, channel: str) -> None:
        """From now on no payload is missed. Earlier ones may have been missed."""

    def on_down(self, reason: str) -> None:
        """The connection is lost or could not be made. Every channel will be confirmed again."""


class Subscription:
    """Keeps the wanted channels subscribed, and reconnects when the connection is lost.

    After `watchdog_s` of silence it sends a ping, and after as long again without a reply it drops the connection:
    silence is the only symptom of a half-open connection.
    """

    def __init__(self, url: str, listener: Listener, watchdog_s: float) -> None:
        self._url = url
        self._listener = listener
        self._watchdog_s = watchdog_s
        self._wanted: set[str] = set()
        self._new: set[str] = set()
        self._asked: set[str] = set()
        self._changed = asyncio.Event()
        self._heard_at = 0.0
        self._troubled = False

    def want(self, channel: str) -> None:
        """Subscribes to `channel`. Every call leads to a confirmation, even just after `unwant`."""
        self._wanted.add(channel)
        self._new.add(channel)
        self._changed.set()

    def unwant(self, channel: str) -> None:
        """Unsubscribes from `channel`. Payloads may arrive until Redis has handled it."""
        self._wanted.discard(channel)
        self._changed.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        clock = asyncio.get_running_loop().time
        backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S)
        while True:
            line, began_at = PubSubConnection(self._url), clock()
            try:
                await line.open()
                await self._serve(line)
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                if not self._troubled:
                    logger.warning("subscription lost: %s", error)
                self._troubled = True
                self._listener.on_down(str(error))
            finally:
                with contextlib.suppress(Exception):
                    await line.close()
            if clock() - began_at > MAX_DELAY_S:
                # Reset only after a connection that lasted: Redis may accept one and refuse the subscription at once.
                backoff.reset()
            await asyncio.sleep(backoff.next_delay_s())

    async def _serve(self, line: PubSubConnection) -> None:
        self._asked.clear()
        self._new |= self._wanted
        self._changed.set()
        self._heard_at = asyncio.get_running_loop().time()
        duties = [asyncio.create_task(duty) for duty in (self._read(line), self._ask(line), self._watch(line))]
        try:
            done, _ = await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for duty in duties:
                duty.cancel()
            await asyncio.gather(*duties, return_exceptions=True)
        for duty in done:
            duty.result()

    async def _read(self, line: PubSubConnection) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            push = await line.receive()
            self._heard_at = clock()
            self._tell(push)

    def _tell(self, push: Sequence[Any]) -> None:
        if push[0] == b"message":
            self._listener.on_payload(push[1].decode(), push[2])
        elif push[0] == b"subscribe":
            if self._troubled:
                logger.warning("subscription restored")
                self._troubled = False
            channel = push[1].decode()
            if channel in self._wanted:
                self._listener.on_confirmed(channel)

    async def _ask(self, line: PubSubConnection) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            # A channel that is subscribed already and wanted again is subscribed again, to get a new confirmation.
            new, old = self._new & self._wanted, self._asked - self._wanted
            self._asked = set(self._wanted)
            self._new.clear()
            if new:
                await line.send("SUBSCRIBE", *new)
            if old:
                await line.send("UNSUBSCRIBE", *old)

    async def _watch(self, line: PubSubConnection) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._watchdog_s)
            quiet_s = clock() - self._heard_at
            if quiet_s >= 2 * self._watchdog_s:
                raise BrokerUnavailableError(f"Redis has sent nothing for {quiet_s:.1f} s")
            if quiet_s >= self._watchdog_s / 2:
                # Without subscriptions the reply is +PONG, otherwise a push. `_read` counts both as a reply.
                await line.send("PING")
