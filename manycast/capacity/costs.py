"""What one step costs. `python -m bench.costs` measures each number, and docs/scale.md explains them.

Times are microseconds of CPU, the kernel's share included; sizes are bytes. Pure.
"""

from dataclasses import dataclass

CORE_US_PER_S = 1e6


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one core of the machine that measured them; a faster core needs less time, not fewer bytes."""

    gateway_event_us: float
    """A gateway receives an event of a stream that it watches, and encodes it."""
    gateway_viewer_event_us: float
    """It writes the event to one viewer."""
    gateway_join_us: float
    """A viewer connects, and gets a stream from its start."""
    gateway_run_us: float
    """It takes a request and submits the run."""
    worker_chunk_us: float
    worker_run_us: float
    redis_chunk_us: float
    """An append to the log, and its publication to nobody."""
    redis_receiver_us: float
    """The same event for one more gateway that watches the stream."""
    redis_run_us: float
    """Submit, claim, lease and end of a run."""
    gateway_viewer_bytes: float
    gateway_event_bytes: float
    """An event in the replay buffer of a stream that is watched."""
    gateway_base_bytes: float
    worker_run_bytes: float
    worker_base_bytes: float
    redis_run_bytes: float
    """A run without its chunks: its record, its request, and what finds it."""
    redis_chunk_bytes: float
    event_wire_bytes: float
    """An event as a viewer receives it."""


@dataclass(frozen=True, slots=True)
class Load:
    """`streams` run at the same time and have `viewers` altogether. `answers_kept` are finished and not yet expired.

    `watching_gateways`: on how many gateways a stream has viewers, on average.
    """

    streams: float
    viewers: float
    chunks_per_s: float
    runs_per_s: float
    joins_per_s: float
    watching_gateways: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Microseconds of CPU in a second, over all processes of a part."""

    gateway_us: float
    worker_us: float
    redis_us: float


def predict_cpu(load: Load, costs: Costs) -> Usage:
    """What a load costs in a second."""
    chunks = load.streams * load.chunks_per_s
    received = chunks * load.watching_gateways
    seen = load.viewers * load.chunks_per_s
    return Usage(
        gateway_us=received * costs.gateway_event_us
        + seen * costs.gateway_viewer_event_us
        + load.joins_per_s * costs.gateway_join_us
        + load.runs_per_s * costs.gateway_run_us,
        worker_us=chunks * costs.worker_chunk_us + load.runs_per_s * costs.worker_run_us,
        redis_us=chunks * costs.redis_chunk_us
        + received * costs.redis_receiver_us
        + load.runs_per_s * costs.redis_run_us,
    )


MEASURED = Costs(
    gateway_event_us=33,
    gateway_viewer_event_us=8,
    gateway_join_us=115,
    gateway_run_us=1_550,
    worker_chunk_us=52,
    worker_run_us=1_800,
    redis_chunk_us=28,
    redis_receiver_us=2.5,
    redis_run_us=600,
    gateway_viewer_bytes=2_100,
    gateway_event_bytes=230,
    gateway_base_bytes=57e6,
    worker_run_bytes=79_000,
    worker_base_bytes=67e6,
    redis_run_bytes=6_900,
    redis_chunk_bytes=110,
    event_wire_bytes=138,
)
"""On two cores of a quiet, shared machine, with Python 3.11 and Valkey 9.1: docs/scale.md says how."""
