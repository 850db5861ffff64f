"""`manycast chaos`: starts a chaos run, prints its table, and keeps the logs if the run failed."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from manycast.chaos.report import details, table
from manycast.chaos.run import ChaosOptions, run_chaos
from manycast.chaos.schedule import plan_faults
from manycast.exit_status import Exit


async def run_and_report(options: ChaosOptions, environ: Mapping[str, str], command: str) -> Exit:
    """Returns NOT_COMPLETED if there was a violation. `command`: what to type to call `manycast`.

    Raises: StartupError, BrokerError, PortError.
    """
    directory = Path(tempfile.mkdtemp(prefix="manycast-chaos-"))
    tally = await run_chaos(options, directory, environ, print)
    print()
    print(*table(tally), sep="\n")
    if not tally.has_failed:
        shutil.rmtree(directory)
        return Exit.COMPLETED
    again = f"{command} chaos --topology {options.topology} --seed {options.seed} --minutes {options.minutes:g}"
    print(f"\nFAILED. Repeat this run with: {again}")
    print(f"The logs of all processes and the data of Redis are in {directory}.")
    print(*details(tally.findings), sep="\n")
    return Exit.NOT_COMPLETED


async def print_schedule(options: ChaosOptions) -> Exit:
    """Prints the faults that a run with these options would inject."""
    for fault in plan_faults(options.seed, options.seconds, options.workers, options.gateways, options.topology):
        print(fault)
    return Exit.COMPLETED
