"""`python -m bench.costs`: measures what single steps cost, and checks the sums of `manycast size` with two real runs.

Each run starts the whole stack, and reads the CPU time and the memory of every part. A cost is the difference between
two runs that differ in one thing, divided by how often it happened: the cost of a chunk is that of 100 runs
with 200 chunks less that of 100 runs with one.
"""

import argparse
import asyncio
import json
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

import uvloop

from bench.program import SERVER_CORE, BenchError, Program
from bench.servers import start_gateway
from manycast.capacity.costs import MEASURED, Costs, Load, Usage, predict_cpu
from manycast.local_stack.broker import find_binary
from manycast.local_stack.port import free_port

HOST = "127.0.0.1"
DEADLINE_S = 60.0
DONE = b"event: done"
FRAME_EVENTS = 2
"""Besides its chunks, a stream has `start` and `done`."""
JOINS = 1_000


@dataclass(frozen=True, slots=True)
class Runs:
    """So many runs at once, each with `viewers`."""

    streams: int
    viewers: int
    chunks: int
    chunks_per_s: float


ONE_CHUNK = Runs(300, 0, 1, 20)
UNWATCHED = Runs(200, 0, 200, 50)
WATCHED_ONCE = Runs(200, 1, 200, 50)
WATCHED_BY_FIVE = Runs(200, 5, 200, 50)
QUIET = Runs(1, 0, 10, 0.25)
CHECKS = (Runs(100, 6, 320, 50), Runs(400, 2, 200, 25))


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU in microseconds from the first submit to the last end; growth of memory since before it."""

    gateway_us: float
    worker_us: float
    redis_us: float
    gateway_base: float
    gateway_growth: float
    worker_base: float
    worker_growth: float
    redis_growth: float
    wire_bytes: float
    wall_s: float


class Viewer(asyncio.Protocol):
    """Reads a stream, and counts its bytes. `started`: it has got something. `ended`: it has got `done`."""

    def __init__(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        self.started, self.ended = loop.create_future(), loop.create_future()
        self.received = 0
        self._request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the same methods but do not inherit from asyncio.Transport.
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        text = self._tail + data
        self._tail = text[-len(DONE) :]
        if b"\n\n" in data and not self.started.done():
            self.started.set_result(None)
        if DONE in text and not self.ended.done():
            self.ended.set_result(None)


class Parts:
    """The whole stack, on free ports: the services on one core, Redis, provider and viewers on the other."""

    def __init__(self, stack: ExitStack, streams: int) -> None:
        directory = stack.enter_context(TemporaryDirectory(prefix="mc-costs-"))
        self._redis_port, provider_port = free_port(), free_port()
        options = ["--bind", HOST, "--dir", directory, "--save", "", "--appendonly", "yes"]
        self.redis = stack.enter_context(Program([str(find_binary()), "--port", str(self._redis_port), *options]))
        self.redis.wait_for(self._redis_port)
        limits = dict.fromkeys(("RUNS_AT_ONCE", "REQUESTS_PER_MINUTE", "ADDRESS_CONNECTION_LIMIT"), "0")
        settings = {f"MANYCAST_{name}": value for name, value in limits.items()}
        settings["MANYCAST_LINGER_S"] = "60"
        self.gateway, self.port = start_gateway(stack, self._redis_port, core=SERVER_CORE, **settings)
        provider = stack.enter_context(Program([sys.executable, "-m", "bench.provider", str(provider_port)]))
        provider.wait_for(provider_port)
        environment = {
            "REDIS_URL": f"redis://{HOST}:{self._redis_port}/0",
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": f"http://{HOST}:{provider_port}/v1",
            "MANYCAST_WORKER_STREAMS": str(streams),
            "MANYCAST_LOG_LEVEL": "warning",
        }
        argv = [sys.executable, "-m", "worker"]
        self.worker = stack.enter_context(Program(argv, core=SERVER_CORE, environment=environment))
        self._wait_until_ready()

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}{path}"

    def cpu_us(self) -> tuple[float, float, float]:
        return self.gateway.cpu_us, self.worker.cpu_us, self.redis.cpu_us

    def redis_bytes(self) -> float:
        """What Redis uses for data and connections."""
        with socket.create_connection((HOST, self._redis_port)) as line:
            line.sendall(b"INFO memory\r\n")
            text = line.recv(1 << 16).decode()
        return float(dict(one.split(":", 1) for one in text.split() if ":" in one)["used_memory"])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            try:
                with urlopen(self.url("/readyz"), timeout=5):
                    return
            except OSError:
                time.sleep(0.05)
        raise BenchError("the stack did not become ready")


def measure_runs(plan: Runs) -> Measured:
    """Raises: BenchError, TimeoutError."""
    with ExitStack() as stack:
        return uvloop.run(_measure_runs(Parts(stack, plan.streams), plan))


async def _measure_runs(parts: Parts, plan: Runs) -> Measured:
    gateway_base, worker_base, redis_base = pss(parts.gateway), pss(parts.worker), parts.redis_bytes()
    before, began_at = parts.cpu_us(), time.monotonic()
    ids = await _submit(parts, plan)
    viewers = [await _join(parts, one) for one in ids for _ in range(plan.viewers)]
    await asyncio.sleep(plan.chunks / plan.chunks_per_s / 2)
    worker_growth = pss(parts.worker) - worker_base
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*(viewer.ended for viewer in viewers))
        while not all([await _has_ended(parts, one) for one in ids[-8:]]):  # noqa: ASYNC110 -- the API has no other way
            await asyncio.sleep(0.2)
    gateway_us, worker_us, redis_us = (now - then for now, then in zip(parts.cpu_us(), before, strict=True))
    events = len(viewers) * (plan.chunks + FRAME_EVENTS)
    wall_s = time.monotonic() - began_at
    result = Measured(
        gateway_us,
        worker_us,
        redis_us,
        gateway_base,
        pss(parts.gateway) - gateway_base,
        worker_base,
        worker_growth,
        parts.redis_bytes() - redis_base,
        sum(viewer.received for viewer in viewers) / max(1, events),
        wall_s,
    )
    for viewer in viewers:
        viewer.transport.abort()
    return result


def measure_joins() -> tuple[float, float]:
    """Microseconds of a gateway's CPU and bytes of its memory for each of the viewers of a stream that waits."""
    with ExitStack() as stack:
        return uvloop.run(_measure_joins(Parts(stack, 1)))


