"""Plans the faults of a run. The same seed gives the same faults. No I/O, no clock.

Each kind comes once before any kind comes again, so that a short run has all kinds. Faults of a group of Redis servers
are a sequence of their own, with more time between them: each must be over before the next, because two servers that
fail together may lose what nobody can repair.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

FIRST_AT_S = 1.5
SHORTEST_GAP_S = 0.8
LONGEST_GAP_S = 3.2
GROUP_SHORTEST_GAP_S = 5.0
GROUP_LONGEST_GAP_S = 9.0


class TopologyName(StrEnum):
    """What the stack runs on: one Redis, a Sentinel group or a Redis Cluster."""

    ONE = "one"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Kind(StrEnum):
    """A kind of fault; the text is its name in the table."""

    WORKER_KILL = "worker killed"
    WORKER_FREEZE = "worker frozen beyond its lease"
    WORKER_PAUSE = "worker frozen for a moment"
    WORKER_DRAIN = "worker told to stop"
    GATEWAY_KILL = "gateway killed"
    GATEWAY_FREEZE = "gateway frozen"
    GATEWAY_DRAIN = "gateway told to stop"
    REDIS_KILL = "Redis killed"
    REDIS_RESTART = "Redis restarted"
    REDIS_FREEZE = "Redis frozen"
    REDIS_PAUSE = "Redis paused (CLIENT PAUSE)"
    CALLS_CUT = "all calls cut (CLIENT KILL normal)"
    LISTENERS_CUT = "all subscriptions cut (CLIENT KILL pubsub)"
    SCRIPTS_FLUSH = "scripts flushed"
    PROVIDER_KILL = "provider killed"
    PROVIDER_FREEZE = "provider frozen"
    PRIMARY_KILL = "primary killed"
    PRIMARY_FREEZE = "primary frozen"
    FAILOVER = "failover requested"
    REPLICA_CUT = "replica cut off"
    SLOTS_MOVE = "slots moved under load"


ONE_REDIS = frozenset({Kind.REDIS_KILL, Kind.REDIS_RESTART, Kind.REDIS_FREEZE, Kind.REDIS_PAUSE})
SENTINEL_GROUP = frozenset({Kind.PRIMARY_KILL, Kind.PRIMARY_FREEZE, Kind.FAILOVER, Kind.REPLICA_CUT})
GROUPS = {
    TopologyName.ONE: frozenset[Kind](),
    TopologyName.SENTINEL: SENTINEL_GROUP,
    TopologyName.CLUSTER: SENTINEL_GROUP | {Kind.SLOTS_MOVE},
}
"""The faults that only a group of Redis servers has."""


def kinds_of(topology: TopologyName) -> list[Kind]:
    """All kinds of faults of a topology."""
    left_out = GROUPS[TopologyName.CLUSTER] - GROUPS[topology]
    if topology is not TopologyName.ONE:
        left_out |= ONE_REDIS
    return [kind for kind in Kind if kind not in left_out]


@dataclass(frozen=True, slots=True)
class Fault:
    """`at_s`: seconds from the start of the run. `target`: the number of the worker or gateway; 0 for other parts.
    `length_s`: how long the part is stopped or frozen; 0 for faults without a length."""

    at_s: float
    kind: Kind
    target: int
    length_s: float

    def __str__(self) -> str:
        has_number = self.kind.value.startswith(("worker", "gateway"))
        number = f" #{self.target}" if has_number else ""
        length = f", {self.length_s:.1f} s" if self.length_s else ""
        return f"{self.at_s:7.2f}  {self.kind}{number}{length}"


# The shortest and longest length of each fault. For comparison: a lease lasts 2 s, a gateway's watchdog waits 1 s, and
# a call to Redis takes at most 5 s.
LENGTHS_S: dict[Kind, tuple[float, float]] = {
    Kind.WORKER_KILL: (0.0, 3.0),
    Kind.WORKER_FREEZE: (2.5, 5.0),
    Kind.WORKER_PAUSE: (0.1, 1.2),
    Kind.WORKER_DRAIN: (0.0, 1.0),
    Kind.GATEWAY_KILL: (0.0, 2.0),
    Kind.GATEWAY_FREEZE: (0.3, 4.0),
    Kind.GATEWAY_DRAIN: (0.0, 1.0),
    Kind.REDIS_KILL: (0.1, 2.0),
    Kind.REDIS_RESTART: (0.1, 2.0),
    Kind.REDIS_FREEZE: (0.3, 6.5),
    Kind.REDIS_PAUSE: (0.2, 3.0),
    Kind.CALLS_CUT: (0.0, 0.0),
    Kind.LISTENERS_CUT: (0.0, 0.0),
    Kind.SCRIPTS_FLUSH: (0.0, 0.0),
    Kind.PROVIDER_KILL: (0.1, 1.0),
    Kind.PROVIDER_FREEZE: (0.3, 2.0),
    # A node counts as dead after 1.5 s (Sentinel) or 2 s (Cluster).
    Kind.PRIMARY_KILL: (0.1, 3.0),
    # Longer than a failover takes: it was replaced when it wakes up, and runs what still waits in its connections.
    Kind.PRIMARY_FREEZE: (5.5, 8.0),
    Kind.FAILOVER: (0.0, 0.0),
    Kind.REPLICA_CUT: (0.5, 3.0),
    Kind.SLOTS_MOVE: (0.1, 1.0),
}


def plan_faults(
    seed: int, seconds: float, workers: int, gateways: int, topology: TopologyName = TopologyName.ONE
) -> list[Fault]:
    """Returns all faults of a run of `seconds`, in order."""
    of_group = [kind for kind in Kind if kind in GROUPS[topology]]
    others = [kind for kind in kinds_of(topology) if kind not in of_group]
    rng = random.Random(f"faults {seed}")  # noqa: S311 -- a plan, not a secret
    faults = _plan(rng, others, (SHORTEST_GAP_S, LONGEST_GAP_S), seconds, {"worker": workers, "gateway": gateways})
    if of_group:
        rng = random.Random(f"faults of {topology} {seed}")  # noqa: S311 -- a plan, not a secret
        faults += _plan(rng, of_group, (GROUP_SHORTEST_GAP_S, GROUP_LONGEST_GAP_S), seconds, {})
    return sorted(faults, key=lambda fault: fault.at_s)


def _plan(
    rng: random.Random, kinds: list[Kind], gap_s: tuple[float, float], seconds: float, slots: Mapping[str, int]
) -> list[Fault]:
    rounds = _shuffled_rounds(rng, kinds)
    faults = []
    at_s = FIRST_AT_S
    while at_s < seconds:
        kind = next(rounds)
        count = slots.get(kind.value.split()[0], 1)
        shortest, longest = LENGTHS_S[kind]
        faults.append(Fault(round(at_s, 2), kind, rng.randrange(count), round(rng.uniform(shortest, longest), 2)))
        at_s += rng.uniform(*gap_s)
    return faults


def _shuffled_rounds(rng: random.Random, kinds: list[Kind]) -> Iterator[Kind]:
    while True:
        shuffled = list(kinds)
        rng.shuffle(shuffled)
        yield from shuffled
