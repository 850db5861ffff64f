"""Calls to Redis, whatever its topology: each goes to the server of its key, follows what moves, and has a deadline.

Every failure is one of two errors of contract/errors.py. With one server, a call costs no more than redis-py's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from contract.cluster_slots import key_of
from contract.errors import BrokerUnavailableError
from contract.keys import USUAL_KEYS, KeySpace, Partitions
from contract.redis_server import (
    COMMAND_TIMEOUT_S,
    LATE_S,
    REPLACEABLE_IDLE_S,
    TRUSTED_IDLE_S,
    Place,
    RedirectedError,
    Server,
    blocking_server,
    command_server,
    connection_slot,
)
from contract.routes import Routes, routes_of
from contract.topology import Topology, may_be_replaced, parse_topology, publish_command

PARTITIONS_OF_SEVERAL_SERVERS = 128
TRIES = 12
"""How often a call is sent again that a node of a cluster has redirected. With the pauses that takes about a second."""
_FREE_TRIES = 2
_FIRST_PAUSE_S = 0.02
_MAX_PAUSE_S = 0.1


class Client:
    """The servers of a topology. `only` is the server of every key, if there is only one; it is the fast path.

    `publish`: the command that publishes on the channel of a stream.
    """

    def __init__(
        self,
        topology: Topology,
        open_server: Callable[[Place], Server],
        keys: KeySpace,
        routes: Routes | None = None,
    ) -> None:
        """`keys`: of the deployment that the client belongs to. `routes`: of another client of the same topology, so
        that both know what one of them has learnt."""
        self.topology = topology
        self.key_space = keys
        self.publish = publish_command(topology)
        self.partitions: Partitions | None = None
        """What contract.partitions has asked Redis."""
        self.routes = routes or routes_of(topology)
        self._open_server = open_server
        self._servers: dict[Place, Server] = {}
        self._left: list[Server] = []
        self._learning: asyncio.Task[None] | None = None
        places = self.routes.places()
        self.only: Server | None = self.server_at(places[0]) if len(places) == 1 else None

    @property
    def usual_partitions(self) -> int:
        """How many partitions a new deployment gets."""
        return 1 if self.only is not None else PARTITIONS_OF_SEVERAL_SERVERS

    def server_at(self, place: Place) -> Server:
        """The server at a place. Opens no connection yet."""
        server = self._servers.get(place)
        if server is None:
            server = self._servers[place] = self._open_server(place)
            server.standing = self.routes.standing_of(place) or server.standing
        return server

    async def place_of(self, key: str | None) -> Place:
        """Where a key is, or any place without a key. Raises: BrokerUnavailableError, BrokerRefusedError."""
        place = self.known_place(key)
        if place is None:
            await self.routes.learn()
            place = self.known_place(key)
        if place is None:
            raise BrokerUnavailableError("no node of the cluster has the slot of this key")
        return place

    def known_place(self, key: str | None) -> Place | None:
        """As `place_of`; None if that is not known yet."""
        if key is not None:
            return self.routes.find(key)
        return next(iter(self.routes.places()), None)

    async def places(self) -> list[Place]:
        """Every place with keys. Raises: BrokerUnavailableError, BrokerRefusedError."""
        if not self.routes.places():
            await self.routes.learn()
        return list(self.routes.places())

    def learn_soon(self) -> None:
        """Asks in the background who has what now: a server does not answer, or says that it is no primary."""
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn())

    async def _learn(self) -> None:
        try:
            await self.routes.learn()
        except Exception:  # whoever needs the map asks again, and reports the reason
            return
        places = set(self.routes.places())
        for place in [place for place in self._servers if place not in places]:
            # Calls in progress keep their connections until this client is closed.
            left = self._servers.pop(place)
            self._left.append(left)
            await left.drop_idle_connections()

    def follow(self, redirected: RedirectedError, told_by: Place) -> Place | None:
        """What to do after a redirection: where to ask for the next try only, None to look the place up again."""
        if redirected.address is None or redirected.slot is None:
            return None
        if redirected.asking:
            return self.routes.place_at(redirected.address, told_by)
        self.routes.correct(redirected.slot, redirected.address, told_by)
        self.learn_soon()
        return None

    async def aclose(self) -> None:
        """Closes all connections."""
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)
        for server in (*self._servers.values(), *self._left):
            await server.aclose()


def command_client(
    url: str,
    keys: KeySpace = USUAL_KEYS,
    *,
    connections: int = 32,
    trusted_idle_s: float = TRUSTED_IDLE_S,
    routes: Routes | None = None,
) -> Client:
    """For calls that may be repeated. `connections`: to each server. Raises: ValueError for a malformed URL.

    A stale connection is replaced once, and the call is sent again. A connection that was idle for `trusted_idle_s` is
    checked before its next use.
    """
    topology = parse_topology(url)
    if may_be_replaced(topology):
        trusted_idle_s = min(trusted_idle_s, REPLACEABLE_IDLE_S)
    return Client(topology, lambda place: command_server(place, connections, trusted_idle_s), keys, routes)


def blocking_client(url: str, keys: KeySpace = USUAL_KEYS, routes: Routes | None = None) -> Client:
    """For blocking reads. It repeats nothing: a lost reply may have delivered entries that a second read skips."""
    return Client(parse_topology(url), lambda place: blocking_server(place, 8), keys, routes)


async def call_redis(client: Client, *command: str | int, block_ms: int = 0) -> Any:
    """Runs one command, which may block for `block_ms`. Returns the reply as redis-py parses it.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    block_s = block_ms / 1000
    if client.only is not None:
        return await call_server(client.only, *command, block_s=block_s)
    key, asked = key_of(command), None
    async for is_last in tries():
        place = asked or await client.place_of(key)
        try:
            if asked is None:
                return await call_server(client.server_at(place), *command, block_s=block_s)
            async with connection_slot(client.server_at(place), COMMAND_TIMEOUT_S + block_s, LATE_S + block_s):
                return await client.server_at(place).execute_asking(*command)
        except RedirectedError as redirected:
            if is_last:
                raise
            asked = client.follow(redirected, place)
        except BrokerUnavailableError:
            client.learn_soon()
            raise
    raise AssertionError("the last try returns or raises")


async def call_server(server: Server, *command: str | int, block_s: float = 0) -> Any:
    """Runs one command, which may block for `block_s`, on this server.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    async with connection_slot(server, COMMAND_TIMEOUT_S + block_s, LATE_S + block_s):
        return await server.execute_command(*command)  # type: ignore[no-untyped-call]


async def tries() -> AsyncIterator[bool]:
    """Comes back for each try, with pauses that grow, and says whether it is the last one."""
    for number in range(TRIES):
        if number >= _FREE_TRIES:
            await asyncio.sleep(min(_MAX_PAUSE_S, _FIRST_PAUSE_S * 2 ** (number - _FREE_TRIES)))
        yield number == TRIES - 1
