"""Formats results as a Markdown table, one line for each workload and server. No I/O."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median

from bench.end_to_end import END_TO_END_PLANS, EndToEndResult, Plan
from bench.first_chunk import FirstChunkResult
from bench.joins import JOIN_PLANS
from bench.run import Result
from bench.workload import WORKLOADS

NAMES = {
    "manycast": "**Manycast**",
    "sse": "Manycast through sse-starlette",
    "nchan": "nchan with Redis",
    "limit": "C program that only writes",
    "cursors": "bare ASGI, log and cursors",
    "queues": "one subscription, a queue per viewer",
    "naive": "tutorial server",
}
HEAD = """\
| workload | server | CPU us/event | ours / its | p50 ms | p99 ms | events/s | wall s | bytes/viewer | Redis us/chunk |
|---|---|---|---|---|---|---|---|---|---|"""
END_TO_END_HEAD = """\
| provider to viewer | worker us/chunk | Redis us/chunk | p50 ms | p99 ms | wall s | Redis bytes / event bytes |
|---|---|---|---|---|---|---|"""

FIRST_CHUNK_HEAD = """\
| first chunk | p50 ms | p99 ms |
|---|---|---|"""
JOIN_HEAD = """\
| viewers that join | server | CPU us/viewer | ours / its |
|---|---|---|---|"""


class Table:
    """Collects results. It shows the medians of repeated runs."""

    def __init__(self) -> None:
        self._results: dict[str, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
        self._first_chunks: list[FirstChunkResult] = []
        self._joins: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._end_to_end: dict[str, list[EndToEndResult]] = defaultdict(list)

    def add(self, result: Result) -> None:
        self._results[result.workload][result.server].append(result)

    def add_join(self, name: str, server: str, us: float) -> None:
        self._joins[name][server].append(us)

    def add_first_chunk(self, result: FirstChunkResult) -> None:
        self._first_chunks.append(result)

    def add_end_to_end(self, name: str, result: EndToEndResult) -> None:
        self._end_to_end[name].append(result)

    @property
    def is_correct(self) -> bool:
        """Whether all runs of Manycast were correct. Other servers may lose events: that is a result, not an error."""
        ours = [run for servers in self._results.values() for name in ("manycast", "sse") for run in servers[name]]
        return all(run.is_correct for run in ours)

    def text(self) -> str:
        lines = [HEAD] if self._results else []
        for workload, servers in self._results.items():
            ours = servers.get("manycast", [])
            lines += [_line(workload, name, runs, ours) for name, runs in servers.items() if runs]
        if self._first_chunks:
            lines += ["", *_first_chunk_lines(self._first_chunks)] if lines else _first_chunk_lines(self._first_chunks)
        if self._joins:
            lines += ["", JOIN_HEAD] if lines else [JOIN_HEAD]
        for name, joins in self._joins.items():
            ours_us = median(joins["manycast"]) if "manycast" in joins else None
            lines += [_join_line(name, server, median(us), ours_us) for server, us in joins.items()]
        if self._end_to_end:
            lines += ["", END_TO_END_HEAD] if lines else [END_TO_END_HEAD]
        lines += [_end_to_end_line(END_TO_END_PLANS[name], results) for name, results in self._end_to_end.items()]
        return "\n".join(lines)


def _first_chunk_lines(results: Sequence[FirstChunkResult]) -> list[str]:
    def median_of(figure: Callable[[FirstChunkResult], float]) -> str:
        return f"{median(map(figure, results)):.1f}"

    watched = median_of(lambda result: result.watched_p50_ms), median_of(lambda result: result.watched_p99_ms)
    return [
        FIRST_CHUNK_HEAD,
        f"| `POST /v1/streams` until a viewer has it | {' | '.join(watched)} |",
        f"| the SDK's call, through Manycast | {median_of(lambda result: result.sdk_p50_ms)} | |",
        f"| the SDK's call, straight to the provider | {median_of(lambda result: result.sdk_alone_p50_ms)} | |",
        f"| a long answer, through Manycast / straight | {median_of(lambda result: result.throughput)} times | |",
    ]


def _join_line(name: str, server: str, us: float, ours_us: float | None) -> str:
    ratio = "" if ours_us is None or server == "manycast" else f"{ours_us / us:.2f}"
    return f"| {JOIN_PLANS[name].title} | {NAMES[server]} | {us:.0f} | {ratio} |"


def _end_to_end_line(plan: Plan, results: Sequence[EndToEndResult]) -> str:
    def median_of(figure: Callable[[EndToEndResult], float]) -> float:
        return median(map(figure, results))

    cells = [
        plan.title,
        f"{median_of(lambda result: result.worker_us_per_chunk):.0f}",
        f"{median_of(lambda result: result.redis_us_per_chunk):.0f}",
        f"{median_of(lambda result: result.p50_ms):.1f}",
        f"{median_of(lambda result: result.p99_ms):.1f}",
        f"{median_of(lambda result: result.wall_s):.1f} of {plan.chunks / plan.chunks_per_s:.1f}",
        f"{median_of(lambda result: result.bytes_ratio):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _line(workload: str, server: str, runs: Sequence[Result], ours: Sequence[Result]) -> str:
    chunks = max(1, WORKLOADS[workload].events * WORKLOADS[workload].streams)

    def median_of(figure: Callable[[Result], float]) -> float:
        return median(map(figure, runs))

    idle = WORKLOADS[workload].events == 0
    our_us = median(run.us_per_event for run in ours) if ours else 0.0
    us = median_of(lambda run: run.us_per_event)
    cells = [
        WORKLOADS[workload].title,
        NAMES[server] + ("" if all(run.is_correct for run in runs) else " (incomplete)"),
        "" if idle else f"{us:.1f}",
        "" if idle or server == "manycast" or not our_us else f"{our_us / us:.2f}",
        "" if idle else f"{median_of(lambda run: run.p50_ms):.1f}",
        "" if idle else f"{median_of(lambda run: run.p99_ms):.1f}",
        "" if idle else f"{median_of(lambda run: run.events_per_s):,.0f}",
        "" if idle else f"{median_of(lambda run: run.wall_s):.2f}",
        f"{median_of(lambda run: run.viewer_bytes):,.0f}" if idle else "",
        "" if idle else f"{median_of(lambda run: run.redis_us) / chunks:.0f}",
    ]
    return f"| {' | '.join(cells)} |"
