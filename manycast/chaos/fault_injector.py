"""Injects the scheduled faults into the environment, and counts them."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from contract.connection import call_redis
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from manycast.chaos.environment import Environment
from manycast.chaos.group_faults import GroupFaults, call_all_nodes
from manycast.chaos.process_slot import ProcessSlot
from manycast.chaos.schedule import GROUPS, Fault, Kind, TopologyName

KILLS = {Kind.WORKER_KILL, Kind.GATEWAY_KILL, Kind.REDIS_KILL, Kind.PROVIDER_KILL}
DRAINS = {Kind.WORKER_DRAIN, Kind.GATEWAY_DRAIN, Kind.REDIS_RESTART}
FREEZES = {Kind.WORKER_FREEZE, Kind.WORKER_PAUSE, Kind.GATEWAY_FREEZE, Kind.REDIS_FREEZE, Kind.PROVIDER_FREEZE}


class FaultInjector:
    """`done` counts the injected faults by kind. A fault that needs Redis is skipped while Redis is away."""

    def __init__(self, environment: Environment, seed: int) -> None:
        self.done: Counter[Kind] = Counter()
        self._environment = environment
        self._group_faults = GroupFaults(environment.group, seed) if environment.group else None

    async def inject_all(self, faults: Sequence[Fault]) -> None:
        """Injects each fault at its time, counted from now. Faults may overlap. When this returns, all parts run
        again."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(began + fault.at_s - clock())
                group.create_task(self._inject(fault))

    async def _inject(self, fault: Fault) -> None:
        kind = fault.kind
        if kind in KILLS | DRAINS | FREEZES:
            slot = self._slot_of(fault)
            async with slot.lock:
                await self._inject_into_process(slot, fault)
        elif self._group_faults is not None and kind in GROUPS[TopologyName.CLUSTER]:
            await self._group_faults.inject(fault)
        else:
            try:
                await self._inject_into_redis(fault)
            except (BrokerUnavailableError, BrokerRefusedError):
                return
        self.done[kind] += 1

    def _slot_of(self, fault: Fault) -> ProcessSlot:
        environment = self._environment
        match fault.kind.name.split("_")[0]:
            case "WORKER":
                return environment.workers[fault.target]
            case "GATEWAY":
                return environment.gateways[fault.target]
            case "PROVIDER":
                return environment.provider
        assert environment.redis is not None
        return environment.redis

    async def _inject_into_process(self, slot: ProcessSlot, fault: Fault) -> None:
        if fault.kind in FREEZES:
            slot.freeze()
            await asyncio.sleep(fault.length_s)
            slot.resume()
            return
        if fault.kind in KILLS:
            await slot.kill()
        else:
            await slot.drain()
        await asyncio.sleep(fault.length_s)
        await slot.start()

    async def _inject_into_redis(self, fault: Fault) -> None:
        command: tuple[str | int, ...]
        match fault.kind:
            case Kind.REDIS_PAUSE:
                command = ("CLIENT", "PAUSE", round(fault.length_s * 1000), "ALL")
            case Kind.CALLS_CUT:
                command = ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            case Kind.LISTENERS_CUT:
                command = ("CLIENT", "KILL", "TYPE", "pubsub")
            case _:
                command = ("SCRIPT", "FLUSH")
        if self._environment.group is not None:
            await call_all_nodes(self._environment.group, *command)
        else:
            await call_redis(self._environment.client, *command)
