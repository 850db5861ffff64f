"""The subscriptions of a process. Other tasks only say which channels they want.

There is a line (contract/subscription_line.py) to each server whose channels are wanted. In a cluster, the channels of
streams are sharded: only the node of its slot knows one, and the subscription follows the slot. The listener is told of
every confirmation from Redis. Payloads before it may have been missed; the listener must read them from the log.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from contract.cluster_slots import slot_of
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.redis_server import Place
from contract.routes import Routes, routes_of
from contract.subscription_line import Line, Listener
from contract.topology import Address, Shards, parse_topology, publish_command

__all__ = ["Listener", "Subscription"]

logger = logging.getLogger(__name__)

LEARN_AGAIN_S = 0.2


class Subscription:
    """Keeps the wanted channels subscribed, each at its server, and reconnects when a connection is lost.

    After `watchdog_s` of silence a line sends a ping, and after as long again without a reply it drops the connection:
    silence is the only symptom of a half-open connection.
    """

    def __init__(self, url: str, listener: Listener, watchdog_s: float, routes: Routes | None = None) -> None:
        """`routes`: as of `Client`."""
        topology = parse_topology(url)
        self._routes = routes or routes_of(topology)
        self._is_sharded = publish_command(topology) == "SPUBLISH"
        self._has_shards = isinstance(topology, Shards)
        # Subscribed on every line.
        self._everywhere: set[str] = set()
        self._listener = listener
        self._watchdog_s = watchdog_s
        self._lines: dict[Place, Line] = {}
        self._tasks: dict[asyncio.Task[None], Line] = {}
        # By channel: its line. None: its server is not known yet.
        self._wanted: dict[str, Line | None] = {}
        self._homeless = asyncio.Event()
        # By line: the channels whose slots its server has lost, until the server was asked who has them.
        self._lost: dict[Line, list[str]] = {}
        self._changed = asyncio.Event()

    def want(self, channel: str) -> None:
        """Subscribes to `channel`. Every call leads to a confirmation, even just after `unwant`."""
        self._settle(channel, self._routes.find(channel))

    def want_everywhere(self, channel: str) -> None:
        """Subscribes to a channel of the whole deployment, on which a script publishes at the server of its run. There
        is a confirmation for each of several shards; the nodes of a cluster pass such messages on to each other."""
        if not self._has_shards:
            self.want(channel)
            return
        self._everywhere.add(channel)
        for place in self._routes.places():
            self._line_at(place).want(channel)

    def unwant(self, channel: str) -> None:
        """Unsubscribes from `channel`. Payloads may arrive until Redis has handled it."""
        if line := self._wanted.pop(channel, None):
            line.unwant(channel)

    async def run(self) -> None:
        """Runs until cancelled."""
        for place in self._routes.places():
            self._line_at(place)
        settling = asyncio.create_task(self._settle_the_homeless())
        try:
            while True:
                for line in self._lines.values():
                    if line not in self._tasks.values():
                        self._tasks[asyncio.create_task(line.run())] = line
                changing = asyncio.create_task(self._changed.wait())
                done, _ = await asyncio.wait([changing, settling, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
                changing.cancel()
                self._changed.clear()
                for task in [settling, *self._tasks]:
                    if task in done:
                        self._tasks.pop(task, None)
                        task.result()
        finally:
            tasks = [settling, *self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _line_at(self, place: Place) -> Line:
        line = self._lines.get(place)
        if line is None:
            line = self._lines[place] = Line(place, self, self._listener, self._watchdog_s, is_sharded=self._is_sharded)
            self._changed.set()
        return line

    def _settle(self, channel: str, place: Place | None) -> None:
        before = self._wanted.get(channel)
        line = self._wanted[channel] = self._line_at(place) if place else None
        if before is not None and before is not line:
            before.unwant(channel)
        if line is None:
            self._homeless.set()
        else:
            line.want(channel)

    async def _settle_the_homeless(self) -> None:
        """Finds the servers of the channels that have none. Runs until cancelled."""
        while True:
            await self._homeless.wait()
            self._homeless.clear()
            try:
                while self._lost:
                    await self._follow_lost(*self._lost.popitem())
                if self._find_homeless():
                    await self._routes.learn()
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                if homeless := self._find_homeless():
                    self._listener.on_down(str(error), homeless)
            for channel in self._find_homeless():
                self._settle(channel, self._routes.find(channel))
            if self._homeless.is_set():
                await asyncio.sleep(LEARN_AGAIN_S)

    async def _follow_lost(self, line: Line, channels: list[str]) -> None:
        """Asks the server that has lost these channels where they are, and which others of its line are not there.

        Raises: BrokerUnavailableError, BrokerRefusedError. They are then asked about again.
        """
        try:
            # Another node may still name this one as their server. If it is a replica now it would accept the
            # subscriptions, and for a while the new primary would not send it what is published.
            await self._routes.learn_from(line.place)
        except (BrokerUnavailableError, BrokerRefusedError):
            self._lost.setdefault(line, []).extend(channels)
            self._homeless.set()
            raise
        self._move([*channels, *line.wanted])

    def _find_homeless(self) -> list[str]:
        return [channel for channel, line in self._wanted.items() if line is None]

    def _move(self, channels: Iterable[str]) -> None:
        """Settles the channels among these that the map has at another server than they are."""
        for channel in channels:
            place = self._routes.find(channel)
            if channel in self._wanted and place is not None:
                line = self._wanted[channel]
                if line is None or line.place != place:
                    self._settle(channel, place)

    # Called by the lines

    async def on_line_lost(self, line: Line) -> bool:
        """Moves the channels of a line whose connection is lost to where they are now. Returns whether to reconnect."""
        with contextlib.suppress(BrokerUnavailableError, BrokerRefusedError):
            await self._routes.learn()
        self._move(list(line.wanted))
        if line.wanted or line.place in self._routes.places() or not self._routes.places():
            return True
        del self._lines[line.place]
        return False

    def on_moved(self, line: Line, channels: Iterable[str]) -> None:
        """The server of `line` no longer has these channels."""
        self._lost.setdefault(line, []).extend(channels)
        self._part(line, channels)

    def on_redirected(self, line: Line, slot: int, address: Address) -> None:
        """The server of `line` refused subscriptions of a slot, which another one has."""
        self._routes.correct(slot, address, line.place)
        self._part(line, [channel for channel in line.wanted if slot_of(channel) == slot])

    def _part(self, line: Line, channels: Iterable[str]) -> None:
        for channel in channels:
            if self._wanted.get(channel) is line:
                self._wanted[channel] = None
            line.forget(channel)
        self._homeless.set()
