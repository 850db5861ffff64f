"""Which server has which key: always the same one, one of several shards, or the node that has the key's slot now."""

import asyncio
import logging
import random
import re
from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from contract.cluster_slots import SLOTS, hash_tag, slot_of
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.redis_server import Place, Standing, ask_server
from contract.topology import Address, Cluster, OneServer, SentinelGroup, Shards, Topology, address_text

logger = logging.getLogger(__name__)

_is_partition = re.compile(r"p([0-9a-f]+)").fullmatch
"""A hash tag of contract/keys.py, with the number of the partition."""


class Routes(Protocol):
    """Finds the place of a key."""

    def places(self) -> Sequence[Place]:
        """All places with keys. Empty: not known yet."""

    def find(self, key: str) -> Place | None:
        """None: not known yet, or nobody has it. Call `learn`."""

    def correct(self, slot: int, address: Address, told_by: Place) -> None:
        """A node says that another one has the slot."""

    def place_at(self, address: Address, told_by: Place) -> Place:
        """The place of a node. An address without a host is on the host of the node that named it."""

    async def learn(self) -> None:
        """Asks again who has what. Concurrent calls ask once. Raises: BrokerUnavailableError, BrokerRefusedError."""

    async def learn_from(self, place: Place) -> None:
        """As `learn`, but asks this place first: it has lost a slot, and the others may not know that yet."""

    def standing_of(self, place: Place) -> Standing | None:
        """Who else may take over all that this place has. None: nobody, or its server knows that itself."""


def routes_of(topology: Topology) -> Routes:
    match topology:
        case OneServer(url):
            return FixedRoutes([Place(url)])
        case SentinelGroup(sentinel_urls, name, node_url):
            return FixedRoutes([Place(node_url, sentinel_urls, name)])
        case Shards(urls):
            return FixedRoutes([Place(url) for url in urls])
        case Cluster(seed_urls):
            return ClusterRoutes(seed_urls)


class FixedRoutes:
    """Servers that keep their keys. With several, the number of its partition selects the server of a key."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places

    def places(self) -> Sequence[Place]:
        return self._places

    def find(self, key: str) -> Place:
        if len(self._places) == 1:
            return self._places[0]
        partition = _is_partition(hash_tag(key))
        return self._places[(int(partition[1], 16) if partition else slot_of(key)) % len(self._places)]

    def correct(self, slot: int, address: Address, told_by: Place) -> None:
        """Does nothing: a server that says so is a node of a cluster, and REDIS_URL is wrong."""

    def place_at(self, address: Address, told_by: Place) -> Place:  # noqa: ARG002
        return told_by

    async def learn(self) -> None:
        """Does nothing."""

    async def learn_from(self, place: Place) -> None:
        """Does nothing."""

    def standing_of(self, place: Place) -> None:
        """Nobody, or its server asks the sentinels itself."""


class ClusterRoutes:
    """The map of a cluster's slots, as one of its nodes tells it."""

    def __init__(self, seed_urls: Sequence[str]) -> None:
        self._seeds = [Place(url) for url in seed_urls]
        self._owners: list[Place | None] = [None] * SLOTS
        self._places: list[Place] = []
        self._replicas: dict[Place, list[Place]] = {}
        self._learning: asyncio.Task[None] | None = None
        self._told_by: Place | None = None
        self._silent: set[Place] = set()

    def places(self) -> Sequence[Place]:
        return self._places

    def find(self, key: str) -> Place | None:
        return self._owners[slot_of(key)]

    def replicas_of(self, place: Place) -> Sequence[Place]:
        """The replicas of a primary, as the map had them."""
        return self._replicas.get(place, ())

    def correct(self, slot: int, address: Address, told_by: Place) -> None:
        place = self.place_at(address, told_by)
        self._owners[slot] = place
        # The next map comes from the node that knows more.
        self._told_by = place

    def place_at(self, address: Address, told_by: Place) -> Place:
        host = address.host if address.host not in ("", "?") else urlsplit(told_by.url).hostname or ""
        parts = urlsplit(self._seeds[0].url)
        credentials, at, _ = parts.netloc.rpartition("@")
        return Place(urlunsplit(parts._replace(netloc=f"{credentials}{at}{Address(host, address.port)}")))

    async def learn(self) -> None:
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn())
            # Whoever waits for it may be cancelled, and then nobody looks at its exception.
            self._learning.add_done_callback(lambda task: task.cancelled() or task.exception())
        # A caller that is cancelled must not take the answer away from the others.
        await asyncio.shield(self._learning)

    async def _learn(self) -> None:
        reasons = []
        best: tuple[int, Sequence[Any], Place] | None = None
        for place in self._informants():
            try:
                reply = await ask_server(place, "CLUSTER", "SLOTS")
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                self._silent.add(place)
                reasons.append(f"{place}: {error}")
                continue
            self._silent.discard(place)
            covered = sum(last + 1 - first for first, last, *_ in reply)
            if best is None or covered > best[0]:
                best = covered, reply, place
            if covered == SLOTS:
                break
            # A node that has just started may not know all of them yet. Others do.
            reasons.append(f"{place} knows {covered} slots")
        if best is None or not best[0]:
            raise BrokerUnavailableError(f"no node of the cluster answers: {'; '.join(reasons)}")
        self._take(best[1], best[2])

    async def learn_from(self, place: Place) -> None:
        await self._outwait_learning()
        self._told_by = place
        await self.learn()

    async def learn_from_others(self, doubtful: Place) -> None:
        """As `learn`, but asks this node last: it may have been frozen, and not know that it was replaced."""
        await self._outwait_learning()
        self._silent.add(doubtful)
        if self._told_by == doubtful:
            self._told_by = None
        await self.learn()

    async def _outwait_learning(self) -> None:
        """`learn` would join it, and it may have asked another node than the caller wants."""
        while self._learning is not None and not self._learning.done():
            await asyncio.wait([self._learning])

    def standing_of(self, place: Place) -> Standing:
        return _NodeStanding(self, place)

    def _informants(self) -> list[Place]:
        """Whom to ask, in this order: who knows more than the last one, then anybody who has answered before."""
        first, self._told_by = [self._told_by] if self._told_by else [], None
        others = [*self._places, *self._seeds]
        random.shuffle(others)
        return list(dict.fromkeys([*first, *sorted(others, key=lambda place: place in self._silent)]))

    def _take(self, reply: Sequence[Any], told_by: Place) -> None:
        owners: list[Place | None] = [None] * SLOTS
        replicas: dict[Place, list[Place]] = {}
        for first, last, primary, *others in reply:
            place = self._node(primary, told_by)
            owners[first : last + 1] = [place] * (last + 1 - first)
            replicas[place] = [self._node(other, told_by) for other in others]
        if set(replicas) != set(self._places):
            names = ", ".join(sorted(address_text(place.url) for place in replicas))
            logger.info("the primaries of the cluster are %s", names)
        self._owners, self._places, self._replicas = owners, list(replicas), replicas

    def _node(self, entry: Sequence[Any], told_by: Place) -> Place:
        return self.place_at(Address((entry[0] or b"").decode(), int(entry[1])), told_by)


class _NodeStanding:
    """Whether a node of a cluster is a primary, as the other nodes see it."""

    def __init__(self, routes: ClusterRoutes, place: Place) -> None:
        self._routes = routes
        self._place = place

    def known(self) -> Place:
        return self._place

    async def ask(self) -> Place | None:
        """The node itself. None if it is no primary any more."""
        await self._routes.learn_from_others(self._place)
        return self._place if self._place in self._routes.places() else None