async def _measure_joins(parts: Parts) -> tuple[float, float]:
    (stream_id,) = await _submit(parts, QUIET)
    first = await _join(parts, stream_id)
    await first.started
    before_us, before = parts.gateway.cpu_us, pss(parts.gateway)
    viewers = [await _join(parts, stream_id) for _ in range(JOINS)]
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*(viewer.started for viewer in viewers))
    result = (parts.gateway.cpu_us - before_us) / JOINS, (pss(parts.gateway) - before) / JOINS
    for viewer in (first, *viewers):
        viewer.transport.abort()
    return result


async def _submit(parts: Parts, plan: Runs) -> list[str]:
    """Posts all runs on one connection, one after the other. Returns their ids."""
    options = {"chunks": plan.chunks, "chunks_per_s": plan.chunks_per_s}
    body = json.dumps({"model": "bench", "messages": [{"role": "user", "content": "?"}], "bench": options}).encode()
    head = f"POST /v1/streams HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    reader, writer = await asyncio.open_connection(HOST, parts.port)
    ids = []
    for _ in range(plan.streams):
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer_head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer_head.partition("content-length:")[2].split()[0])
        answer = json.loads(await reader.readexactly(length))
        if "id" not in answer:
            raise BenchError(f"a run was refused: {answer}")
        ids.append(answer["id"])
    writer.close()
    return ids


async def _join(parts: Parts, stream_id: str) -> Viewer:
    loop = asyncio.get_running_loop()
    path = f"/v1/streams/{stream_id}/events"
    _, viewer = await loop.create_connection(lambda: Viewer(path), HOST, parts.port)
    return viewer


async def _has_ended(parts: Parts, stream_id: str) -> bool:
    def ask() -> bool:
        with urlopen(Request(parts.url(f"/v1/streams/{stream_id}")), timeout=DEADLINE_S) as answer:
            return bool(json.load(answer)["status"] == "completed")

    return await asyncio.to_thread(ask)


def pss(program: Program) -> float:
    """The proportional memory of a process and its children, in bytes."""
    total = 0
    for pid in program.pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(text.partition("\nPss:")[2].split()[0]) << 10
    return float(total)


