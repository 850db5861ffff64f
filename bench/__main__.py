"""`python -m bench`: runs benchmarks and prints a table. See bench/README.md."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.end_to_end import END_TO_END_PLANS, measure_end_to_end
from bench.first_chunk import measure_first_chunk
from bench.joins import JOIN_PLANS, JOIN_SERVERS, measure_joins
from bench.program import BenchError, compiled_programs
from bench.run import Result, measure
from bench.servers import SERVERS
from bench.table import Table
from bench.workload import WORKLOADS, Workload

FIRST_CHUNK = "first-chunk"
ROWS = (*WORKLOADS, *JOIN_PLANS, FIRST_CHUNK, *END_TO_END_PLANS)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures Manycast and other servers.")
    parser.add_argument("row", nargs="*", help=f"any of {', '.join(ROWS)} [default: all except long ones]")
    parser.add_argument(
        "--repeat", type=int, default=1, help="how often to run each row, interleaved; the table shows medians"
    )
    parser.add_argument("--only", default="", help="measure only these servers, separated by commas")
    arguments = parser.parse_args()
    if unknown := set(arguments.row) - set(ROWS):
        parser.error(f"unknown row {', '.join(sorted(unknown))}; choose from {', '.join(ROWS)}")
    if arguments.only and (unknown := set(arguments.only.split(",")) - set(SERVERS)):
        parser.error(f"unknown server {', '.join(sorted(unknown))}; choose from {', '.join(SERVERS)}")
    return arguments


def main() -> None:
    arguments = read_arguments()
    rows = arguments.row or [name for name in ROWS if name not in WORKLOADS or not WORKLOADS[name].is_long]
    table = Table()
    try:
        with compiled_programs() as directory:
            absent: set[str] = set()
            for _ in range(arguments.repeat):
                for name in rows:
                    if name in WORKLOADS:
                        for result in run_all(directory, WORKLOADS[name], arguments.only, absent):
                            table.add(result)
                            print_progress(result)
                    elif name in JOIN_PLANS:
                        for server in arguments.only.split(",") if arguments.only else JOIN_SERVERS:
                            table.add_join(name, server, measure_joins(directory, JOIN_PLANS[name], server))
                    elif name == FIRST_CHUNK:
                        table.add_first_chunk(measure_first_chunk())
                    else:
                        table.add_end_to_end(name, measure_end_to_end(END_TO_END_PLANS[name]))
    except BenchError as error:
        sys.exit(f"bench: {error}")
    print(table.text())
    if not table.is_correct:
        sys.exit("bench: Manycast delivered a wrong or incomplete stream, see above")


def run_all(directory: Path, workload: Workload, only: str, absent: set[str]) -> Iterator[Result]:
    """Measures each server once. `absent` collects the servers that this machine cannot run; each is reported once."""
    for server in only.split(",") if only else workload.servers:
        if server in absent:
            continue
        try:
            yield measure(directory, workload, server)
        except BenchError as error:
            if server == "manycast":
                raise
            absent.add(server)
            print(f"bench: skipping {server}: {error}", file=sys.stderr)


def print_progress(result: Result) -> None:
    """Prints one result to standard error, while the benchmarks run."""
    verdict = "" if result.is_correct else "  INCOMPLETE"
    print(
        f"{result.workload:10} {result.server:9} {result.us_per_event:8.2f} us/event"
        f"  p99 {result.p99_ms:9.1f} ms  {result.wall_s:6.2f} s{verdict}",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    main()
