"""Plans the faults of a run. The same seed gives the same faults. No I/O, no clock.

Each kind comes once before any kind comes again, so that a short run has all kinds.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

FIRST_AT_S = 1.5
SHORTEST_GAP_S = 0.8
LONGEST_GAP_S = 3.2


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
}


def plan_faults(seed: int, seconds: float, workers: int, gateways: int) -> list[Fault]:
    """Returns all faults of a run of `seconds`, in order."""
    rng = random.Random(f"faults {seed}")  # noqa: S311 -- a plan, not a secret
    kinds = _shuffled_rounds(rng)
    faults = []
    at_s = FIRST_AT_S
    while at_s < seconds:
        kind = next(kinds)
        slots = {"worker": workers, "gateway": gateways}.get(kind.value.split()[0], 1)
        shortest, longest = LENGTHS_S[kind]
        faults.append(Fault(round(at_s, 2), kind, rng.randrange(slots), round(rng.uniform(shortest, longest), 2)))
        at_s += rng.uniform(SHORTEST_GAP_S, LONGEST_GAP_S)
    return faults


def _shuffled_rounds(rng: random.Random) -> Iterator[Kind]:
    while True:
        kinds = list(Kind)
        rng.shuffle(kinds)
        yield from kinds
