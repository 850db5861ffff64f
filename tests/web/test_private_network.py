"""The browsers' own network."""

import subprocess
import sys

import pytest

PROGRAM = """
import socket
from tests.web.private_network import enter_private_network
try:
    enter_private_network()
except PermissionError as error:
    print(error)
    raise SystemExit(77)
with open("/proc/net/dev") as table:
    print([line.partition(":")[0].strip() for line in table if ":" in line])
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    print("connected")
"""
NO_RIGHT = 77


def test_it_has_the_loopback_interface_and_no_other() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == NO_RIGHT:
        pytest.skip(f"this user may not have a network of its own: {done.stdout.strip()}")
    assert done.stdout.splitlines() == ["['lo']", "connected"], done.stderr
