"""`python -m bench.figures`: measures what README.md says about performance, and writes the table there.

Rows that you do not name stay as they are. The command prints and writes each row as soon as it has measured it, so a
run that you stop keeps its finished rows. The table stands between two marks, so that nobody edits it by hand.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.end_to_end import END_TO_END_PLANS, measure_end_to_end
from bench.joins import JOIN_PLANS, measure_joins
from bench.program import ROOT, BenchError, compiled_programs
from bench.run import Result, measure
from bench.workload import WORKLOADS

BEGIN, END = "<!-- figures: begin (make figures) -->", "<!-- figures: end -->"
COLUMNS = {
    "manycast": "Manycast",
    "nchan": "nchan (C, in nginx) with Redis",
    "limit": "C limit",
    "naive": "naive server",
}
BEHIND_MS = 1_000
"""A server whose p99 latency is longer has fallen behind."""

Cell = Callable[[Sequence[Result]], str]
"""The runs of a server -> what the table says."""


class UnmarkedError(ValueError):
    """The text has no place for the table, or more than one."""


@dataclass(frozen=True, slots=True)
class Row:
    """`measure` makes the cells of a row by server: (directory of the compiled programs, repetitions) -> cells.
    `unmeasured` are cells of servers that cannot do what the row measures."""

    title: str
    measure: Callable[[Path, int], Mapping[str, str]]
    unmeasured: Mapping[str, str] = field(default_factory=dict)


def _of(figure: Callable[[Result], float]) -> Callable[[Sequence[Result]], float]:
    return lambda runs: median(map(figure, runs))


def _write_cpu(runs: Sequence[Result]) -> str:
    late_ms = _of(lambda run: run.p99_ms)(runs)
    behind = f", falls {late_ms / 1000:.1f} s behind" if late_ms > BEHIND_MS else ""
    return f"{_of(lambda run: run.us_per_event)(runs):.1f} us{behind}"


def _write_rate(runs: Sequence[Result]) -> str:
    rate = _of(lambda run: run.events_per_s)(runs)
    return f"{rate / 1e6:.1f} M events/s" if rate >= 1e6 else f"{rate / 1e3:.0f} k events/s"


def _write_latency(runs: Sequence[Result]) -> str:
    late_ms = _of(lambda run: run.p99_ms)(runs)
    return f"{late_ms / 1000:.1f} s" if late_ms > BEHIND_MS else f"{late_ms:.0f} ms"


def _write_time(runs: Sequence[Result]) -> str:
    return f"{_of(lambda run: run.wall_s)(runs):.2f} s"


def _write_memory(runs: Sequence[Result]) -> str:
    return f"{_of(lambda run: run.viewer_bytes)(runs) / 1000:.1f} KB"


def _measure_workload(name: str, write: Cell, servers: Sequence[str]) -> Callable[[Path, int], Mapping[str, str]]:
    def measure_all(directory: Path, repeat: int) -> Mapping[str, str]:
        runs: dict[str, list[Result]] = defaultdict(list)
        for _ in range(repeat):
            for server in servers:
                try:
                    runs[server].append(measure(directory, WORKLOADS[name], server))
                except BenchError as error:
                    if server == "manycast":
                        raise
                    print(f"figures: no {server}: {error}", file=sys.stderr)
        if not all(run.is_correct for run in runs["manycast"]):
            raise BenchError(f"{name}: Manycast delivered a wrong or incomplete stream")
        return {server: write(found) for server, found in runs.items() if found}

    return measure_all


def _measure_joins(directory: Path, repeat: int) -> Mapping[str, str]:
    spent: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeat):
        for server in ("manycast", "limit"):
            spent[server].append(measure_joins(directory, JOIN_PLANS["joins"], server))
    return {server: f"{median(us):.0f} us" for server, us in spent.items()}


def _measure_end_to_end(_: Path, repeat: int) -> Mapping[str, str]:
    p50_ms = median(measure_end_to_end(END_TO_END_PLANS["end-to-end"]).p50_ms for _ in range(repeat))
    return {"manycast": f"{p50_ms:.1f} ms"}


_ALL, _HISTORY = tuple(COLUMNS), ("manycast", "nchan", "limit")
ROWS = {
    "crowd": Row("CPU per event and viewer: 1,000 viewers", _measure_workload("crowd", _write_cpu, _ALL)),
    "room": Row("CPU per event and viewer: 100 viewers", _measure_workload("room", _write_cpu, _ALL)),
    "streams": Row(
        "CPU per event and viewer: 200 streams with 5 viewers each", _measure_workload("streams", _write_cpu, _ALL)
    ),
    "flood": Row("maximum throughput to 1,000 viewers", _measure_workload("flood", _write_rate, _ALL)),
    "stadium": Row("p99 latency, 5,000 viewers of one stream", _measure_workload("stadium", _write_latency, _HISTORY)),
    "joins": Row("CPU for a viewer who joins", _measure_joins),
    "late": Row(
        "500 viewers read a finished stream of 2,000 events",
        _measure_workload("late", _write_time, _HISTORY),
        {"naive": "no history"},
    ),
    "stalled": Row(
        "p99 latency of 450 viewers while 50 others read nothing",
        _measure_workload("stalled", _write_latency, _HISTORY),
    ),
    "idle": Row("memory per idle viewer", _measure_workload("idle", _write_memory, ("manycast", "nchan"))),
    "end-to-end": Row("median time of a chunk from the provider's write to the viewer's read", _measure_end_to_end),
}


def write_table(text: str, measured: Mapping[str, Mapping[str, str]]) -> str:
    """`text` with the cells of the rows that were measured, by row and server. Raises: UnmarkedError."""
    if (text.count(BEGIN), text.count(END)) != (1, 1) or text.index(BEGIN) > text.index(END):
        raise UnmarkedError("the two marks of the table are missing, or not alone")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    known = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("|")}
    lines = ["", f"| | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, row in ROWS.items():
        cells = measured.get(name)
        if cells is not None:
            filled = {**row.unmeasured, **cells}
            lines.append(f"| {' | '.join([row.title, *(filled.get(server, '') for server in COLUMNS)])} |")
        elif row.title in known:
            lines.append(known[row.title])
    return f"{before}{BEGIN}\n" + "\n".join([*lines, "", ""]) + f"{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.figures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("row", nargs="*", help=f"any of {', '.join(ROWS)} [default: all]")
    parser.add_argument("--repeat", type=int, default=3, help="how often to run each row, interleaved: medians count")
    arguments = parser.parse_args()
    if unknown := set(arguments.row) - set(ROWS):
        parser.error(f"unknown row {', '.join(sorted(unknown))}; choose from {', '.join(ROWS)}")
    page = ROOT / "README.md"
    try:
        with compiled_programs() as directory:
            for name in arguments.row or ROWS:
                started = time.monotonic()
                cells = ROWS[name].measure(directory, arguments.repeat)
                page.write_text(write_table(page.read_text(), {name: cells}))
                found = ", ".join(f"{COLUMNS[server]} {cell}" for server, cell in cells.items())
                print(f"{name}: {found} ({time.monotonic() - started:.0f} s)", flush=True)
    except BenchError as error:
        sys.exit(f"figures: {error}")


if __name__ == "__main__":
    main()
