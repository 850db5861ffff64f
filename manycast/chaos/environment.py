"""Runs the whole stack on this machine. Each part is a process with its own port.

Unlike `manycast up`, it does not restart a part that a fault has stopped: the fault injector does.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from contract.connection import Client, call_redis, command_client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from manycast.chaos import chain_script
from manycast.chaos.examples import read_examples
from manycast.chaos.process_slot import ProcessSlot
from manycast.chaos.redis_cluster import RedisCluster
from manycast.chaos.redis_node import TopologyError
from manycast.chaos.schedule import TopologyName
from manycast.chaos.sentinel_group import SentinelGroup
from manycast.local_stack.broker import find_binary
from manycast.local_stack.port import free_port

HOST = "127.0.0.1"
PROJECT_ROOT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 60.0
POLL_S = 0.05
RETENTION_S = 3_600
REMOVED_PREFIXES = (
    "MANYCAST_",
    "SIMULATOR_",
    "OPENAI_",
    "REDIS_URL",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
)

# Short times, so that a short run exercises every timeout. All other settings keep their defaults.
GATEWAY = {
    "MANYCAST_WATCHDOG_S": "1",
    "MANYCAST_PING_INTERVAL_S": "2",
    "MANYCAST_LINGER_S": "0.5",
    "MANYCAST_OPENING_TIMEOUT_S": "1.5",
    "MANYCAST_SEND_TIMEOUT_S": "3",
    "MANYCAST_DRAIN_RETRY_WINDOW_MS": "500",
    "MANYCAST_RETENTION_S": str(RETENTION_S),
}
# The gateways differ. The first never checks quiet streams: the check would hide a missed event by repairing it. The
# second has a small replay buffer, so it reads old events from Redis. The third runs one task per viewer.
GATEWAY_KINDS: tuple[dict[str, str], ...] = (
    {"MANYCAST_PING_INTERVAL_S": "3600"},
    {"MANYCAST_TAPE_LIMIT_BYTES": "8000"},
    {"MANYCAST_HTTP_PROTOCOL": "httptools"},
)
WORKER = {
    "MANYCAST_LEASE_S": "2",
    "MANYCAST_ATTEMPTS": "3",
    "MANYCAST_GRACE_S": "2",
    "MANYCAST_FIRST_CHUNK_TIMEOUT_S": "3",
    "MANYCAST_CHUNK_TIMEOUT_S": "3",
    "MANYCAST_PROVIDER_RETRIES": "1",
    "MANYCAST_DEFAULT_MODEL": "demo",
    "MANYCAST_RETENTION_S": str(RETENTION_S),
}


class StartupError(Exception):
    """The stack did not start. The message names the directory of the logs."""


class Environment:
    """All parts and their addresses. `client` is the chaos run's own connection to Redis; faults break it too.

    `redis` is the process of a single Redis; otherwise there is a `group` of servers.
    """

    def __init__(
        self,
        directory: Path,
        environ: Mapping[str, str],
        gateways: int,
        workers: int,
        topology: TopologyName = TopologyName.ONE,
    ) -> None:
        self._directory = directory
        kept = {name: value for name, value in environ.items() if not name.startswith(REMOVED_PREFIXES)}
        kept |= {"PYTHONPATH": str(PROJECT_ROOT), "PYTHONUNBUFFERED": "1"}
        provider_port = free_port(HOST)
        self.provider_url = f"http://{HOST}:{provider_port}"
        self.redis: ProcessSlot | None = None
        self.group: RedisCluster | SentinelGroup | None = None
        match topology:
            case TopologyName.ONE:
                redis_port = free_port(HOST)
                self.redis = ProcessSlot("redis", _redis_command(directory, redis_port), kept, directory)
                self.redis_url = f"redis://{HOST}:{redis_port}/0"
            case TopologyName.SENTINEL:
                self.group = SentinelGroup(find_binary(), directory, min_replicas=1)
                self.redis_url = self.group.url
            case TopologyName.CLUSTER:
                self.group = RedisCluster(find_binary(), directory, min_replicas=1)
                self.redis_url = self.group.url
        self.bill_path = directory / "bill.jsonl"
        simulator = kept | {"SIMULATOR_PORT": str(provider_port), "SIMULATOR_BILL_FILE": str(self.bill_path)}
        self.provider = ProcessSlot("simulator", _module("simulator"), simulator, directory)
        provider_settings = {"OPENAI_BASE_URL": f"{self.provider_url}/v1", "OPENAI_API_KEY": "simulator"}
        with_redis = kept | {"REDIS_URL": self.redis_url}
        scripts = {"MANYCAST_SCRIPTS": str(_write_scripts(directory / "scripts"))}
        self.workers = [
            ProcessSlot(f"worker-{at}", _module("worker"), with_redis | WORKER | scripts | provider_settings, directory)
            for at in range(workers)
        ]
        ports = [free_port(HOST) for _ in range(gateways)]
        self.gateway_urls = [f"http://{HOST}:{port}" for port in ports]
        self.gateways = [
            ProcessSlot(
                f"gateway-{at}",
                _module("gateway"),
                with_redis | GATEWAY | GATEWAY_KINDS[at % len(GATEWAY_KINDS)] | {"MANYCAST_PORT": str(port)},
                directory,
            )
            for at, port in enumerate(ports)
        ]
        self.client: Client = command_client(self.redis_url)

    @property
    def slots(self) -> list[ProcessSlot]:
        """In the order in which they stop: each part stops before the parts that it depends on."""
        return [*self.gateways, *self.workers, self.provider, *([self.redis] if self.redis else [])]

    async def start(self) -> None:
        """Starts all parts and waits until they accept work. Raises: StartupError."""
        try:
            async with asyncio.timeout(START_LIMIT_S):
                if self.group is not None:
                    # In the main thread: a node dies with the thread that started it.
                    self.group.start_processes()
                    await asyncio.to_thread(self.group.form)
                for slot in reversed(self.slots):
                    await slot.start()
                for url in (self.provider_url, *self.gateway_urls):
                    await _wait_until_listening(url)
                await self._wait_for_workers()
        except (TimeoutError, OSError, TopologyError) as error:
            raise StartupError(
                f"the stack was not ready after {START_LIMIT_S:g} s; its logs are in {self._directory}"
            ) from error

    async def _wait_for_workers(self) -> None:
        while True:
            with suppress(BrokerUnavailableError, BrokerRefusedError):
                if await call_redis(self.client, "ZCARD", self.client.key_space.workers) == len(self.workers):
                    return
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def running(environment: Environment) -> AsyncIterator[Environment]:
    """Starts the stack and kills all its processes at exit. Raises: StartupError."""
    try:
        await environment.start()
        yield environment
    finally:
        await environment.client.aclose()
        for slot in environment.slots:
            slot.resume()
            await slot.kill()
        if environment.group is not None:
            environment.group.end()


def _write_scripts(folder: Path) -> Path:
    """The scripts of the load: the chain, and the examples of the documentation."""
    folder.mkdir()
    (folder / "chain.py").write_text(f"from {chain_script.__name__} import chain\n")
    for name, source in read_examples().items():
        (folder / f"{name}.py").write_text(source)
    return folder


def _redis_command(directory: Path, port: int) -> list[str]:
    # With `no`, a confirmed write is in the kernel, and killing Redis does not lose it. With `everysec`, Redis delays
    # writes while the disk is slow, and a kill can lose confirmed writes.
    storage = ["--dir", str(directory), "--save", "", "--appendonly", "yes", "--appendfsync", "no"]
    return [str(find_binary()), "--port", str(port), "--bind", HOST, "--maxmemory-policy", "noeviction", *storage]


def _module(name: str) -> list[str]:
    # -P: do not import a worker.py from the current directory.
    return [sys.executable, "-P", "-m", name]


async def _wait_until_listening(url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            return
        await asyncio.sleep(POLL_S)
