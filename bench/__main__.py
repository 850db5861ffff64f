"""`python -m bench`: measures and prints a table. See bench/README.md."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.contender import CONTENDERS
from bench.journey import JOURNEYS, travel
from bench.program import BenchError, workbench
from bench.run import Result, measure
from bench.table import Table
from bench.workload import WORKLOADS, Workload

ROWS = (*WORKLOADS, *JOURNEYS)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures what Manycast costs, beside others.")
    parser.add_argument("row", nargs="*", help=f"of {', '.join(ROWS)}; all but the long ones, if none is named")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each, interleaved; the table has their medians")
    parser.add_argument("--only", default="", help="these servers in place of the usual ones, parted by commas")
    arguments = parser.parse_args()
    if unknown := set(arguments.row) - set(ROWS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if arguments.only and (unknown := set(arguments.only.split(",")) - set(CONTENDERS)):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(CONTENDERS)}")
    return arguments


def main() -> None:
    arguments = read_arguments()
    rows = arguments.row or [name for name in ROWS if name not in WORKLOADS or not WORKLOADS[name].is_long]
    table = Table()
    try:
        with workbench() as directory:
            absent: set[str] = set()
            for _ in range(arguments.repeat):
                for name in rows:
                    if name in WORKLOADS:
                        for result in run_all(directory, WORKLOADS[name], arguments.only, absent):
                            table.add(result)
                            tell(result)
                    else:
                        table.add_journey(name, travel(JOURNEYS[name]))
    except BenchError as error:
        sys.exit(f"bench: {error}")
    print(table.text())
    if not table.is_correct:
        sys.exit("bench: a viewer of ours lacked an event, see above")


def run_all(directory: Path, workload: Workload, only: str, absent: set[str]) -> Iterator[Result]:
    """One run of each contender. Those that cannot be measured here are told of once."""
    for contender in only.split(",") if only else workload.contenders:
        if contender in absent:
            continue
        try:
            yield measure(directory, workload, contender)
        except BenchError as error:
            if contender == "manycast":
                raise
            absent.add(contender)
            print(f"bench: without {contender}: {error}", file=sys.stderr)


def tell(result: Result) -> None:
    """Progress, on standard error."""
    verdict = "" if result.is_correct else "  INCOMPLETE"
    print(
        f"{result.workload:10} {result.contender:9} {result.us_per_event:8.2f} us/event"
        f"  p99 {result.p99_ms:9.1f} ms  {result.wall_s:6.2f} s{verdict}",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    main()
