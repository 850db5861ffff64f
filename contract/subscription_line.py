"""A pub/sub connection to one server, which one task keeps open."""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Any, Protocol

from contract.backoff import Backoff
from contract.cluster_slots import slot_of
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.keys import is_live
from contract.redis_server import Place, PubSubConnection, RedirectedError
from contract.topology import Address

logger = logging.getLogger(__name__)

FIRST_DELAY_S = 0.02
MAX_DELAY_S = 1.0


class Listener(Protocol):
    """The tasks of a subscription call these methods. They must not block. For one channel, they come in order."""

    def on_payload(self, channel: str, payload: bytes) -> None:
        """A payload was published on `channel`."""

    def on_confirmed(self, channel: str) -> None:
        """From now on no payload is missed. Earlier ones may have been missed."""

    def on_down(self, reason: str, channels: Collection[str]) -> None:
        """Their connection is lost or could not be made. Each of them will be confirmed again."""


class Owner(Protocol):
    """What a line belongs to. It knows where else a channel may be."""

    async def on_line_lost(self, line: "Line") -> bool:
        """The connection is lost. Returns whether to make another."""

    def on_moved(self, line: "Line", channels: Iterable[str]) -> None:
        """The server has ended these subscriptions, because it no longer has their slots."""

    def on_redirected(self, line: "Line", slot: int, address: Address) -> None:
        """The server refused subscriptions of a slot, which the node at `address` has."""


class Line:
    """Keeps the channels that are wanted at one place subscribed. `is_sharded`: those of streams are sharded."""

    def __init__(self, place: Place, owner: Owner, listener: Listener, watchdog_s: float, *, is_sharded: bool) -> None:
        self.place = place
        self.wanted: set[str] = set()
        self._owner = owner
        self._listener = listener
        self._watchdog_s = watchdog_s
        self._is_sharded = is_sharded
        self._new: set[str] = set()
        self._asked: set[str] = set()
        self._changed = asyncio.Event()
        self._heard_at = 0.0
        self._troubled = False

    def want(self, channel: str) -> None:
        """Every call leads to a confirmation, even just after `unwant`."""
        self.wanted.add(channel)
        self._new.add(channel)
        self._changed.set()

    def unwant(self, channel: str) -> None:
        """Payloads may arrive until Redis has handled it."""
        self.wanted.discard(channel)
        self._changed.set()

    def forget(self, channel: str) -> None:
        """The server has no subscription to it."""
        for channels in (self.wanted, self._new, self._asked):
            channels.discard(channel)

    async def run(self) -> None:
        """Runs until cancelled, or until the owner says that this place has no channels any more."""
        clock = asyncio.get_running_loop().time
        backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S)
        while True:
            connection, began_at = PubSubConnection(self.place), clock()
            try:
                await connection.open()
                await self._serve(connection)
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                if not self._troubled:
                    logger.warning("subscription to %s lost: %s", self.place, error)
                self._troubled = True
                self._listener.on_down(str(error), list(self.wanted))
            finally:
                with contextlib.suppress(Exception):
                    await connection.close()
            if not await self._owner.on_line_lost(self):
                return
            if clock() - began_at > MAX_DELAY_S:
                # Reset only after a connection that lasted: Redis may accept one and refuse the subscription at once.
                backoff.reset()
            await asyncio.sleep(backoff.next_delay_s())

    async def _serve(self, connection: PubSubConnection) -> None:
        self._asked.clear()
        self._new |= self.wanted
        self._changed.set()
        self._heard_at = asyncio.get_running_loop().time()
        steps = (self._read(connection), self._ask(connection), self._watch(connection))
        duties = [asyncio.create_task(step) for step in steps]
        try:
            done, _ = await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for duty in duties:
                duty.cancel()
            await asyncio.gather(*duties, return_exceptions=True)
        for duty in done:
            duty.result()

    async def _read(self, connection: PubSubConnection) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            try:
                push = await connection.receive()
            except RedirectedError as redirected:
                if redirected.slot is None or redirected.address is None:
                    raise
                self._owner.on_redirected(self, redirected.slot, redirected.address)
                continue
            self._heard_at = clock()
            self._tell(push)

    def _tell(self, push: Sequence[Any]) -> None:
        kind = push[0]
        if kind in (b"message", b"smessage"):
            self._listener.on_payload(push[1].decode(), push[2])
        elif kind in (b"subscribe", b"ssubscribe"):
            if self._troubled:
                logger.warning("subscription to %s restored", self.place)
                self._troubled = False
            channel = push[1].decode()
            if channel in self.wanted:
                self._listener.on_confirmed(channel)
        elif kind == b"sunsubscribe" and push[1].decode() in self._asked:
            # We did not ask for it: the slot has moved.
            self._owner.on_moved(self, [push[1].decode()])

    async def _ask(self, connection: PubSubConnection) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            # A channel that is subscribed already and wanted again is subscribed again, to get a new confirmation.
            new, old = self._new & self.wanted, self._asked - self.wanted
            self._asked = set(self.wanted)
            self._new.clear()
            await self._send_all(connection, "SUBSCRIBE", new)
            await self._send_all(connection, "UNSUBSCRIBE", old)

    async def _send_all(self, connection: PubSubConnection, command: str, channels: set[str]) -> None:
        """One command for all plain channels, and one for the sharded ones of each slot: Redis refuses a mixture."""
        sharded = {channel for channel in channels if self._is_sharded and is_live(channel)}
        if plain := channels - sharded:
            await connection.send(command, *plain)
        for _, group in groupby(sorted(sharded, key=slot_of), slot_of):
            await connection.send(f"S{command}", *group)

    async def _watch(self, connection: PubSubConnection) -> None:
        clock, has_asked = asyncio.get_running_loop().time, False
        while True:
            await asyncio.sleep(self._watchdog_s)
            quiet_s = clock() - self._heard_at
            # After a busy time of our own, Redis has not been asked yet.
            if quiet_s >= 2 * self._watchdog_s and has_asked:
                raise BrokerUnavailableError(f"Redis has sent nothing for {quiet_s:.1f} s")
            has_asked = quiet_s >= self._watchdog_s / 2
            if has_asked:
                # Without subscriptions the reply is +PONG, otherwise a push. `_read` counts both as a reply.
                await connection.send("PING")
