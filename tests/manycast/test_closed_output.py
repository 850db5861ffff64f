"""A closed terminal or pipe does not change a command's exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
WRITE = "import sys; from manycast.__main__ import discard_unwritable_output; sys.stdout.write('text')"


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize(("code", "status"), [(WRITE, 120), (f"{WRITE}; discard_unwritable_output()", 0)])
def test_output_that_cannot_be_written_is_discarded(code: str, status: int) -> None:
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, env=buffered, stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == status, done.stderr
