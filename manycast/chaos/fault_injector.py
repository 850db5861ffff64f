"""Injects the faults of the schedule into the environment, and counts them."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from contract.connection import call_redis
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from manycast.chaos.environment import Environment
from manycast.chaos.process_slot import ProcessSlot
from manycast.chaos.schedule import Fault, Kind

KILLS = {Kind.WORKER_KILL, Kind.GATEWAY_KILL, Kind.REDIS_KILL, Kind.PROVIDER_KILL}
DRAINS = {Kind.WORKER_DRAIN, Kind.GATEWAY_DRAIN, Kind.REDIS_RESTART}
FREEZES = {Kind.WORKER_FREEZE, Kind.WORKER_PAUSE, Kind.GATEWAY_FREEZE, Kind.REDIS_FREEZE, Kind.PROVIDER_FREEZE}


class FaultInjector:
    """`done` counts the faults by kind, except those that Redis's absence prevented."""

    def __init__(self, stage: Environment) -> None:
        self.done: Counter[Kind] = Counter()
        self._stage = stage

    async def work_through(self, faults: Sequence[Fault]) -> None:
        """Injects each fault at its time from now. Faults may overlap. In the end everything runs again."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(began + fault.at_s - clock())
                group.create_task(self._commit(fault))

    async def _commit(self, fault: Fault) -> None:
        kind = fault.kind
        if kind in KILLS | DRAINS | FREEZES:
            place = self._place_of(fault)
            async with place.lock:
                await self._trouble(place, fault)
        else:
            try:
                await self._tell_redis(fault)
            except (BrokerUnavailableError, BrokerRefusedError):
                return
        self.done[kind] += 1

    def _place_of(self, fault: Fault) -> ProcessSlot:
        stage = self._stage
        match fault.kind.name.split("_")[0]:
            case "WORKER":
                return stage.workers[fault.target]
            case "GATEWAY":
                return stage.gateways[fault.target]
            case "PROVIDER":
                return stage.provider
        return stage.redis

    async def _trouble(self, place: ProcessSlot, fault: Fault) -> None:
        if fault.kind in FREEZES:
            place.freeze()
            await asyncio.sleep(fault.length_s)
            place.thaw()
            return
        if fault.kind in KILLS:
            await place.kill()
        else:
            await place.drain()
        await asyncio.sleep(fault.length_s)
        await place.start()

    async def _tell_redis(self, fault: Fault) -> None:
        client = self._stage.client
        match fault.kind:
            case Kind.REDIS_PAUSE:
                await call_redis(client, "CLIENT", "PAUSE", round(fault.length_s * 1000), "ALL")
            case Kind.CALLS_CUT:
                await call_redis(client, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            case Kind.LISTENERS_CUT:
                await call_redis(client, "CLIENT", "KILL", "TYPE", "pubsub")
            case Kind.SCRIPTS_FLUSH:
                await call_redis(client, "SCRIPT", "FLUSH")
