"""The whole stack on this machine, each part a process on its own port.

Not `manycast up`, which takes care that its parts live.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from contract.connection import Client, call_redis, command_client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.keys import WORKERS
from manycast.chaos.process_slot import ProcessSlot
from manycast.local_stack.broker import find_binary
from manycast.local_stack.port import free_port

HOST = "127.0.0.1"
HOUSE = Path(__file__).resolve().parents[2]
RISE_LIMIT_S = 60.0
POLL_S = 0.05
RETENTION_S = 3_600
FOREIGN = ("MANYCAST_", "SIMULATOR_", "OPENAI_", "REDIS_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")

# Short, so that much happens in little time. All other settings have their defaults.
GATEWAY = {
    "MANYCAST_WATCHDOG_S": "1",
    "MANYCAST_PING_INTERVAL_S": "2",
    "MANYCAST_LINGER_S": "0.5",
    "MANYCAST_OPENING_TIMEOUT_S": "1.5",
    "MANYCAST_SEND_TIMEOUT_S": "3",
    "MANYCAST_DRAIN_RETRY_WINDOW_MS": "500",
    "MANYCAST_RETENTION_S": str(RETENTION_S),
}
# Gateways differ: one never checks quiet streams, which would repair a missed event late; one has a small replay buffer
# and reads old events from Redis; one gives each viewer a task.
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
    """The stack does not start. The sentence says where to look."""


class Environment:
    """The parts and their addresses. `client` is the checker's own connection to Redis, which suffers faults too."""

    def __init__(self, directory: Path, environ: Mapping[str, str], gateways: int, workers: int) -> None:
        kept = {name: value for name, value in environ.items() if not name.startswith(FOREIGN)}
        kept |= {"PYTHONPATH": str(HOUSE), "PYTHONUNBUFFERED": "1"}
        redis_port, provider_port = free_port(HOST), free_port(HOST)
        self.redis_url = f"redis://{HOST}:{redis_port}/0"
        self.provider_url = f"http://{HOST}:{provider_port}"
        self.redis = ProcessSlot("redis", _redis_command(directory, redis_port), kept, directory)
        answers_at = {"SIMULATOR_PORT": str(provider_port)}
        self.provider = ProcessSlot("simulator", _module("simulator"), kept | answers_at, directory)
        asks = {"OPENAI_BASE_URL": f"{self.provider_url}/v1", "OPENAI_API_KEY": "simulator"}
        ours = kept | {"REDIS_URL": self.redis_url}
        self.workers = [
            ProcessSlot(f"worker-{at}", _module("worker"), ours | WORKER | asks, directory) for at in range(workers)
        ]
        ports = [free_port(HOST) for _ in range(gateways)]
        self.gateway_urls = [f"http://{HOST}:{port}" for port in ports]
        self.gateways = [
            ProcessSlot(
                f"gateway-{at}",
                _module("gateway"),
                ours | GATEWAY | GATEWAY_KINDS[at % len(GATEWAY_KINDS)] | {"MANYCAST_PORT": str(port)},
                directory,
            )
            for at, port in enumerate(ports)
        ]
        self.client: Client = command_client(self.redis_url)

    @property
    def places(self) -> list[ProcessSlot]:
        """In the order in which they end, so that each can use its dependencies to the end."""
        return [*self.gateways, *self.workers, self.provider, self.redis]

    async def rise(self) -> None:
        """Raises: StartupError."""
        try:
            async with asyncio.timeout(RISE_LIMIT_S):
                for place in reversed(self.places):
                    await place.start()
                for url in (self.provider_url, *self.gateway_urls):
                    await _until_listening(url)
                await self._until_workers_live()
        except (TimeoutError, OSError) as error:
            raise StartupError(
                f"the stack does not stand after {RISE_LIMIT_S:g} s; see {self.redis.log_path.parent}"
            ) from error

    async def _until_workers_live(self) -> None:
        while True:
            with suppress(BrokerUnavailableError, BrokerRefusedError):
                if await call_redis(self.client, "ZCARD", WORKERS) == len(self.workers):
                    return
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def standing(stage: Environment) -> AsyncIterator[Environment]:
    """The running stack. No process is left afterwards. Raises: StartupError."""
    try:
        await stage.rise()
        yield stage
    finally:
        await stage.client.aclose()
        for place in stage.places:
            place.thaw()
            await place.kill()


def _redis_command(directory: Path, port: int) -> list[str]:
    # Confirmed writes are in the kernel, and a killed process loses none of them. With `everysec`, Redis delays writes
    # while the disk is slow, and a kill may lose confirmed ones; a crash of the machine always may.
    kept = ["--dir", str(directory), "--save", "", "--appendonly", "yes", "--appendfsync", "no"]
    return [str(find_binary()), "--port", str(port), "--bind", HOST, "--maxmemory-policy", "noeviction", *kept]


def _module(name: str) -> list[str]:
    # -P: do not import a worker.py from the current directory.
    return [sys.executable, "-P", "-m", name]


async def _until_listening(url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            return
        await asyncio.sleep(POLL_S)
