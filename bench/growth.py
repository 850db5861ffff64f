"""`python -m bench.growth`: how the cost of an event grows with the work, as a picture: bench/growth.svg.

    python -m bench.growth                 # every panel, some minutes
    python -m bench.growth viewers         # one of them; the others keep their figures

The figures are in bench/growth.json, from which the picture is drawn.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.chart import Line, Panel, draw
from bench.program import HERE, BenchError, compiled_programs
from bench.run import measure
from bench.workload import Workload

FIGURES, PICTURE = HERE / "growth.json", HERE / "growth.svg"
SERVERS = {"manycast": "Manycast", "limit": "C program that only writes"}
EVENT_BYTES = 225


@dataclass(frozen=True, slots=True)
class Growth:
    """`workloads`: what grows -> a workload of that size."""

    title: str
    axis: str
    workloads: Mapping[int, Workload]


def _streams(count: int) -> Workload:
    return Workload("growth", "", (), streams=count, viewers=5, events=25, rate=5, together=500)


def _viewers(count: int) -> Workload:
    return Workload("growth", "", (), viewers=count, events=6, rate=1, together=500)


def _answer(size_bytes: int) -> Workload:
    events = max(1, size_bytes // EVENT_BYTES)
    return Workload("growth", "", (), viewers=50, events=events, preload=events, together=50)


GROWTHS = {
    "streams": Growth(
        "streams with 5 viewers each, 5 events/s", "streams", {count: _streams(count) for count in (10, 50, 200, 1000)}
    ),
    "viewers": Growth(
        "viewers of one stream, 1 event/s",
        "viewers",
        {count: _viewers(count) for count in (100, 300, 1000, 3000, 5000, 10_000, 20_000)},
    ),
    "answers": Growth(
        "50 join a finished answer",
        "bytes of the answer",
        {size: _answer(size) for size in (1000, 10_000, 100_000, 1_000_000, 10_000_000)},
    ),
}

Figures = dict[str, dict[str, dict[str, float]]]
"""panel -> server -> size -> CPU microseconds per event and viewer"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description="Draws how the cost of an event grows.")
    parser.add_argument("panel", nargs="*", help=f"any of {', '.join(GROWTHS)} [default: all]")
    panels: list[str] = parser.parse_args().panel
    if unknown := set(panels) - set(GROWTHS):
        parser.error(f"unknown panel {', '.join(sorted(unknown))}; choose from {', '.join(GROWTHS)}")
    figures: Figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    with compiled_programs() as directory:
        for name in panels or GROWTHS:
            figures[name] = _measure(directory, GROWTHS[name])
            FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
            PICTURE.write_text(draw([_panel(GROWTHS[name], figures[name]) for name in GROWTHS if name in figures]))


def _measure(directory: Path, growth: Growth) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {server: {} for server in SERVERS}
    for size, workload in growth.workloads.items():
        try:
            results = [measure(directory, workload, server) for server in SERVERS]
        except BenchError as error:
            # Larger ones would not fit either.
            print(f"{growth.axis} {size:>10,}  too much for this machine: {error}", file=sys.stderr)
            break
        for result in results:
            if not result.is_correct:
                sys.exit(f"bench: {result.server} delivered an incomplete stream ({growth.axis}: {size:,})")
            found[result.server][str(size)] = round(result.us_per_event, 3)
            print(f"{growth.axis} {size:>10,}  {result.server:9} {result.us_per_event:8.2f} us/event", file=sys.stderr)
    return found


def _panel(growth: Growth, figures: Mapping[str, Mapping[str, float]]) -> Panel:
    return Panel(growth.title, growth.axis, list(_lines(figures)))


def _lines(figures: Mapping[str, Mapping[str, float]]) -> Iterator[Line]:
    for server, name in SERVERS.items():
        yield Line(name, [(float(size), us) for size, us in figures[server].items()])


if __name__ == "__main__":
    main()
