"""A short run on each topology, with a fault of each kind: everyone has seen everything, and nothing is left."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from manycast.chaos.checker import Violation
from manycast.chaos.report import details, table
from manycast.chaos.run import ChaosOptions, run_chaos
from manycast.chaos.schedule import GROUPS, TopologyName, kinds_of

SEED = 4
MINUTES = {TopologyName.ONE: 0.7, TopologyName.SENTINEL: 0.6, TopologyName.CLUSTER: 0.6}


@pytest.mark.parametrize("topology", list(TopologyName))
async def test_no_viewer_misses_anything_under_any_fault(topology: TopologyName) -> None:
    # Kept where it fails: the logs are needed then.
    directory = Path(tempfile.mkdtemp(prefix="manycast-chaos-test-"))
    options = ChaosOptions(SEED, MINUTES[topology], gateways=2, workers=2, streams_per_s=1.2, topology=topology)
    tally = await run_chaos(options, directory, os.environ, print)
    print(*table(tally), *details(tally.findings), f"logs: {directory}", sep="\n")
    assert not tally.findings
    # The injector skips commands to Redis while Redis is away.
    assert len(tally.faults) >= len(kinds_of(topology)) - 4, "too few kinds of faults were done to prove anything"
    assert {kind for kind in GROUPS[topology] if not tally.faults[kind]} == set()
    assert tally.cuts > 20
    assert tally.outcomes["completed"] > 10
    assert tally.scripts["steps"] > 10
    assert tally.scripts["questions answered"] > 0
    assert tally.scripts["runs of the documentation's examples"] > 0
    assert any(" final " in user for user in tally.bill), "the provider wrote no bill of scripts"
    assert tally.scripts["calls of examples in the bill"] > 0
    shutil.rmtree(directory)


async def test_a_stream_is_looked_up_however_long_redis_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only when the time is up, there is a limit."""
    monkeypatch.setattr("manycast.chaos.run.LOOK_UP_LIMIT_S", 0.0)
    options = ChaosOptions(SEED, 0.1, gateways=1, workers=1, streams_per_s=1.0)
    tally = await run_chaos(options, tmp_path, os.environ, print)
    assert [finding for finding in tally.findings if finding.violation is Violation.NO_END] == []
