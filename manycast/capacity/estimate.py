"""From a load to processes, cores, memory and Redis nodes. Pure: no I/O, no clock."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from manycast.capacity.costs import CORE_US_PER_S, Costs, Load, predict_cpu

UTILIZATION = 0.7
"""How busy a core may be on average: above it, waiting times grow quickly."""
VIEWERS_PER_GATEWAY = 20_000
"""MANYCAST_VIEWER_LIMIT."""
BUFFER_BUDGET_BYTES = 128 << 20
"""MANYCAST_BUFFER_BUDGET_BYTES: a gateway process keeps at most so much of streams in memory."""
USABLE_REDIS_MEMORY = 0.75
"""What MANYCAST_REDIS_RESERVE_PERCENT leaves of a node's memory for runs."""
CHUNK_TEXT_BYTES = 4
"""A chunk is most often one token of a language model."""
RUNS_PER_WORKER = 100
"""MANYCAST_WORKER_STREAMS."""
GATEWAYS_TO_MENTION = 2.0
ROUNDS = 50
HOUR_S = 3600
GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Demand:
    """What is wanted. `streams` run at the same time and have `viewers` altogether. `node_bytes`: of a Redis node."""

    viewers: float
    streams: float
    chunks_per_s: float
    answer_bytes: float
    retention_s: float
    node_bytes: float

    @property
    def chunks(self) -> float:
        """Of an answer."""
        return max(1.0, self.answer_bytes / CHUNK_TEXT_BYTES)

    @property
    def answer_s(self) -> float:
        return self.chunks / self.chunks_per_s


@dataclass(frozen=True, slots=True)
class Part:
    """`processes`: each with a core of its own. `limit`: what decides their number."""

    name: str
    processes: int
    cores: float
    total_bytes: float
    limit: str

    @property
    def bytes_each(self) -> float:
        return self.total_bytes / self.processes


@dataclass(frozen=True, slots=True)
class Estimate:
    """`notes`: sentences about what dominates, and what would need less."""

    parts: tuple[Part, ...]
    runs_per_s: float
    answers_kept: float
    watching_gateways: float
    bytes_out_per_s: float
    bottleneck: str
    advice: tuple[str, ...]


def estimate(demand: Demand, costs: Costs) -> Estimate:
    """What the demand needs, at UTILIZATION."""
    gateways, load = _settle_gateways(demand, costs)
    used = predict_cpu(load, costs)
    redis, kept = _redis(demand, costs, load, used.redis_us)
    parts = (
        _gateway(demand, costs, load, used.gateway_us, gateways),
        _worker(demand, costs, used.worker_us),
        redis,
    )
    bottleneck, advice = _judge(demand, costs, load, parts)
    out = demand.viewers * demand.chunks_per_s * costs.event_wire_bytes
    return Estimate(parts, load.runs_per_s, kept, load.watching_gateways, out, bottleneck, advice)


def _load(demand: Demand, gateways: float) -> Load:
    runs_per_s = demand.streams / demand.answer_s
    return Load(
        streams=demand.streams,
        viewers=demand.viewers,
        chunks_per_s=demand.chunks_per_s,
        runs_per_s=runs_per_s,
        # Every viewer of an answer joins it once.
        joins_per_s=demand.viewers / demand.answer_s,
        watching_gateways=watching_gateways(demand.viewers / demand.streams, gateways),
    )


def watching_gateways(viewers: float, gateways: float) -> float:
    """On how many of the gateways a stream has viewers, on average, if a load balancer spreads them evenly."""
    return float(gateways * (1 - (1 - 1 / gateways) ** viewers)) if gateways > 1 else min(1.0, viewers)


def _settle_gateways(demand: Demand, costs: Costs) -> tuple[int, Load]:
    """More gateways receive each stream more often, which takes more gateways: repeated until it fits."""
    gateways = max(1, math.ceil(demand.viewers / VIEWERS_PER_GATEWAY))
    for _ in range(ROUNDS):
        load = _load(demand, gateways)
        needed = _cores(predict_cpu(load, costs).gateway_us)
        if needed <= gateways:
            break
        gateways = needed
    return gateways, load


def _cores(cpu_us_per_s: float) -> int:
    return max(1, math.ceil(cpu_us_per_s / CORE_US_PER_S / UTILIZATION))


def _gateway(demand: Demand, costs: Costs, load: Load, cpu_us: float, processes: int) -> Part:
    feeds = demand.streams * load.watching_gateways / processes
    buffers = min(BUFFER_BUDGET_BYTES, feeds * demand.chunks * costs.gateway_event_bytes)
    total = processes * (costs.gateway_base_bytes + buffers) + demand.viewers * costs.gateway_viewer_bytes
    limit = "CPU" if processes > math.ceil(demand.viewers / VIEWERS_PER_GATEWAY) else "MANYCAST_VIEWER_LIMIT"
    return Part("gateways", processes, cpu_us / CORE_US_PER_S, total, limit)


def _worker(demand: Demand, costs: Costs, cpu_us: float) -> Part:
    processes = _cores(cpu_us)
    total = processes * costs.worker_base_bytes + demand.streams * costs.worker_run_bytes
    return Part("workers", processes, cpu_us / CORE_US_PER_S, total, "CPU")


def _redis(demand: Demand, costs: Costs, load: Load, cpu_us: float) -> tuple[Part, float]:
    """The primaries, and how many finished answers they keep."""
    kept = load.runs_per_s * demand.retention_s
    answer = costs.redis_run_bytes + demand.chunks * costs.redis_chunk_bytes
    total = (kept + demand.streams) * answer
    by_memory = max(1, math.ceil(total / (demand.node_bytes * USABLE_REDIS_MEMORY)))
    by_cpu = _cores(cpu_us)
    limit = "memory" if by_memory > by_cpu else "CPU"
    return Part("Redis primaries", max(by_memory, by_cpu), cpu_us / CORE_US_PER_S, total, limit), kept


def _judge(demand: Demand, costs: Costs, load: Load, parts: Sequence[Part]) -> tuple[str, tuple[str, ...]]:
    """The bottleneck, and what would need less."""
    gateway, worker, redis = parts
    advice = []
    if load.watching_gateways > GATEWAYS_TO_MENTION:
        together = predict_cpu(_load(demand, 1), costs).gateway_us / CORE_US_PER_S
        advice.append(
            f"A stream has viewers on {load.watching_gateways:,.1f} gateways. If a load balancer sends all viewers of "
            "a stream to one gateway (by a hash of the path), gateways use "
            f"{together:,.1f} cores, not {gateway.cores:,.1f}."
        )
    if redis.limit == "memory":
        hour = redis.total_bytes * HOUR_S / demand.retention_s
        advice.append(
            f"Redis keeps answers for {demand.retention_s:,.0f} s (MANYCAST_RETENTION_S). For one hour they take about "
            f"{hour / GIGABYTE:,.1f} GB."
        )
    if (each := math.ceil(demand.streams / worker.processes)) > RUNS_PER_WORKER:
        advice.append(f"A worker process has {each} runs at once: set MANYCAST_WORKER_STREAMS to more than that.")
    return _name_bottleneck(parts), tuple(advice)


def _name_bottleneck(parts: Sequence[Part]) -> str:
    redis = parts[-1]
    if redis.limit == "memory":
        return f"the memory of Redis, {redis.total_bytes / GIGABYTE:,.1f} GB of answers"
    largest = max(parts, key=lambda part: part.cores)
    return f"the CPU of {largest.name}, {largest.cores:,.1f} cores"
