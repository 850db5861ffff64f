"""Injects the faults of a group of Redis servers, one after the other.

Each begins when the group is well, so that no fault meets a group that has lost a copy of its data, and ends when the
group is well again.
"""

import asyncio
import random

from manycast.chaos.redis_cluster import RedisCluster
from manycast.chaos.redis_node import NodeError, RedisNode
from manycast.chaos.schedule import Fault, Kind
from manycast.chaos.sentinel_group import SentinelGroup

KEYS_BEFORE_PAUSE = 3
"""So many keys of a moving slot move at once, then the others wait: callers meet a slot that is on two nodes."""
MOVES = 2


class GroupFaults:
    """`seed` chooses the nodes and the slots."""

    def __init__(self, group: RedisCluster | SentinelGroup, seed: int) -> None:
        self._group = group
        self._lock = asyncio.Lock()
        self._rng = random.Random(f"nodes {seed}")  # noqa: S311 -- a plan, not a secret

    async def inject(self, fault: Fault) -> None:
        """Raises: TopologyError if the group does not become well again."""
        async with self._lock:
            await self.settle()
            match fault.kind:
                case Kind.PRIMARY_KILL:
                    await self._kill_primary(fault.length_s)
                case Kind.PRIMARY_FREEZE:
                    await self._freeze_primary(fault.length_s)
                case Kind.FAILOVER:
                    await asyncio.to_thread(self._fail_over)
                case Kind.REPLICA_CUT:
                    await self._cut_replica(fault.length_s)
                case Kind.SLOTS_MOVE:
                    await self._move_slots(fault.length_s)
            await self.settle()

    async def settle(self) -> None:
        """Waits until the group is well. Raises: TopologyError after a minute."""
        await asyncio.to_thread(self._group.wait_until_well)

    def _primary(self) -> RedisNode:
        group = self._group
        return group.primary() if isinstance(group, SentinelGroup) else self._rng.choice(group.primaries())

    async def _kill_primary(self, length_s: float) -> None:
        primary = await asyncio.to_thread(self._primary)
        await asyncio.to_thread(primary.kill)
        await asyncio.to_thread(self._group.wait_for_takeover, primary)
        await asyncio.sleep(length_s)
        # In the main thread: a node dies with the thread that started it.
        primary.start()

    async def _freeze_primary(self, length_s: float) -> None:
        primary = await asyncio.to_thread(self._primary)
        primary.freeze()
        await asyncio.sleep(length_s)
        primary.resume()

    def _fail_over(self) -> None:
        group = self._group
        if isinstance(group, SentinelGroup):
            group.fail_over()
        else:
            group.fail_over(group.replica_of(self._primary()))

    async def _cut_replica(self, length_s: float) -> None:
        group = self._group
        replica = await asyncio.to_thread(
            lambda: group.replica() if isinstance(group, SentinelGroup) else group.replica_of(self._primary())
        )
        await asyncio.to_thread(group.cut_off, replica)
        await asyncio.sleep(length_s)
        await asyncio.to_thread(group.rejoin, replica)

    async def _move_slots(self, length_s: float) -> None:
        """Moves slots that have keys to other primaries, and takes its time between their keys."""
        cluster = self._group
        assert isinstance(cluster, RedisCluster)
        slots = await asyncio.to_thread(cluster.used_slots)
        for slot in self._rng.sample(slots, min(MOVES, len(slots))):
            owner = await asyncio.to_thread(cluster.owner_of, slot)
            others = [node for node in await asyncio.to_thread(cluster.primaries) if node is not owner]
            target = self._rng.choice(others)
            await asyncio.to_thread(cluster.begin_move, slot, target)
            await asyncio.to_thread(cluster.move_keys, slot, owner, target, KEYS_BEFORE_PAUSE)
            await asyncio.sleep(length_s)
            await asyncio.to_thread(cluster.move_keys, slot, owner, target)
            await asyncio.to_thread(cluster.end_move, slot, target)


async def call_all_nodes(group: RedisCluster | SentinelGroup, *command: str | int) -> None:
    """Sends a command to every running node. Nodes that do not answer are left out."""

    def call(node: RedisNode) -> None:
        try:
            node.call(*command)
        except (NodeError, OSError):
            return

    nodes = [node for node in group.nodes if node.is_running]
    await asyncio.gather(*(asyncio.to_thread(call, node) for node in nodes))
