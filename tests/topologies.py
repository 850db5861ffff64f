"""Redis as operators run it: a real Redis Cluster and a real Sentinel group on free ports, each in a few seconds."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from manycast.chaos.redis_cluster import RedisCluster
from manycast.chaos.redis_node import Certificate, RedisNode
from manycast.chaos.sentinel_group import SentinelGroup
from tests.broker import Broker, redis_binary, valkey_binary


@contextlib.contextmanager
def redis_cluster(
    password: str | None = None,
    server: str | None = None,
    min_replicas: int = 0,
    certificate: Certificate | None = None,
) -> Iterator[RedisCluster]:
    """Three primaries with a replica each. `server`: the program, the machine's Redis by default, else Valkey.

    `min_replicas`: a primary with fewer connected replicas refuses writes. `certificate`: all connections use TLS.
    """
    with _directory() as directory:
        cluster = RedisCluster(_program(server), directory, password, min_replicas, certificate=certificate)
        with _running(cluster):
            yield cluster


@contextlib.contextmanager
def sentinel_group(
    password: str | None = None,
    sentinel_password: str | None = None,
    server: str | None = None,
    min_replicas: int = 0,
    *,
    certificate: Certificate | None = None,
) -> Iterator[SentinelGroup]:
    """A primary, a replica and three sentinels. The other options are as for `redis_cluster`."""
    with _directory() as directory:
        passwords = password, sentinel_password
        group = SentinelGroup(_program(server), directory, *passwords, min_replicas, certificate=certificate)
        with _running(group):
            yield group


class TopologyBroker(Broker):
    """A whole topology in place of a single server: `stop`, `kill` and the others do it to all nodes with data.

    A test that asks for the port or the pid of the one server is skipped.
    """

    def __init__(self, kind: str) -> None:
        self._stack = contextlib.ExitStack()
        self._frozen: list[RedisNode] = []
        self._redis: RedisCluster | SentinelGroup
        if kind == "sentinel":
            self._redis = self._stack.enter_context(sentinel_group())
        else:
            self._redis = self._stack.enter_context(redis_cluster())
        self.url = self._redis.url

    def __getattr__(self, name: str) -> NoReturn:
        pytest.skip(f"it needs the {name} of a single server")

    @property
    def pid(self) -> int:
        pytest.skip("it needs the pid of a single server")

    def start(self) -> None:
        for node in self._redis.nodes:
            node.start()
        self._redis.wait_until_well()

    def stop(self) -> None:
        for node in self._nodes_primaries_first():
            node.stop()

    def kill(self) -> None:
        for node in self._nodes_primaries_first():
            node.kill()

    def wipe(self) -> None:
        for node in self._redis.nodes:
            shutil.rmtree(node.directory / "appendonlydir")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        nodes = self._nodes_primaries_first()
        for node in nodes:
            node.freeze()
        self._frozen = nodes
        try:
            yield
        finally:
            self._frozen = []
            for node in nodes:
                node.resume()

    def call_each(self, *command: str | int) -> list[Any]:
        return [node.call(*command) for node in self._primaries()]

    def close(self) -> None:
        self._stack.close()

    def _primaries(self) -> list[RedisNode]:
        redis = self._redis
        return [redis.primary()] if isinstance(redis, SentinelGroup) else redis.primaries()

    def _nodes_primaries_first(self) -> list[RedisNode]:
        """In this order no replica takes over, and none misses a write."""
        if self._frozen:
            # They cannot say who is a primary now.
            return self._frozen
        primaries = self._primaries()
        return [*primaries, *(node for node in self._redis.nodes if node not in primaries)]


def topology_kind() -> str:
    """What `MANYCAST_TEST_TOPOLOGY` asks for: `one` server (the default), `sentinel` or `cluster`."""
    return os.environ.get("MANYCAST_TEST_TOPOLOGY", "one")


def leave_out_other_topologies(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects the tests with the mark `one_server`, if `MANYCAST_TEST_TOPOLOGY` asks for a topology."""
    if topology_kind() == "one":
        return
    left_out = [item for item in items if item.get_closest_marker("one_server")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def new_broker() -> Broker:
    """A Valkey, or the topology that `MANYCAST_TEST_TOPOLOGY` asks for."""
    kind = topology_kind()
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