def measure_costs() -> Costs:
    """One measurement of every cost. Raises: BenchError, TimeoutError."""
    one_chunk, unwatched = measure_runs(ONE_CHUNK), measure_runs(UNWATCHED)
    once, by_five = measure_runs(WATCHED_ONCE), measure_runs(WATCHED_BY_FIVE)
    join_us, viewer_bytes = measure_joins()
    streams, chunks = UNWATCHED.streams, UNWATCHED.streams * (UNWATCHED.chunks - 1)
    events = UNWATCHED.streams * (UNWATCHED.chunks + FRAME_EVENTS)
    share = streams / ONE_CHUNK.streams
    more_viewers = streams * (WATCHED_BY_FIVE.viewers - WATCHED_ONCE.viewers)
    viewer_event_us = (by_five.gateway_us - once.gateway_us - more_viewers * join_us) / (events * 4)
    worker_chunk_us = (unwatched.worker_us - one_chunk.worker_us * share) / chunks
    redis_chunk_us = (unwatched.redis_us - one_chunk.redis_us * share) / chunks
    redis_chunk_bytes = (unwatched.redis_growth - one_chunk.redis_growth * share) / chunks
    return Costs(
        gateway_event_us=(once.gateway_us - unwatched.gateway_us - streams * join_us) / events - viewer_event_us,
        gateway_viewer_event_us=viewer_event_us,
        gateway_join_us=join_us,
        gateway_run_us=one_chunk.gateway_us / ONE_CHUNK.streams,
        worker_chunk_us=worker_chunk_us,
        worker_run_us=one_chunk.worker_us / ONE_CHUNK.streams - worker_chunk_us,
        redis_chunk_us=redis_chunk_us,
        redis_receiver_us=(once.redis_us - unwatched.redis_us) / events,
        redis_run_us=one_chunk.redis_us / ONE_CHUNK.streams - redis_chunk_us,
        gateway_viewer_bytes=viewer_bytes,
        gateway_event_bytes=(once.gateway_growth - unwatched.gateway_growth - streams * viewer_bytes) / events,
        gateway_base_bytes=unwatched.gateway_base,
        worker_run_bytes=unwatched.worker_growth / streams,
        worker_base_bytes=unwatched.worker_base,
        redis_run_bytes=one_chunk.redis_growth / ONE_CHUNK.streams - redis_chunk_bytes,
        redis_chunk_bytes=redis_chunk_bytes,
        event_wire_bytes=once.wire_bytes,
    )


def compare(costs: Costs, plan: Runs) -> list[str]:
    """A line for each part: what the sums predict for a real run, and what it used."""
    used = measure_runs(plan)
    load = Load(
        streams=plan.streams,
        viewers=plan.streams * plan.viewers,
        chunks_per_s=(plan.chunks + FRAME_EVENTS) / used.wall_s,
        runs_per_s=plan.streams / used.wall_s,
        joins_per_s=plan.streams * plan.viewers / used.wall_s,
        watching_gateways=1,
    )
    predicted = predict_cpu(load, costs)
    measured = Usage(used.gateway_us / used.wall_s, used.worker_us / used.wall_s, used.redis_us / used.wall_s)
    title = f"{plan.streams} streams, {plan.viewers} viewers each, {plan.chunks_per_s:g} chunks/s"
    return [
        f"| {title} | {part.name.removesuffix('_us')} | {ours / 1e6:.2f} | {real / 1e6:.2f} | {ours / real - 1:+.0%} |"
        for part, ours, real in (
            (part, getattr(predicted, part.name), getattr(measured, part.name)) for part in fields(Usage)
        )
    ]


def median_costs(all_costs: Sequence[Costs]) -> Costs:
    """The median of each cost."""
    tables = [asdict(costs) for costs in all_costs]
    return Costs(**{name: median(table[name] for table in tables) for name in tables[0]})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.costs", description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=1, help="how often to measure every cost; prints medians")
    options = parser.parse_args()
    costs = median_costs([measure_costs() for _ in range(options.repeat)])
    print("| cost | measured here | manycast size uses |\n|---|---|---|")
    for name, value in asdict(costs).items():
        print(f"| `{name}` | {value:,.1f} | {getattr(MEASURED, name):,.1f} |")
    print("\n| run | part | cores predicted from these costs | cores measured | deviation |\n|---|---|---|---|---|")
    for plan in CHECKS:
        print(*compare(costs, plan), sep="\n")


if __name__ == "__main__":
    try:
        main()
    except (BenchError, TimeoutError) as error:
        sys.exit(f"bench: {error}")
