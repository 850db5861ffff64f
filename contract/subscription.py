"""One pub/sub connection, owned by one task. Others only say which channels they want.

What a silent reconnect would hide is told here: each confirmation of a channel is passed on, because between the last
payload and a confirmation anything may have been published and missed. Not a reader of logs: the listener is.
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
    """Told of everything, in order, from the owner task. None of it may wait."""

    def on_payload(self, channel: str, payload: bytes) -> None:
        """Something was published."""

    def on_confirmed(self, channel: str) -> None:
        """From here on nothing is missed; what was published before this may have been."""

    def on_down(self, reason: str) -> None:
        """The connection is gone, or could not be made. Every channel will be confirmed anew."""


class Subscription:
    """Keeps the wanted channels subscribed through every trouble of the connection.

    A connection on which nothing arrives for `watchdog_s` is asked for a sign of life, and dropped where there is none
    within `watchdog_s` more: a half-open connection shows no other symptom.
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
        """Each call is answered by a confirmation, also where the channel has been unwanted in the same breath."""
        self._wanted.add(channel)
        self._new.add(channel)
        self._changed.set()

    def unwant(self, channel: str) -> None:
        """What is told of the channel until Redis has heard of this is not held back."""
        self._wanted.discard(channel)
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
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
            # What is asked for once more, although it is subscribed, is confirmed once more.
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
                raise BrokerUnavailableError(f"no sign of life for {quiet_s:.1f} s")
            if quiet_s >= self._watchdog_s / 2:
                # In RESP2 a connection that subscribes to nothing answers +PONG, any other one a push: both are heard.
                await line.send("PING")
