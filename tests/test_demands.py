"""A machine that must run everything does not pass by skipping."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

SKIPS_A_TEST = """
import pytest

def test_a_page():
    pytest.skip("no browser here")
"""
SKIPS_A_MODULE = """
import pytest

pytest.skip("no engine here", allow_module_level=True)
"""


def run_suite(directory: Path, suite: str, demanded: str, *options: str) -> tuple[int, str]:
    """Runs the suite with the hooks of this house in a pytest of its own; its status and what it printed."""
    (directory / "conftest.py").write_text("from tests.demands import *")
    (directory / "test_suite.py").write_text(suite)
    (directory / "pytest.ini").write_text("[pytest]\naddopts = -ra -p no:cacheprovider -p no:asyncio\n")
    environment = {**os.environ, "MANYCAST_REQUIRE": demanded, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=directory,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("suite", "reason"), [(SKIPS_A_TEST, "no browser here"), (SKIPS_A_MODULE, "no engine here")], ids=["test", "module"]
)
def test_a_skip_fails_where_everything_is_demanded(tmp_path: Path, suite: str, reason: str) -> None:
    status, printed = run_suite(tmp_path, suite, "all")
    assert status != 0
    assert reason in printed


def test_a_skip_fails_in_a_process_of_xdist_too(tmp_path: Path) -> None:
    status, printed = run_suite(tmp_path, SKIPS_A_TEST, "all", "-n", "1")
    assert status != 0
    assert "no browser here" in printed


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path) -> None:
    status, printed = run_suite(tmp_path, SKIPS_A_TEST, "")
    assert status == 0
    assert "no browser here" in printed
