"""A failure in the stack is told together with what the containers said."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.compose.stack import Stack
from tests.house.tree import ROOT

CONFTEST = """
import pytest

from tests.compose.report import *
from tests.compose.stack import Stack

@pytest.fixture
def stack():
    return Stack({project!r})
"""
FAILS = """
def test_something(stack):
    raise RuntimeError("the reason")
"""
PASSES = """
def test_something(stack):
    pass
"""


def run_suite(directory: Path, project: str, suite: str) -> str:
    """Runs the suite against the stack in a pytest of its own, and gives what it printed."""
    (directory / "conftest.py").write_text(CONFTEST.format(project=project))
    (directory / "test_suite.py").write_text(suite)
    (directory / "pytest.ini").write_text("[pytest]\naddopts = -rA -p no:cacheprovider -p no:asyncio\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_the_report_of_a_failure_holds_what_each_container_said_last(stack: Stack, tmp_path: Path) -> None:
    printed = run_suite(tmp_path, stack.project, FAILS)
    assert "RuntimeError: the reason" in printed
    for service in ("gateway", "worker", "redis", "web"):
        assert re.search(rf"^{service}-\d+ +\| ", printed, re.MULTILINE), service


def test_what_passes_says_nothing_of_containers(stack: Stack, tmp_path: Path) -> None:
    printed = run_suite(tmp_path, stack.project, PASSES)
    assert "1 passed" in printed
    assert "docker compose logs" not in printed
