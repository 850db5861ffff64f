"""Results as a table of Markdown: a line for each workload and contender, and its ratio to ours. Pure: no I/O."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median

from bench.journey import JOURNEYS, Journey, Plan
from bench.run import Result
from bench.workload import WORKLOADS

NAMES = {
    "manycast": "**Manycast**",
    "sse": "Manycast through sse-starlette",
    "nchan": "nchan with Redis",
    "limit": "C, nothing but writes",
    "cursors": "bare ASGI, log and cursors",
    "queues": "one subscription, a queue per viewer",
    "naive": "tutorial server",
}
HEAD = """\
| workload | server | CPU us/event | ours / its | p50 ms | p99 ms | events/s | wall s | bytes/viewer | Redis us/chunk |
|---|---|---|---|---|---|---|---|---|---|"""
JOURNEY_HEAD = """\
| provider to viewer | worker us/chunk | Redis us/chunk | p50 ms | p99 ms | wall s | Redis bytes / event bytes |
|---|---|---|---|---|---|---|"""


class Table:
    """Gathers results; of repeated runs it shows the medians."""

    def __init__(self) -> None:
        self._results: dict[str, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
        self._journeys: dict[str, list[Journey]] = defaultdict(list)

    def add(self, result: Result) -> None:
        self._results[result.workload][result.contender].append(result)

    def add_journey(self, name: str, journey: Journey) -> None:
        self._journeys[name].append(journey)

    @property
    def is_correct(self) -> bool:
        """Whether ours was; that others lose something or fall behind is a finding."""
        ours = [
            run for contenders in self._results.values() for name in ("manycast", "sse") for run in contenders[name]
        ]
        return all(run.is_correct for run in ours)

    def text(self) -> str:
        lines = [HEAD] if self._results else []
        for workload, contenders in self._results.items():
            ours = contenders.get("manycast", [])
            lines += [_line(workload, name, runs, ours) for name, runs in contenders.items() if runs]
        if self._journeys:
            lines += ["", JOURNEY_HEAD] if lines else [JOURNEY_HEAD]
        lines += [_journey_line(JOURNEYS[name], journeys) for name, journeys in self._journeys.items()]
        return "\n".join(lines)


def _journey_line(plan: Plan, journeys: Sequence[Journey]) -> str:
    def middle(figure: Callable[[Journey], float]) -> float:
        return median(map(figure, journeys))

    cells = [
        plan.title,
        f"{middle(lambda one: one.worker_us_per_chunk):.0f}",
        f"{middle(lambda one: one.redis_us_per_chunk):.0f}",
        f"{middle(lambda one: one.p50_ms):.1f}",
        f"{middle(lambda one: one.p99_ms):.1f}",
        f"{middle(lambda one: one.wall_s):.1f} of {plan.chunks / plan.chunks_per_s:.1f}",
        f"{middle(lambda one: one.bytes_ratio):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _line(workload: str, contender: str, runs: Sequence[Result], ours: Sequence[Result]) -> str:
    chunks = max(1, WORKLOADS[workload].events * WORKLOADS[workload].streams)

    def middle(figure: Callable[[Result], float]) -> float:
        return median(map(figure, runs))

    idle = WORKLOADS[workload].events == 0
    mine = median(run.us_per_event for run in ours) if ours else 0.0
    us = middle(lambda run: run.us_per_event)
    cells = [
        WORKLOADS[workload].title,
        NAMES[contender] + ("" if all(run.is_correct for run in runs) else " (incomplete)"),
        "" if idle else f"{us:.1f}",
        "" if idle or contender == "manycast" or not mine else f"{mine / us:.2f}",
        "" if idle else f"{middle(lambda run: run.p50_ms):.1f}",
        "" if idle else f"{middle(lambda run: run.p99_ms):.1f}",
        "" if idle else f"{middle(lambda run: run.events_per_s):,.0f}",
        "" if idle else f"{middle(lambda run: run.wall_s):.2f}",
        f"{middle(lambda run: run.viewer_bytes):,.0f}" if idle else "",
        "" if idle else f"{middle(lambda run: run.redis_us) / chunks:.0f}",
    ]
    return f"| {' | '.join(cells)} |"
