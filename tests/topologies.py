"""Redis as operators run it: a real Redis Cluster and a real Sentinel group on free ports, each in a few seconds."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from manycast.chaos.redis_cluster import RedisCluster
from manycast.chaos.sentinel_group import SentinelGroup
from tests.broker import redis_binary, valkey_binary


@contextlib.contextmanager
def redis_cluster(password: str | None = None, server: str | None = None) -> Iterator[RedisCluster]:
    """Three primaries with a replica each. `server`: the program, the machine's Redis by default, else Valkey."""
    with _directory() as directory:
        cluster = RedisCluster(_program(server), directory, password)
        with _running(cluster):
            yield cluster


@contextlib.contextmanager
def sentinel_group(
    password: str | None = None, sentinel_password: str | None = None, server: str | None = None
) -> Iterator[SentinelGroup]:
    """A primary, a replica and three sentinels. `server`: the program, the machine's Redis by default, else Valkey."""
    with _directory() as directory:
        group = SentinelGroup(_program(server), directory, password, sentinel_password)
        with _running(group):
            yield group


@contextlib.contextmanager
def _running(topology: RedisCluster | SentinelGroup) -> Iterator[None]:
    try:
        topology.start_processes()
        topology.form()
        yield
    finally:
        # pytest shows it where a test failed.
        print(topology.logs)
        topology.close()


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="mc-topology-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _program(server: str | None) -> Path:
    return Path(server or redis_binary() or valkey_binary())
