"""A chaos run: traffic and faults at the same time, then traffic alone until it ends, then the checks."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from manycast.chaos.chain_script import step_of
from manycast.chaos.checker import Finding, Violation, check_bill, check_bill_of_examples, check_leftovers, check_stream
from manycast.chaos.environment import Environment, running
from manycast.chaos.evidence import StreamRecord, read_bill, read_bill_of_examples
from manycast.chaos.fault_injector import FaultInjector
from manycast.chaos.one_stream import OneStream
from manycast.chaos.redis_state import RedisState
from manycast.chaos.report import Tally
from manycast.chaos.schedule import TopologyName, plan_faults
from manycast.chaos.script_run import paying_attempts
from manycast.chaos.workload import plan_stream
from manycast.client.transport import Transport

SETTLE_LIMIT_S = 90.0
LOOK_UP_LIMIT_S = 30.0
ANSWER_LIMIT_S = 30.0
REDIS = {
    TopologyName.ONE: "one Redis",
    TopologyName.SENTINEL: "a Redis with a replica and three sentinels",
    TopologyName.CLUSTER: "a Redis Cluster of three primaries with replicas",
}
CRASH_MARKERS = ("Traceback (most recent call last)", " CRITICAL ")


@dataclass(frozen=True, slots=True)
class ChaosOptions:
    """`streams_per_s`: how many streams start per second."""

    seed: int
    minutes: float
    gateways: int = 3
    workers: int = 3
    streams_per_s: float = 1.5
    topology: TopologyName = TopologyName.ONE

    @property
    def seconds(self) -> float:
        return self.minutes * 60


async def run_chaos(
    options: ChaosOptions, directory: Path, environ: Mapping[str, str], tell: Callable[[str], None]
) -> Tally:
    """Returns the counts of one run, and leaves the processes' logs in `directory`. Raises: StartupError."""
    parts = f"{options.gateways} gateways, {options.workers} workers, {REDIS[options.topology]}, one provider"
    tally = Tally(options.seed, options.minutes, parts, options.topology)
    environment = Environment(directory, environ, options.gateways, options.workers, options.topology)
    async with running(environment), _open_transports(environment) as (gateways, provider):
        tell(f"started {parts}; their logs are in {directory}")
        injector, redis_state = FaultInjector(environment, options.seed), RedisState(environment.client)
        traffic = Traffic(options, tally, lambda plan: OneStream(plan, options.seed, gateways, provider, redis_state))
        faults = plan_faults(options.seed, options.seconds, options.workers, options.gateways, options.topology)
        async with asyncio.TaskGroup() as group:
            group.create_task(injector.inject_all(faults))
            group.create_task(traffic.start_streams())
        tally.faults = injector.done
        tell(f"all faults were injected; waiting for {traffic.open} streams to end")
        await traffic.settle()
        tally.findings += check_leftovers(await redis_state.leftovers(traffic.known))
        if environment.group is not None:
            ended = [node for node in environment.group.nodes if node.crash is not None]
            tally.findings += [Finding(Violation.CRASH, node.name, f"ended with {node.crash}") for node in ended]
        # Stop them with SIGTERM, so that the check includes the log lines of their shutdown.
        for slot in environment.slots:
            await slot.drain()
    # Now the provider has written down even the calls that it answered last.
    lines = environment.bill_path.read_bytes()
    tally.bill = read_bill(lines)
    tally.findings += check_bill(traffic.attempts, tally.bill)
    examples = read_bill_of_examples(lines)
    tally.scripts["calls of examples in the bill"] = sum(examples[call] for call in traffic.example_attempts)
    tally.findings += check_bill_of_examples(traffic.example_attempts, examples)
    for slot in environment.slots:
        log = slot.log_path.read_text(errors="replace")
        crashes = slot.crashes + [f"its log contains {marker!r}" for marker in CRASH_MARKERS if marker in log]
        tally.findings += [Finding(Violation.CRASH, slot.name, how) for how in crashes]
    return tally


@asynccontextmanager
async def _open_transports(environment: Environment) -> AsyncIterator[tuple[list[Transport], Transport]]:
    """Opens HTTP clients for all gateways, and one for the provider."""
    async with AsyncExitStack() as exit_stack:
        transports = [
            Transport(url, {}, ANSWER_LIMIT_S) for url in (*environment.gateway_urls, environment.provider_url)
        ]
        for transport in transports:
            exit_stack.push_async_callback(transport.close)
        yield transports[:-1], transports[-1]


class Traffic:
    """Starts all streams of a run, and checks each one when it and its viewers have ended."""

    def __init__(self, options: ChaosOptions, tally: Tally, create_stream: Callable[..., OneStream]) -> None:
        self.known: set[str] = set()
        self.attempts: dict[str, int] = {}
        """How many attempts may have paid for each step of each chain."""
        self.example_attempts: Counter[str] = Counter()
        """How many attempts may have paid for each call of an example, in all runs together, by its messages."""
        self._options = options
        self._tally = tally
        self._create_stream = create_stream
        self._streams: dict[asyncio.Task[None], OneStream] = {}

    @property
    def open(self) -> int:
        return sum(not task.done() for task in self._streams)

    async def start_streams(self) -> None:
        """Starts streams at an even rate for the length of the run."""
        for number in range(round(self._options.seconds * self._options.streams_per_s)):
            stream = self._create_stream(plan_stream(self._options.seed, number))
            self._streams[asyncio.create_task(self._run_and_check(stream))] = stream
            await asyncio.sleep(1 / self._options.streams_per_s)

    async def _run_and_check(self, stream: OneStream) -> None:
        try:
            await stream.run()
            # However long that takes: while faults go on, Redis may be away most of the time.
            await stream.look_up()
        except asyncio.CancelledError:
            # The time is up. The checker reports the stream as unfinished. It does the same if the stream cannot be
            # looked up in time: an error here would hide all other findings.
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_UP_LIMIT_S):
                    await stream.look_up()
            raise
        finally:
            self._check(stream.record)

    def _check(self, record: StreamRecord) -> None:
        self.known |= record.ids
        record.is_on_group = self._options.topology is not TopologyName.ONE
        self._tally.count(record)
        if record.is_chain:
            allowed = paying_attempts(record.log, may_lose_tail=record.is_on_group)
            self.attempts |= {step_of(record.user, name): count for name, count in allowed.items()}
        self.example_attempts += record.paying
        self._tally.findings += check_stream(record)

    async def settle(self) -> None:
        """Waits until all streams have ended, and cancels the rest after the limit. Raises: any error of a stream's
        task."""
        _, late = await asyncio.wait(self._streams, timeout=SETTLE_LIMIT_S)
        for task in late:
            task.cancel()
        results = await asyncio.gather(*self._streams, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
