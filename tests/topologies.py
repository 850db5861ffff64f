"""Redis as operators run it: a real Redis Cluster and a real Sentinel group on free ports, each in a few seconds."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from manycast.chaos.redis_cluster import RedisCluster
from manycast.chaos.sentinel_group import SentinelGroup
from tests.broker import Broker, redis_binary, valkey_binary


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


class TopologyBroker(Broker):
    """A whole topology in place of a single server. A test that stops, freezes or asks the one server is skipped."""

    def __init__(self, kind: str) -> None:
        self._stack = contextlib.ExitStack()
        if kind == "sentinel":
            self.url = self._stack.enter_context(sentinel_group()).url
        else:
            self.url = self._stack.enter_context(redis_cluster()).url

    def __getattr__(self, name: str) -> NoReturn:
        pytest.skip(f"it needs the {name} of a single server")

    @property
    def pid(self) -> int:
        pytest.skip("it needs a single server")

    def start(self) -> None:
        pytest.skip("it needs a single server")

    empty = stop = kill = wipe = start

    def close(self) -> None:
        self._stack.close()


def new_broker() -> Broker:
    """A Valkey, or what `MANYCAST_TEST_TOPOLOGY` asks for: `sentinel` or `cluster`."""
    kind = os.environ.get("MANYCAST_TEST_TOPOLOGY", "one")
    return Broker(valkey_binary()) if kind == "one" else TopologyBroker(kind)


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
