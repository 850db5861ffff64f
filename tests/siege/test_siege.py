"""The siege attacks real servers of its own and prints what it cost them and others."""

import re
import subprocess
import sys

from tests.stack import ROOT

DEADLINE_S = 120


def test_an_attack_prints_the_memory_of_the_server_and_the_wait_of_another_client() -> None:
    command = [sys.executable, "-m", "tests.siege", "pipelining", "--size", "0.02"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    row = re.fullmatch(r"pipelining +(\d+) +(\d+) +([\d.]+) s +(\d+) of (\d+)", done.stdout.splitlines()[-1])
    assert row is not None, done.stdout
    before, highest, _, refused, asked = map(float, row.groups())
    assert 0 < before <= highest
    assert refused == 0 < asked


def test_an_attack_that_does_not_exist_is_an_error() -> None:
    command = [sys.executable, "-m", "tests.siege", "nothing"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 2
    assert "there is no attack nothing" in done.stderr
