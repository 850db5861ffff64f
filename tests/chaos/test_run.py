"""A short run, with a fault of each kind: everyone has seen everything, and nothing is left."""

import os
import shutil
import tempfile
from pathlib import Path

from manycast.chaos.report import details, table
from manycast.chaos.run import ChaosOptions, run_chaos
from manycast.chaos.schedule import Kind

SEED = 4
MINUTES = 0.7


async def test_no_viewer_misses_anything_under_any_fault() -> None:
    # Kept where it fails: the logs are needed then.
    directory = Path(tempfile.mkdtemp(prefix="manycast-chaos-test-"))
    options = ChaosOptions(SEED, MINUTES, gateways=2, workers=2, streams_per_s=1.2)
    tally = await run_chaos(options, directory, os.environ, print)
    print(*table(tally), *details(tally.findings), f"logs: {directory}", sep="\n")
    assert not tally.findings
    # The injector skips commands to Redis while Redis is away.
    assert len(tally.faults) >= len(Kind) - 4, "too few kinds of faults were done to prove anything"
    assert tally.cuts > 20
    assert tally.outcomes["completed"] > 10
    shutil.rmtree(directory)
