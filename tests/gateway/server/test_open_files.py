"""How many connections fit in the limit on open files. Each case lowers the limits of a process of its own."""

import subprocess
import sys

import pytest

from tests.stack import ROOT

PROGRAM = """
import logging, resource, sys
from gateway.server.open_files import fit_connections
logging.basicConfig(stream=sys.stderr)
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(fit_connections(connections), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "fitting", "files"),
    [
        (4000, 4000, 1000, 1000, 4000),
        (256, 4000, 1000, 1000, 1128),
        (256, 1024, 2000, 896, 1024),
        (100, 100, 2000, 1, 100),
    ],
    ids=["enough", "raised", "clamped", "far too few"],
)
def test_the_limit_is_raised_and_connections_fit_in_it(
    soft: int, hard: int, connections: int, fitting: int, files: int
) -> None:
    arguments = map(str, (soft, hard, connections))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(fitting), str(files)]
    assert ("MANYCAST_CONNECTION_LIMIT" in done.stderr) == (fitting < connections)
