"""Measures how long a caller waits for the first chunk, and what Manycast adds to a call of the official SDK."""

import asyncio
import http.client
import json
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import openai

from bench.end_to_end import Environment, wait_for_workers
from bench.program import Program
from contract.connection import command_client
from manycast.local_stack.port import free_port

CALLS = 100
WARM_UP = 10
LONG_CHUNKS = 2000
FAST = 1_000_000.0
"""Chunks a second: the provider does not pause."""
DEADLINE_S = 60.0
MESSAGES: Any = [{"role": "user", "content": "?"}]


@dataclass(frozen=True, slots=True)
class FirstChunkResult:
    """Milliseconds. `watched`: from sending `POST /v1/streams` to the first chunk at a viewer. `sdk`, `sdk_alone`: from
    the SDK's call to its first chunk, through Manycast and straight from the provider. `throughput`: the time of a long
    answer through Manycast, divided by its time straight from the provider."""

    watched_p50_ms: float
    watched_p99_ms: float
    sdk_p50_ms: float
    sdk_alone_p50_ms: float
    throughput: float


def measure_first_chunk() -> FirstChunkResult:
    """Raises: BenchError."""
    with ExitStack() as stack:
        return asyncio.run(_measure(Environment(stack, workers=1, streams=20)))


async def _measure(environment: Environment) -> FirstChunkResult:
    client = command_client(environment.url)
    await wait_for_workers(client)
    await client.aclose()
    watched_ms = [_watch(environment.gateway_port) for _ in range(WARM_UP + CALLS)][WARM_UP:]
    ports = (environment.gateway_port, environment.provider_port)
    through, alone = (
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0) for port in ports
    )
    # In turn, so that other work on this machine slows both.
    pairs = [(await _call(through, 1), await _call(alone, 1)) for _ in range(WARM_UP + CALLS)][WARM_UP:]
    long_pairs = [(await _call(through, LONG_CHUNKS), await _call(alone, LONG_CHUNKS)) for _ in range(3)]
    await through.close()
    await alone.close()
    return FirstChunkResult(
        watched_p50_ms=median(watched_ms),
        watched_p99_ms=quantiles(watched_ms, n=100)[98],
        sdk_p50_ms=median(ours.first_ms for ours, _ in pairs),
        sdk_alone_p50_ms=median(its.first_ms for _, its in pairs),
        throughput=median(ours.whole_ms / its.whole_ms for ours, its in long_pairs),
    )


def _body(chunks: int) -> dict[str, Any]:
    return {"model": "bench", "messages": MESSAGES, "bench": {"chunks": chunks, "chunks_per_s": FAST}}


def _watch(port: int) -> float:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    connection.request("POST", "/v1/streams", json.dumps(_body(1)), {"Content-Type": "application/json"})
    run: Mapping[str, Any] = json.loads(connection.getresponse().read())
    viewer = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    viewer.request("GET", run["urls"]["events"])
    response = viewer.getresponse()
    while response.readline() != b"event: chunk\n":
        pass
    waited = time.perf_counter() - began
    viewer.close()
    connection.close()
    return waited * 1000


@dataclass(frozen=True, slots=True)
class _Times:
    first_ms: float
    whole_ms: float


def measure_sdk_us_per_chunk() -> float:
    """What the official SDK itself spends on a chunk that it reads from the provider, in microseconds of CPU.

    Raises: BenchError.
    """
    port = free_port()
    with Program([sys.executable, "-m", "bench.provider", str(port)]) as provider:
        provider.wait_for(port)
        return asyncio.run(_read_with_sdk(port))


async def _read_with_sdk(port: int) -> float:
    client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    await _call(client, WARM_UP)
    before = time.process_time()
    await _call(client, LONG_CHUNKS)
    spent = time.process_time() - before
    await client.close()
    return spent * 1e6 / LONG_CHUNKS


async def _call(client: openai.AsyncOpenAI, chunks: int) -> _Times:
    began, first = time.perf_counter(), 0.0
    body = _body(chunks)
    stream = await client.chat.completions.create(
        model="bench", messages=MESSAGES, stream=True, extra_body={"bench": body["bench"]}
    )
    async for _ in stream:
        first = first or time.perf_counter()
    return _Times((first - began) * 1000, (time.perf_counter() - began) * 1000)
