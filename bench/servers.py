"""The servers to measure: how to start each one, connect to it and publish events. Each run starts new servers."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from getpass import getuser
from pathlib import Path
from urllib.request import urlopen

from bench.program import DEADLINE_S, HERE, OTHER_CORE, SERVER_CORE, BenchError, Program
from contract.connection import call_redis, command_client
from contract.job_queue import JobQueue, Policy, Submission
from contract.keys import KeySpace
from contract.scripts import load_script
from manycast.local_stack.broker import find_binary
from manycast.local_stack.port import free_port

STREAM = "manycast-bench-stream-%i"
RETENTION_MS = 3_600_000
NCHAN_MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"


@dataclass(frozen=True, slots=True)
class Target:
    """A running server. In `path` and `send`: %i is the stream, %n the event's number, %p the payload, %l its
    length."""

    port: int
    path: str
    publish: str
    publish_port: int
    send: str
    id_prefix: str | None = None
    programs: dict[str, Program] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """The arguments of the load driver for this server."""
        words = ["--port", str(self.port), "--path", self.path, "--publish", self.publish]
        words += ["--publish-port", str(self.publish_port), "--send", self.send]
        if self.id_prefix is not None:
            words += ["--id-prefix", self.id_prefix]
        for name, program in self.programs.items():
            words += ["--pids", f"{name}={','.join(map(str, program.pids))}"]
        return words


StartServer = Callable[[Path, int], AbstractContextManager[Target]]
"""(directory of the compiled programs, number of streams) -> a server that runs until the context ends."""


def start_broker(stack: ExitStack) -> tuple[Program, int]:
    """Starts a private Redis without persistence. Returns it and its port."""
    port = free_port()
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxclients", "20000"]
    # Every measured server uses the same Redis: the one that we ship.
    broker = stack.enter_context(Program([str(find_binary()), "--port", str(port), *options]))
    broker.wait_for(port)
    return broker, port


def start_gateway(
    stack: ExitStack, broker_port: int, *, core: int = SERVER_CORE, **settings: str
) -> tuple[Program, int]:
    """Starts the real gateway. Returns it and its port."""
    port = free_port()
    environment = {"REDIS_URL": f"redis://127.0.0.1:{broker_port}/0", "MANYCAST_PORT": str(port), **settings}
    gateway = stack.enter_context(Program([sys.executable, "-m", "gateway"], core=core, environment=environment))
    # It listens before it can answer.
    gateway.wait_for_answer(f"http://127.0.0.1:{port}/healthz")
    return gateway, port


@contextmanager
def manycast(_: Path, streams: int, protocol: str = "direct") -> Iterator[Target]:
    """Our gateway. The load driver publishes with the same Lua script as a worker."""
    with ExitStack() as stack:
        broker, broker_port = start_broker(stack)
        asyncio.run(_begin_runs(f"redis://127.0.0.1:{broker_port}/0", streams))
        gateway, port = start_gateway(stack, broker_port, MANYCAST_HTTP_PROTOCOL=protocol)
        keys = KeySpace().stream(STREAM)
        append = load_script("append").digest
        command = ("EVALSHA", append, "2", keys.log, keys.meta, keys.live, "1", "%n", str(RETENTION_MS), "chunk %p")
        path = f"/v1/streams/{STREAM}/events"
        programs = {"server": gateway, "redis": broker}
        yield Target(port, path, "redis", broker_port, "\t".join(command), "1-", programs)


async def _begin_runs(url: str, streams: int) -> None:
    """Prepares one run per stream: claimed by a worker, without events."""
    client = command_client(url)
    queue = JobQueue(client, RETENTION_MS)
    await queue.open()
    for number in range(streams):
        stream_id = STREAM.replace("%i", str(number))
        await queue.submit(Submission(stream_id, b"{}", "bench", Policy(), ""), streams)
    # One by one: the line holds one run of each caller at a time.
    for _ in range(streams):
        for job in await queue.take(client, "bench", 1, 1000):
            await queue.claim(job, "bench", 2, 10)
    await call_redis(client, "SCRIPT", "LOAD", load_script("append").text)
    await client.aclose()


@contextmanager
def nchan(_: Path, __: int) -> Iterator[Target]:
    """nginx with the nchan module of Debian, storing in Redis. Raises: BenchError if it is not installed."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None or not Path(NCHAN_MODULE).exists():
        raise BenchError("nchan is not installed. On Debian: apt install nginx libnginx-mod-nchan")
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="mc-nchan-"))
        broker, broker_port = start_broker(stack)
        port = free_port()
        text = (HERE / "nchan.conf").read_text()
        # Our own user, because we cannot read the memory use of another user's process.
        names = {"MODULE": NCHAN_MODULE, "USER": getuser(), "DIRECTORY": directory, "BROKER": broker_port, "PORT": port}
        for name, value in names.items():
            text = text.replace(f"@{name}@", str(value))
        configuration = Path(directory, "nginx.conf")
        configuration.write_text(text)
        server = stack.enter_context(
            Program([nginx, "-p", directory, "-e", "stderr", "-c", str(configuration)], core=SERVER_CORE)
        )
        server.wait_for(port)
        while len(server.pids) < 2:
            # nginx listens before it has started its worker process.
            time.sleep(0.02)
        _wait_for_store(port)
        head = "Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %l\r\n\r\n"
        send = f"POST /publish/{STREAM} HTTP/1.1\r\n{head}%p"
        yield Target(port, f"/watch/{STREAM}", "http", port, send, None, {"server": server, "redis": broker})


def _wait_for_store(port: int) -> None:
    """Waits until nchan accepts events: nginx listens before nchan has connected to Redis."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            with urlopen(f"http://127.0.0.1:{port}/publish/readiness", data=b"x", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise BenchError("nchan cannot connect to Redis")


@contextmanager
def step(_: Path, __: int, name: str) -> Iterator[Target]:
    """A server from bench/steps. It relays the Redis channel that is named like the stream."""
    with ExitStack() as stack:
        broker, broker_port = start_broker(stack)
        port = free_port()
        argv = [sys.executable, "-m", f"bench.steps.{name}", f"redis://127.0.0.1:{broker_port}/0", str(port)]
        server = stack.enter_context(Program(argv, core=SERVER_CORE))
        server.wait_for(port)
        programs = {"server": server, "redis": broker}
        yield Target(port, f"/{STREAM}", "redis", broker_port, f"PUBLISH\t{STREAM}\t%p", None, programs)


@contextmanager
def limit(directory: Path, _: int) -> Iterator[Target]:
    """A C program that only writes."""
    port, publish_port = free_port(), free_port()
    with Program([str(directory / "limit"), str(port), str(publish_port)], core=SERVER_CORE) as server:
        server.wait_for(publish_port)
        yield Target(port, "/%i", "tcp", publish_port, "%i %p\n", "1-", {"server": server})


SERVERS: dict[str, StartServer] = {
    "manycast": manycast,
    "sse": partial(manycast, protocol="httptools"),
    "nchan": nchan,
    "limit": limit,
    "cursors": partial(step, name="cursors"),
    "queues": partial(step, name="queues"),
    "naive": partial(step, name="naive"),
}


def load_command(directory: Path, target: Target, words: Sequence[str]) -> list[str]:
    """The command line of the load driver. It runs on a different core than the server."""
    return ["taskset", "-c", str(OTHER_CORE), str(directory / "load"), *target.arguments(), *words]
