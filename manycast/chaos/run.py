"""A chaos run: traffic and faults at the same time, then calm, then the checks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from manycast.chaos.checker import Finding, Wrong, judge_leftovers, judge_stream
from manycast.chaos.environment import Environment, standing
from manycast.chaos.evidence import StreamRecord
from manycast.chaos.fault_injector import FaultInjector
from manycast.chaos.one_stream import OneStream
from manycast.chaos.redis_state import RedisState
from manycast.chaos.report import Tally
from manycast.chaos.schedule import plan_faults
from manycast.chaos.workload import plan_stream
from manycast.client.transport import Transport

SETTLE_LIMIT_S = 90.0
LOOK_UP_LIMIT_S = 30.0
ANSWER_LIMIT_S = 30.0
SIGNS_OF_A_FALL = ("Traceback (most recent call last)", " CRITICAL ", "was dropped by a fault of ours")


@dataclass(frozen=True, slots=True)
class Terms:
    """The size of a run. `streams_per_s`: how many streams start per second."""

    seed: int
    minutes: float
    gateways: int = 3
    workers: int = 3
    streams_per_s: float = 1.5

    @property
    def seconds(self) -> float:
        return self.minutes * 60


async def run_chaos(terms: Terms, directory: Path, environ: Mapping[str, str], tell: Callable[[str], None]) -> Tally:
    """The counts of one run. The processes' logs are left in `directory`. Raises: StartupError."""
    parts = f"{terms.gateways} gateways, {terms.workers} workers, one Redis, one provider"
    tally = Tally(terms.seed, terms.minutes, parts)
    stage = Environment(directory, environ, terms.gateways, terms.workers)
    async with standing(stage), _lines_to(stage) as (gateways, provider):
        tell(f"{parts} stand; their logs are in {directory}")
        saboteur, ledger = FaultInjector(stage), RedisState(stage.client)
        traffic = Traffic(terms, tally, lambda plan: OneStream(plan, terms.seed, gateways, provider, ledger))
        faults = plan_faults(terms.seed, terms.seconds, terms.workers, terms.gateways)
        async with asyncio.TaskGroup() as group:
            group.create_task(saboteur.work_through(faults))
            group.create_task(traffic.begin_streams())
        tally.faults = saboteur.done
        tell(f"all faults are over; {traffic.open} streams are to settle")
        await traffic.settle()
        tally.findings += judge_leftovers(await ledger.leftovers(traffic.known))
        # In order, so that their last log lines are checked too.
        for place in stage.places:
            await place.drain()
    for place in stage.places:
        log = place.log_path.read_text(errors="replace")
        falls = place.falls + [f"its log has {sign!r}" for sign in SIGNS_OF_A_FALL if sign in log]
        tally.findings += [Finding(Wrong.FALLEN, place.name, how) for how in falls]
    return tally


@asynccontextmanager
async def _lines_to(stage: Environment) -> AsyncIterator[tuple[list[Transport], Transport]]:
    """HTTP clients for all gateways and for the provider."""
    async with AsyncExitStack() as lines:
        transports = [Transport(url, {}, ANSWER_LIMIT_S) for url in (*stage.gateway_urls, stage.provider_url)]
        for transport in transports:
            lines.push_async_callback(transport.close)
        yield transports[:-1], transports[-1]


class Traffic:
    """All streams of a run. Each is checked when it and its viewers have ended, and then dropped."""

    def __init__(self, terms: Terms, tally: Tally, stage_play: Callable[..., OneStream]) -> None:
        self.known: set[str] = set()
        self._terms = terms
        self._tally = tally
        self._stage_play = stage_play
        self._plays: dict[asyncio.Task[None], OneStream] = {}

    @property
    def open(self) -> int:
        return sum(not task.done() for task in self._plays)

    async def begin_streams(self) -> None:
        """Starts streams at an even pace while the run lasts."""
        for number in range(round(self._terms.seconds * self._terms.streams_per_s)):
            play = self._stage_play(plan_stream(self._terms.seed, number))
            self._plays[asyncio.create_task(self._see_through(play))] = play
            await asyncio.sleep(1 / self._terms.streams_per_s)

    async def _see_through(self, play: OneStream) -> None:
        try:
            await play.run()
        finally:
            # A cancellation means that time is up. The stream is checked as far as it came.
            async with asyncio.timeout(LOOK_UP_LIMIT_S):
                await play.look_up()
            self._judge(play.record)

    def _judge(self, record: StreamRecord) -> None:
        self.known |= record.ids
        self._tally.count(record)
        self._tally.findings += judge_stream(record)

    async def settle(self) -> None:
        """Waits until all streams have ended, within a limit. Raises: the error of a stream's task."""
        _, late = await asyncio.wait(self._plays, timeout=SETTLE_LIMIT_S)
        for task in late:
            task.cancel()
        results = await asyncio.gather(*self._plays, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
