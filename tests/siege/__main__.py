"""`make siege`: attacks servers of its own on the loopback, and prints what that costs them and others.

Each attack has a bound in count and time. A victim, who has another address and key, asks for `/healthz` all the time,
or starts runs; its longest wait is printed. To compare two checkouts, run it in the newer one and name the older one:

    make siege                      # this checkout
    make siege TREE=../older        # the same attacks on the servers of another checkout, with the packages of this one
"""

import argparse
import asyncio
import contextlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from manycast.local_stack.port import free_port
from tests.broker import Broker, valkey_binary
from tests.stack import ROOT, Process, wait_for_http

ATTACK_S = 20.0
"""How long each attack lasts at most, after its preparation."""
WAIT_S = 30.0
"""A victim does not wait longer for one answer."""
VICTIM = "127.0.0.2"
HUGE = {"model": "fault-huge", "messages": [{"role": "user", "content": "x"}]}
SMALL = {"model": "demo-fast", "messages": [{"role": "user", "content": "x"}]}


@dataclass(frozen=True)
class Result:
    """Memory of the process that is attacked, in MB, and the longest wait of the victim, in seconds; `refused`: how
    often it got an error, or nothing."""

    before_mb: float
    peak_mb: float
    waited_s: float
    refused: int
    asked: int


class Target:
    """The servers of one checkout: Valkey with little memory, a simulator, a worker and a gateway with two keys."""

    def __init__(self, tree: Path, open_files: int | None = None) -> None:
        self._opened = ExitStack()
        try:
            self._start(tree, open_files)
        except BaseException:
            self._opened.close()
            raise

    def _start(self, tree: Path, open_files: int | None) -> None:
        enter = self._opened.enter_context
        folder = Path(enter(tempfile.TemporaryDirectory(prefix="mc-siege-")))
        self.broker = enter(closing(Broker(valkey_binary())))
        simulator = self._start_part(tree, "simulator", SIMULATOR_PORT=str(port := free_port()))
        wait_for_http(simulator, f"http://127.0.0.1:{port}/healthz")
        provider = {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": "simulator"}
        self._start_part(tree, "worker", REDIS_URL=self.broker.url, MANYCAST_WORKER_STREAMS="8", **provider)
        keys = folder / "keys"
        self.attacker, self.victim = (self._create_key(tree, keys, name) for name in ("attacker", "victim"))
        settings = {"MANYCAST_KEYS_FILE": str(keys), "MANYCAST_PORT": str(port := free_port())}
        settings |= {"REDIS_URL": self.broker.url}
        with _soft_limit_of_files(open_files):
            self.gateway = self._start_part(tree, "gateway", **settings)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        wait_for_http(self.gateway, f"{self.url}/healthz")

    def _start_part(self, tree: Path, name: str, **environment: str) -> Process:
        command = [sys.executable, "-m", name]
        return self._opened.enter_context(closing(Process(name, command, tree, **environment)))

    def _create_key(self, tree: Path, file: Path, name: str) -> str:
        command = [sys.executable, "-m", "manycast", "key", "create", name, "--file", str(file)]
        with closing(Process("manycast", command, tree)) as created:
            assert created.wait() == 0, created.output
            return created.output.split()[-1]

    def close(self) -> None:
        self._opened.close()


@contextlib.contextmanager
def _soft_limit_of_files(count: int | None) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if count is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def memory_mb(pid: int) -> float:
    """Resident memory; 0 if the process has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


class Siege:
    """One attack: the victim's waits, and the memory of the process `pid`, while it lasts."""

    def __init__(self, target: Target, pid: int, ask: Callable[[], Awaitable[bool]]) -> None:
        self._target = target
        self._pid = pid
        self._ask = ask
        self._before_mb = self._peak_mb = memory_mb(pid)
        self._waited_s = 0.0
        self._asked = self._refused = 0

    async def run(self, attack: Awaitable[None]) -> Result:
        watching = [asyncio.create_task(self._watch_memory()), asyncio.create_task(self._be_the_victim())]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ATTACK_S):
                await attack
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        return Result(self._before_mb, self._peak_mb, self._waited_s, self._refused, self._asked)

    async def _watch_memory(self) -> None:
        while True:
            self._peak_mb = max(self._peak_mb, memory_mb(self._pid))
            await asyncio.sleep(0.02)

    async def _be_the_victim(self) -> None:
        while True:
            begun = time.monotonic()
            self._asked += 1
            try:
                self._refused += not await self._ask()
            except (httpx2.HTTPError, OSError):
                self._refused += 1
            finally:
                # Also if the attack ends while the victim waits.
                self._waited_s = max(self._waited_s, time.monotonic() - begun)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _client(target: Target, key: str, address: str = "127.0.0.1") -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.AsyncHTTPTransport(local_address=address, limits=httpx2.Limits(max_connections=None))
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=target.url, transport=transport, headers=headers, timeout=WAIT_S) as client:
        yield client


async def _is_healthy(http: httpx2.AsyncClient) -> bool:
    return (await http.get("/healthz", headers={"Connection": "close"})).status_code == 200


async def _may_start(http: httpx2.AsyncClient) -> bool:
    return (await http.post("/v1/streams", json=SMALL)).status_code == 201


async def _open_line(target: Target, request: bytes) -> asyncio.StreamWriter:
    """A client that sends a request and reads nothing: its receive buffer is small."""
    _, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=1 << 10)
    writer.write(request)
    return writer


