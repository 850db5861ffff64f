"""How many connections fit in the limit on open files. Each case lowers the limits of a process of its own."""

import subprocess
import sys

import pytest

from tests.stack import ROOT

PROGRAM = """
import logging, resource, sys
from gateway.server.open_files import fit_connections
logging.basicConfig(stream=sys.stderr, level=logging.INFO)
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(fit_connections(connections), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("limits", "connections", "fitting", "files", "level"),
    [
        pytest.param((4000, 4000), 1000, 1000, 4000, [], id="enough"),
        pytest.param((256, 4000), 1000, 1000, 1128, [], id="raised"),
        pytest.param((256, 1624), 2000, 1496, 1624, ["INFO"], id="a few less"),
        pytest.param((256, 1024), 2000, 896, 1024, ["WARNING"], id="far less"),
        pytest.param((100, 100), 2000, 1, 100, ["WARNING"], id="too few for any"),
    ],
)
def test_the_limit_is_raised_and_connections_fit_in_it(
    limits: tuple[int, int], connections: int, fitting: int, files: int, level: list[str]
) -> None:
    arguments = map(str, (*limits, connections))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(fitting), str(files)]
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == level
