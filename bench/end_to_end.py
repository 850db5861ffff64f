"""Measures the path from provider to viewer: the latency of a chunk, and the CPU that worker and Redis spend on it."""

import asyncio
import json
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import quantiles

from bench.program import OTHER_CORE, SERVER_CORE, BenchError, Program
from bench.servers import RETENTION_MS, start_broker, start_gateway
from contract.connection import Client, call_redis, command_client
from contract.job_queue import JobQueue, Policy, Submission
from contract.run_record import read_run
from manycast.local_stack.port import free_port

STREAM = "manycast-bench-end-to-end-%i"
DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`streams` runs that start at the same time. The second of two `workers` shares its core with all other parts."""

    title: str
    streams: int
    chunks: int
    chunks_per_s: float
    workers: int = 1


END_TO_END_PLANS = {
    "end-to-end": Plan("one run, 50 chunks/s", 1, 250, 50),
    "small-workshop": Plan("100 runs in one worker, 50 chunks/s each", 100, 400, 50),
    "two-workshops": Plan("100 runs in each of two workers, 50 chunks/s each", 200, 400, 50, workers=2),
    "workshop": Plan("200 runs in one worker, 50 chunks/s each", 200, 400, 50),
    "factory": Plan("1,000 runs in one worker, 20 chunks/s each", 1000, 200, 20),
}


@dataclass(frozen=True, slots=True)
class EndToEndResult:
    """`bytes_ratio`: the memory that Redis uses for an event, divided by the size of the event."""

    worker_us_per_chunk: float
    redis_us_per_chunk: float
    wall_s: float
    bytes_ratio: float
    p50_ms: float
    p99_ms: float


class Environment:
    """The running parts, on free ports. Each worker runs `streams` at once."""

    def __init__(self, stack: ExitStack, workers: int, streams: int) -> None:
        self.broker, broker_port = start_broker(stack)
        self.url = f"redis://127.0.0.1:{broker_port}/0"
        _, self.gateway_port = start_gateway(stack, broker_port, core=OTHER_CORE)
        self.provider_port = free_port()
        provider = stack.enter_context(Program([sys.executable, "-m", "bench.provider", str(self.provider_port)]))
        provider.wait_for(self.provider_port)
        worker_environment = {
            "REDIS_URL": self.url,
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.provider_port}/v1",
            "MANYCAST_WORKER_STREAMS": str(streams),
            "MANYCAST_LOG_LEVEL": "warning",
        }
        argv = [sys.executable, "-m", "worker"]
        self._workers = [
            stack.enter_context(Program(argv, core=core, environment=worker_environment))
            for core in (SERVER_CORE, OTHER_CORE)[:workers]
        ]

    @property
    def worker_us(self) -> float:
        return sum(worker.cpu_us for worker in self._workers)


def measure_end_to_end(plan: Plan) -> EndToEndResult:
    """Measures `plan`. One viewer watches the first run. Raises: BenchError."""
    with ExitStack() as stack:
        return asyncio.run(_measure(Environment(stack, plan.workers, plan.streams // plan.workers), plan))


async def _measure(environment: Environment, plan: Plan) -> EndToEndResult:
    client = command_client(environment.url)
    try:
        await wait_for_workers(client, plan.workers)
        worker_us, redis_us, began_at = environment.worker_us, environment.broker.cpu_us, time.monotonic()
        queue = JobQueue(client, RETENTION_MS)
        await _submit(queue, plan, range(1))
        # The viewer must be there before the other runs begin: it would wait for this process to submit them all.
        watching = asyncio.create_task(_watch(environment.gateway_port, STREAM.replace("%i", "0")))
        await _submit(queue, plan, range(1, plan.streams))
        latencies_ms = await watching
        while await call_redis(client, "XLEN", client.key_space.queue_of(STREAM).jobs):
            if time.monotonic() - began_at > DEADLINE_S:
                raise BenchError("the runs did not end in time")
            await asyncio.sleep(0.05)
        wall_s, chunks = time.monotonic() - began_at, plan.streams * plan.chunks
        worker_us, redis_us = environment.worker_us - worker_us, environment.broker.cpu_us - redis_us
        await _check(client, plan)
        cuts = quantiles(latencies_ms, n=100)
        return EndToEndResult(
            worker_us / chunks, redis_us / chunks, wall_s, await _bytes_ratio(client), cuts[49], cuts[98]
        )
    finally:
        await client.aclose()


async def _submit(queue: JobQueue, plan: Plan, numbers: range) -> None:
    options = {"chunks": plan.chunks, "chunks_per_s": plan.chunks_per_s}
    request = json.dumps({"model": "bench", "messages": [], "bench": options}).encode()
    for number in numbers:
        stream_id = STREAM.replace("%i", str(number))
        await queue.submit(Submission(stream_id, request, "bench", Policy(), ""), plan.streams)


async def wait_for_workers(client: Client, number: int = 1) -> None:
    """Raises: BenchError."""
    deadline = time.monotonic() + DEADLINE_S
    while await call_redis(client, "ZCARD", client.key_space.workers) < number:
        if time.monotonic() > deadline:
            raise BenchError("a worker did not start in time")
        await asyncio.sleep(0.05)


async def _watch(port: int, stream_id: str) -> list[float]:
    """Returns for each chunk the milliseconds from the provider's write to the viewer's read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /v1/streams/{stream_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    latencies_ms = []
    mark = b'"content":"'
    while line := await reader.readline():
        now = time.monotonic_ns()
        if mark in line:
            sent = int(line.partition(mark)[2].partition(b'"')[0])
            latencies_ms.append((now - sent) / 1e6)
    writer.close()
    return latencies_ms


async def _check(client: Client, plan: Plan) -> None:
    for number in range(plan.streams):
        record = await read_run(client, STREAM.replace("%i", str(number)))
        # Besides the chunks, the log contains `start` and `done`.
        if record is None or record.status != "completed" or record.last.seq != plan.chunks + 2:
            raise BenchError(f"run {number} is {record and record.status} at {record and record.last}")


async def _bytes_ratio(client: Client) -> float:
    log = client.key_space.stream(STREAM.replace("%i", "0")).log
    kept = await call_redis(client, "MEMORY", "USAGE", log, "SAMPLES", "0")
    entries = await call_redis(client, "XRANGE", log, "-", "+")
    payload: int = sum(len(fields[b"e"]) for _, fields in entries)
    return float(kept / payload)
