"""A primary and a replica that three sentinels watch, on this machine, and what may happen to them."""

import secrets
from collections.abc import Callable
from pathlib import Path

from manycast.chaos.redis_cluster import REPLICATION, is_following, replication_arguments
from manycast.chaos.redis_node import HOST, STORAGE, Certificate, RedisNode, logs_of, wait_until

SENTINELS = 3
QUORUM = 2
MASTER_NAME = "mymaster"
DOWN_AFTER_MS = 1_500
FAILOVER_TIMEOUT_MS = 4_000
# Sentinel's own periods are for large networks: without these, a frozen primary stays a second primary for 8 s after it
# wakes, and a busy machine stops all failovers for 30 s ("TILT").
PERIODS = {"PUBLISH": 300, "INFO": 1_000, "PING": 300, "ASK": 300}
TILT_TRIGGER_MS = 60_000
CONFIGURATION_FILE = "sentinel.conf"


class SentinelGroup:
    """`nodes`: the first primary and its replica; after a failover they have changed roles. `sentinels` watch them.

    `password` and `sentinel_password`: what the nodes and the sentinels demand of their default user; `url` has the
    first only. `min_replicas` and `certificate` are as for RedisCluster.

    All calls that wait raise TopologyError after a minute.
    """

    def __init__(
        self,
        server: Path,
        directory: Path,
        password: str | None = None,
        sentinel_password: str | None = None,
        min_replicas: int = 0,
        *,
        certificate: Certificate | None = None,
    ) -> None:
        options = [*replication_arguments(min_replicas), *STORAGE, *_require(password), *_tls(certificate)]
        first = RedisNode("node-0", server, directory, options, password, certificate=certificate)
        follow = ["--replicaof", HOST, str(first.port)]
        second = RedisNode("node-1", server, directory, [*options, *follow], password, certificate=certificate)
        self.nodes = [first, second]
        self.sentinels = [
            _sentinel(server, directory, f"sentinel-{at}", sentinel_password, certificate) for at in range(SENTINELS)
        ]
        self._configure(password, sentinel_password)
        self.sentinel_addresses = ",".join(node.address for node in self.sentinels)
        login = f":{password}@" if password else ""
        scheme = "rediss+sentinel" if certificate else "redis+sentinel"
        self.url = f"{scheme}://{login}{self.sentinel_addresses}/{MASTER_NAME}/0"

    def _configure(self, password: str | None, sentinel_password: str | None) -> None:
        """Writes what the sentinels would find out about each other in the first ten seconds."""
        ids = {sentinel.port: secrets.token_hex(20) for sentinel in self.sentinels}
        for sentinel in self.sentinels:
            lines = [
                f"sentinel myid {ids[sentinel.port]}",
                f"sentinel monitor {MASTER_NAME} {HOST} {self.nodes[0].port} {QUORUM}",
                f"sentinel down-after-milliseconds {MASTER_NAME} {DOWN_AFTER_MS}",
                f"sentinel failover-timeout {MASTER_NAME} {FAILOVER_TIMEOUT_MS}",
                f"sentinel known-replica {MASTER_NAME} {HOST} {self.nodes[1].port}",
                *(
                    f"sentinel known-sentinel {MASTER_NAME} {HOST} {port} {name}"
                    for port, name in ids.items()
                    if port != sentinel.port
                ),
            ]
            if password:
                lines.append(f"sentinel auth-pass {MASTER_NAME} {password}")
            if sentinel_password:
                lines += [f"requirepass {sentinel_password}", f"sentinel sentinel-pass {sentinel_password}"]
            (sentinel.directory / CONFIGURATION_FILE).write_text("\n".join(lines) + "\n")

    @property
    def logs(self) -> str:
        """The ends of all logs."""
        return logs_of([*self.nodes, *self.sentinels])

    def start_processes(self) -> None:
        """Starts all processes without waiting for them. Call it in the main thread, then `form`."""
        for node in (*self.nodes, *self.sentinels):
            node.start()

    def form(self) -> None:
        """Waits until the replica follows and all sentinels know it and each other."""
        for node in (*self.nodes, *self.sentinels):
            node.wait_until_ready()
        for sentinel in self.sentinels:
            for name, period_ms in PERIODS.items():
                sentinel.call("SENTINEL", "DEBUG", f"{name}-PERIOD", period_ms)
            sentinel.call("SENTINEL", "DEBUG", "TILT-TRIGGER", TILT_TRIGGER_MS)
        self.wait_until_well()

    def wait_until_well(self) -> None:
        """Waits until both nodes and all sentinels run, agree on the primary, and could replace it."""

        def is_well() -> bool:
            ports = {_primary_port(sentinel) for sentinel in self.sentinels}
            if len(ports) != 1 or not all(_could_fail_over(sentinel) for sentinel in self.sentinels):
                return False
            return all(_is_primary(node) if node.port in ports else is_following(node) for node in self.nodes)

        self._wait(is_well, "the group is not well")

    def primary(self) -> RedisNode:
        """The node that the sentinels name. Clients that ask them get the same answer."""
        sentinel = next(node for node in self.sentinels if node.is_running)
        port = _primary_port(sentinel)
        return next(node for node in self.nodes if node.port == port)

    def replica(self) -> RedisNode:
        """The node that the sentinels do not name."""
        primary = self.primary()
        return next(node for node in self.nodes if node is not primary)

    def fail_over(self) -> None:
        """Asks for a failover from a living primary, and waits until it has happened."""
        before = self.primary()
        sentinel = next(node for node in self.sentinels if node.is_running)

        def has_left() -> bool:
            if _primary_port(sentinel) != before.port:
                return True
            # A sentinel gives a failover up if it has not heard of the replica for a while. While one goes on, or
            # there is no replica, it answers with an error, and the next look asks again.
            sentinel.call("SENTINEL", "FAILOVER", MASTER_NAME)
            return False

        self._wait(has_left, f"{sentinel.name} does not replace {before.name}")
        self.wait_for_takeover(before)

    def wait_for_takeover(self, before: RedisNode) -> None:
        """Waits until all sentinels name another primary than `before`, and that node accepts writes."""

        def has_happened() -> bool:
            ports = {_primary_port(sentinel) for sentinel in self.sentinels if sentinel.is_running}
            return before.port not in ports and len(ports) == 1 and _is_primary(self.primary())

        self._wait(has_happened, f"nobody took over from {before.name}")

    def cut_off(self, replica: RedisNode) -> None:
        """Cuts the link of the replica to its primary. Clients and sentinels still reach it."""
        primary = self.primary()
        primary.call("ACL", "SETUSER", REPLICATION, "off")
        primary.call("CLIENT", "KILL", "TYPE", "replica")
        self._wait(lambda: not is_following(replica), f"{replica.name} still follows")

    def rejoin(self, replica: RedisNode) -> None:
        """Ends `cut_off`, whichever node is the primary now."""
        for node in self.nodes:
            if node.is_running:
                node.call("ACL", "SETUSER", REPLICATION, "on")
        self._wait(lambda: _is_primary(replica) or is_following(replica), f"{replica.name} does not follow")

    def end(self) -> None:
        """Kills all processes and keeps their logs and data."""
        for node in (*self.sentinels, *self.nodes):
            node.kill()

    def close(self) -> None:
        """Kills all processes and removes their data."""
        for node in (*self.sentinels, *self.nodes):
            node.remove()

    def _wait(self, is_so: Callable[[], bool], otherwise: str) -> None:
        wait_until(is_so, otherwise, [*self.nodes, *self.sentinels])