async def pipelining(target: Target, size: float) -> Result:
    """20 connections, 6 MB of tiny pipelined requests in each, and no answer is read."""
    requests = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * round(140_000 * size)

    async def attack() -> None:
        lines = [await _open_line(target, requests) for _ in range(20)]
        await asyncio.gather(*(_drain(line) for line in lines))
        await asyncio.sleep(5 * size)

    async with _client(target, target.victim, VICTIM) as http:
        return await Siege(target, target.gateway.process.pid, lambda: _is_healthy(http)).run(attack())


async def _drain(line: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await line.drain()


async def completions(target: Target, size: float) -> Result:
    """40 clients ask for a completion of 15 MB, and six slow viewers watch each of four such answers."""
    async with _client(target, target.victim, VICTIM) as http, _client(target, target.victim) as preparing:
        chunks = max(1, round(15 * size))
        runs = [await _finished(preparing, {**HUGE, "simulator": {"chunks": chunks}}) for _ in range(4)]
        paths = [f"/v1/streams/{runs[0]}/completion"] * 40
        paths += [
            f"/v1/streams/{run}/events?dialect={dialect}"
            for run in runs
            for dialect in ("native", "openai", "text", "ui", "ui", "native")
        ]

        async def attack() -> None:
            head = "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            for path in paths:
                await _open_line(target, head.format(path).encode())
            await asyncio.sleep(15 * size)

        return await Siege(target, target.gateway.process.pid, lambda: _is_healthy(http)).run(attack())


async def _finished(http: httpx2.AsyncClient, body: dict[str, Any]) -> str:
    run: str = (await http.post("/v1/streams", json=body)).raise_for_status().json()["id"]
    async with asyncio.timeout(WAIT_S):
        while (await http.get(f"/v1/streams/{run}")).json()["status"] in ("queued", "running"):
            await asyncio.sleep(0.05)
    return run


async def redis_memory(target: Target, size: float) -> Result:
    """One key sends requests of 1 MB that the provider refuses, to a Redis with 128 MB; the victim starts runs."""
    await _configure(target.broker, "maxmemory", "128mb")
    body = {**SMALL, "model": "fault-401", "padding": "x" * (1 << 20)}
    content = json.dumps(body).encode()

    async with _client(target, target.victim, VICTIM) as http, _client(target, target.attacker) as attacker:

        async def attack() -> None:
            for _ in range(round(300 * size)):
                await attacker.post("/v1/streams", content=content)

        return await Siege(target, target.broker.pid, lambda: _may_start(http)).run(attack())


async def _configure(broker: Broker, name: str, value: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(f"CONFIG SET {name} {value}\r\n".encode())
    await reader.readline()
    writer.close()


async def connections(target: Target, size: float) -> Result:
    """1,100 silent connections from one address, to a gateway with a soft limit of 1,024 open files."""

    async def attack() -> None:
        lines = set()
        with contextlib.suppress(OSError):
            for _ in range(round(1_100 * size)):
                lines.add(await _open_line(target, b"GET /healthz HTTP/1.1\r\n"))
        await asyncio.sleep(5 * size)

    async with _client(target, target.victim, VICTIM) as http:
        return await Siege(target, target.gateway.process.pid, lambda: _is_healthy(http)).run(attack())


async def queue(target: Target, size: float) -> Result:
    """One key starts 1,120 runs at once; the victim waits for the end of a run of its own."""
    async with _client(target, target.victim, VICTIM) as http, _client(target, target.attacker) as attacker:

        async def attack() -> None:
            starts = (attacker.post("/v1/streams", json={**SMALL, "model": "demo"}) for _ in range(round(1_120 * size)))
            await asyncio.gather(*starts, return_exceptions=True)
            await asyncio.sleep(10 * size)

        async def has_ended() -> bool:
            run = (await http.post("/v1/streams", json=SMALL)).json()
            while "id" in run and (await http.get(f"/v1/streams/{run['id']}")).json()["status"] != "completed":
                await asyncio.sleep(0.05)
            return "id" in run

        return await Siege(target, target.gateway.process.pid, has_ended).run(attack())


ATTACKS: dict[str, Callable[[Target, float], Coroutine[Any, Any, Result]]] = {
    "pipelining": pipelining,
    "completions": completions,
    "redis-memory": redis_memory,
    "connections": connections,
    "queue": queue,
}
SOFT_LIMITS = {"connections": 1_024}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="siege", description="Attacks servers of its own on this machine.")
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"default: all: {', '.join(ATTACKS)}")
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout whose servers are attacked")
    parser.add_argument("--size", type=float, default=1.0, help="a part of each attack, such as 0.1")
    options = parser.parse_args(arguments)
    if unknown := set(options.attacks) - ATTACKS.keys():
        parser.error(f"there is no attack {', '.join(sorted(unknown))}")
    print(f"{'attack':14}{'MB before':>11}{'MB at most':>12}{'others waited':>15}{'others refused':>16}")
    for name in options.attacks or ATTACKS:
        with closing(Target(options.tree.resolve(), SOFT_LIMITS.get(name))) as target:
            found = asyncio.run(ATTACKS[name](target, options.size))
        told = f"{found.refused} of {found.asked}"
        print(f"{name:14}{found.before_mb:11.0f}{found.peak_mb:12.0f}{found.waited_s:13.2f} s{told:>16}", flush=True)


if __name__ == "__main__":
    main()
