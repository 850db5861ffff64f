"""A Redis Cluster on this machine: three primaries with a replica each, and what may happen to them."""

import time
from collections.abc import Callable
from pathlib import Path

from manycast.chaos.redis_node import HOST, STORAGE, Certificate, RedisNode, TopologyError, logs_of, wait_until
from manycast.local_stack.port import free_port

PRIMARIES = 3
SLOTS = 16_384
NODE_TIMEOUT_MS = 2_000
MIGRATE_TIMEOUT_MS = 5_000
ASK_AGAIN_S = 6.0
"""CLUSTER_MF_TIMEOUT in the source of Redis."""
KEYS_PER_MOVE = 100
REPLICATION = "replication"
"""The user, and its password, as which replicas log in: so that one can be cut off while clients still reach it."""


class RedisCluster:
    """`nodes`: first the primaries as they are at the start, then the replica of each, in the same order.

    `password`: what clients must send, as the default user. `min_replicas`: a primary with fewer connected replicas
    refuses writes, so that one that was replaced while it was frozen accepts none that would be lost.
    `certificate`: all connections use TLS, those between the nodes as well.

    All calls that wait raise TopologyError after a minute.
    """

    def __init__(
        self,
        server: Path,
        directory: Path,
        password: str | None = None,
        min_replicas: int = 0,
        *,
        certificate: Certificate | None = None,
    ) -> None:
        names = [f"{kind}-{at}" for kind in ("primary", "replica") for at in range(PRIMARIES)]
        tls = ["--tls-cluster", "yes", "--tls-replication", "yes"] if certificate else []
        self.nodes = [
            RedisNode(
                name, server, directory, [*_arguments(password, min_replicas), *tls], password, certificate=certificate
            )
            for name in names
        ]
        login = f":{password}@" if password else ""
        scheme = "rediss+cluster" if certificate else "redis+cluster"
        self.url = f"{scheme}://{login}{','.join(node.address for node in self.nodes)}"
        self._migrate_login = ["AUTH", password] if password else []

    @property
    def logs(self) -> str:
        """The ends of all logs."""
        return logs_of(self.nodes)

    def start_processes(self) -> None:
        """Starts all nodes without waiting for them. Call it in the main thread, then `form`."""
        for node in self.nodes:
            node.start()

    def form(self) -> None:
        """Makes the nodes a cluster, and waits until it is well."""
        for node in self.nodes:
            node.wait_until_ready()
        primaries, replicas = self.nodes[:PRIMARIES], self.nodes[PRIMARIES:]
        for at, node in enumerate(self.nodes):
            # Different epochs from the start, so that the nodes need not agree on an order first.
            node.call("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
        bounds = [SLOTS * at // PRIMARIES for at in range(PRIMARIES + 1)]
        for node, first, end in zip(primaries, bounds, bounds[1:], strict=False):
            node.call("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for node in self.nodes[1:]:
            bus_port = int(node.call("CONFIG", "GET", "cluster-port")[1])
            self.nodes[0].call("CLUSTER", "MEET", HOST, node.port, bus_port)
        self._wait(lambda: all(_knows_all(node) for node in self.nodes), "the nodes have not all met")
        for replica, primary in zip(replicas, primaries, strict=True):
            replica.call("CLUSTER", "REPLICATE", _id(primary))
        self.wait_until_well()

    def wait_until_well(self) -> None:
        """Waits until all nodes run and agree, all slots are served, and every replica follows a primary."""

        def is_well() -> bool:
            views = [_owners(node) for node in self.nodes]
            if any(view != views[0] for view in views) or len(views[0]) != SLOTS:
                return False
            owners = set(views[0].values())
            return all(_state(node) == "ok" for node in self.nodes) and all(
                node.address in owners or is_following(node) for node in self.nodes
            )

        self._wait(is_well, "the cluster is not well")

    def primaries(self) -> list[RedisNode]:
        """The nodes that own slots now."""
        owners = set(self._view().values())
        return [node for node in self.nodes if node.address in owners]

    def owner_of(self, slot: int) -> RedisNode:
        """The primary of a slot."""
        return self._by_address(self._view()[slot])

    def used_slots(self) -> list[int]:
        """The slots that have keys now. Raises: NodeError, OSError."""
        keys = [key for primary in self.primaries() for key in primary.call("KEYS", "*")]
        running = next(node for node in self.nodes if node.is_running)
        return sorted(set(running.call_all([("CLUSTER", "KEYSLOT", key) for key in keys])))

    def slot_of(self, key: str | bytes) -> int:
        """The slot of a key or channel."""
        running = next(node for node in self.nodes if node.is_running)
        return int(running.call("CLUSTER", "KEYSLOT", key))

    def replica_of(self, primary: RedisNode) -> RedisNode:
        """A replica that follows this primary. Raises: TopologyError if there is none."""
        for node in self.nodes:
            if node.is_running and _primary_port(node) == primary.port:
                return node
        raise TopologyError(f"{primary.name} has no replica\n{self.logs}")

    def fail_over(self, replica: RedisNode) -> None:
        """Asks a replica to take over from its living primary, and waits until it has."""
        ask_at = 0.0

        def has_taken_over() -> bool:
            nonlocal ask_at
            if replica in self.primaries():
                return True
            if time.monotonic() >= ask_at:
                # Redis gives a failover up after five seconds. One that is asked for before that begins anew.
                ask_at = time.monotonic() + ASK_AGAIN_S
                replica.call("CLUSTER", "FAILOVER")
            return False

        self._wait(has_taken_over, f"{replica.name} did not take over")

    def wait_for_takeover(self, primary: RedisNode) -> None:
        """After `primary` was killed or frozen: waits until the others serve all slots without it."""
        self._wait(lambda: primary not in self.primaries(), f"nobody took over from {primary.name}")

    def begin_move(self, slot: int, target: RedisNode) -> RedisNode:
        """Begins to move a slot: its owner, which is returned, answers ASK for the keys that it has no more."""
        source = self.owner_of(slot)
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(target))
        return source

    def move_keys(self, slot: int, source: RedisNode, target: RedisNode, limit: int = 1 << 60) -> int:
        """Moves the keys of a slot whose move has begun, at most `limit`. Returns how many were moved."""
        moved = 0
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, min(KEYS_PER_MOVE, limit - moved)):
            options = ["REPLACE", *self._migrate_login, "KEYS", *keys]
            source.call("MIGRATE", HOST, target.port, "", 0, MIGRATE_TIMEOUT_MS, *options)
            moved += len(keys)
            if moved >= limit:
                break
        return moved

    def end_move(self, slot: int, target: RedisNode) -> None:
        """Gives the slot to the target, and waits until all nodes know it."""
        for node in (target, *(primary for primary in self.primaries() if primary is not target)):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", _id(target))
        nodes = [node for node in self.nodes if node.is_running]
        self._wait(lambda: all(_owners(node)[slot] == target.address for node in nodes), f"slot {slot} did not move")

    def move_slot(self, slot: int, target: RedisNode) -> None:
        """Moves a slot with all its keys to a primary that does not own it, as resharding does."""
        source = self.begin_move(slot, target)
        self.move_keys(slot, source, target)
        self.end_move(slot, target)

    def cut_off(self, replica: RedisNode) -> None:
        """Cuts the link of a replica to its primary. Clients and the other nodes still reach it."""
        primary = next(node for node in self.nodes if node.port == _primary_port(replica))
        primary.call("ACL", "SETUSER", REPLICATION, "off")
        primary.call("CLIENT", "KILL", "TYPE", "replica")
        self._wait(lambda: not is_following(replica), f"{replica.name} still follows")

    def rejoin(self, replica: RedisNode) -> None:
        """Ends `cut_off`, whichever node is the replica's primary now."""
        for node in self.nodes:
            if node.is_running:
                node.call("ACL", "SETUSER", REPLICATION, "on")
        self._wait(lambda: _role(replica) == b"master" or is_following(replica), f"{replica.name} does not follow")

    def end(self) -> None:
        """Kills all processes and keeps their logs and data."""
        for node in self.nodes:
            node.kill()

    def close(self) -> None:
        """Kills all nodes and removes their data."""
        for node in self.nodes:
            node.remove()

    def _view(self) -> dict[int, str]:
        """Slot -> address of its primary, as the first node sees it that is in touch with the majority.

        Raises: TopologyError.
        """
        found: dict[int, str] = {}

        def has_view() -> bool:
            for node in self.nodes:
                if node.is_running and _state(node) == "ok":
                    found.update(_owners(node))
                    return True
            return False

        self._wait(has_view, "no node serves all slots")
        return found

    def _by_address(self, address: str) -> RedisNode:
        return next(node for node in self.nodes if node.address == address)

    def _wait(self, is_so: Callable[[], bool], otherwise: str) -> None:
        wait_until(is_so, otherwise, self.nodes)


def _arguments(password: str | None, min_replicas: int) -> list[str]:
    arguments = [
        *("--cluster-enabled", "yes", "--cluster-port", str(free_port(HOST))),
        *("--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-replica-validity-factor", "0"),
        # Replicas stay with their primaries, so that each primary always has one.
        *("--cluster-allow-replica-migration", "no"),
        *replication_arguments(min_replicas),
        *STORAGE,
    ]
    return [*arguments, "--requirepass", password] if password else arguments


def replication_arguments(min_replicas: int) -> list[str]:
    """Of a node whose replicas log in as their own user, and follow quickly."""
    return [
        *("--min-replicas-to-write", str(min_replicas)),
        *("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
        *("--masteruser", REPLICATION, "--masterauth", REPLICATION),
        *("--user", REPLICATION, "on", f">{REPLICATION}", "+psync", "+replconf", "+ping"),
    ]


def is_following(node: RedisNode) -> bool:
    """Whether a replica's link to its primary is up. Raises: NodeError, OSError."""
    role = node.call("ROLE")
    return bool(role[0] == b"slave" and role[3] == b"connected")


def _role(node: RedisNode) -> bytes:
    role: bytes = node.call("ROLE")[0]
    return role


def _primary_port(node: RedisNode) -> int | None:
    role = node.call("ROLE")
    return int(role[2]) if role[0] == b"slave" else None


def _state(node: RedisNode) -> str:
    text: str = node.call("CLUSTER", "INFO").decode()
    return dict(line.split(":", 1) for line in text.split())["cluster_state"]


def _knows_all(node: RedisNode) -> bool:
    lines = node.call("CLUSTER", "NODES").decode().splitlines()
    return len(lines) == 2 * PRIMARIES and not any("handshake" in line for line in lines)


def _id(node: RedisNode) -> str:
    name: str = node.call("CLUSTER", "MYID").decode()
    return name


def _owners(node: RedisNode) -> dict[int, str]:
    """Slot -> address of its primary, as this node sees it. Raises: NodeError, OSError."""
    return {
        slot: f"{primary[0].decode()}:{primary[1]}"
        for first, last, primary, *_ in node.call("CLUSTER", "SLOTS")
        for slot in range(first, last + 1)
    }