def _sentinel(
    server: Path, directory: Path, name: str, password: str | None, certificate: Certificate | None
) -> RedisNode:
    arguments = [str(directory / name / CONFIGURATION_FILE), "--sentinel", *_tls(certificate)]
    return RedisNode(name, server, directory, arguments, password, certificate=certificate)


def _tls(certificate: Certificate | None) -> list[str]:
    """Sentinels speak TLS to each other and to the nodes if the replication does."""
    return ["--tls-replication", "yes"] if certificate else []


def _require(password: str | None) -> list[str]:
    return ["--requirepass", password] if password else []


def _primary_port(sentinel: RedisNode) -> int:
    return int(sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)[1])


def _could_fail_over(sentinel: RedisNode) -> bool:
    """Whether the sentinel reaches a majority of the others and knows a living replica."""
    words = sentinel.call("SENTINEL", "MASTER", MASTER_NAME)
    state = dict(zip(words[::2], words[1::2], strict=True))
    replicas = [
        dict(zip(entry[::2], entry[1::2], strict=True)) for entry in sentinel.call("SENTINEL", "REPLICAS", MASTER_NAME)
    ]
    return (
        int(state[b"num-other-sentinels"]) == SENTINELS - 1
        and state[b"flags"] == b"master"
        and any(replica[b"flags"] == b"slave" and replica[b"master-link-status"] == b"ok" for replica in replicas)
        and sentinel.call("SENTINEL", "CKQUORUM", MASTER_NAME).startswith(b"OK")
    )


def _is_primary(node: RedisNode) -> bool:
    return bool(node.call("ROLE")[0] == b"master")
