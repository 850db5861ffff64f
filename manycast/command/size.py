"""`manycast size`: prints what a load needs. The numbers come from manycast/capacity."""

from manycast.capacity.costs import MEASURED
from manycast.capacity.estimate import GIGABYTE, UTILIZATION, Demand, estimate


def describe_size(demand: Demand) -> list[str]:
    """The lines to print."""
    result = estimate(demand, MEASURED)
    events = demand.viewers * demand.chunks_per_s
    lines = [
        f"{demand.viewers:,.0f} viewers of {demand.streams:,.0f} streams.",
        f"A stream has {demand.chunks_per_s:g} chunks a second.",
        f"An answer has {demand.chunks:,.0f} chunks and takes {demand.answer_s:,.0f} s.",
        f"So {result.runs_per_s:,.1f} runs begin in a second, and viewers get {events:,.0f} events a second, "
        f"{result.bytes_out_per_s * 8 / 1e9:,.2f} Gbit/s.",
        "",
        f"{'part':16} {'processes':>9} {'cores used':>10} {'memory each':>12} {'memory':>12}  decided by",
    ]
    for part in result.parts:
        each, total = f"{part.bytes_each / GIGABYTE:,.2f} GB", f"{part.total_bytes / GIGABYTE:,.1f} GB"
        lines.append(f"{part.name:16} {part.processes:9,} {part.cores:10,.1f} {each:>12} {total:>12}  {part.limit}")
    redis = result.parts[-1]
    one = "one Redis" if redis.processes == 1 else f"a Redis Cluster with {redis.processes:,} primaries"
    lines += [
        "",
        f"The bottleneck is {result.bottleneck}.",
        f"It needs {one}; replicas come on top. Redis keeps {result.answers_kept:,.0f} finished answers.",
        *result.advice,
        f"No core is more than {UTILIZATION:.0%} busy. docs/scale.md says how to measure your own cores.",
    ]
    return lines
