"""The command `chaos`: runs it, prints the table, and keeps the logs of a failure."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from manycast.chaos.report import details, table
from manycast.chaos.run import Terms, run_chaos
from manycast.chaos.schedule import plan_faults
from manycast.exit_status import Exit


async def wreak(terms: Terms, environ: Mapping[str, str]) -> Exit:
    """NOT_COMPLETED if any count that must be zero is not. Raises: StartupError, BrokerError, PortError."""
    directory = Path(tempfile.mkdtemp(prefix="manycast-chaos-"))
    tally = await run_chaos(terms, directory, environ, print)
    print()
    print(*table(tally), sep="\n")
    if not tally.has_failed:
        shutil.rmtree(directory)
        return Exit.COMPLETED
    print(f"\nFAILED. Do it again with: manycast chaos --seed {terms.seed} --minutes {terms.minutes:g}")
    print(f"The logs of all processes, and what Redis holds, are in {directory}.")
    print(*details(tally.findings), sep="\n")
    return Exit.NOT_COMPLETED


async def foretell(terms: Terms) -> Exit:
    """Prints the faults of a run without doing them."""
    for fault in plan_faults(terms.seed, terms.seconds, terms.workers, terms.gateways):
        print(fault)
    return Exit.COMPLETED
