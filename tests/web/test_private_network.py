"""The browsers' own network."""

import subprocess
import sys

import pytest

from tests.web.private_network import ADDRESS, NoPrivateNetworkError, in_private_network

PROGRAM = """
import socket
print(sorted(name for _, name in socket.if_nameindex()))
for address in ("127.0.0.1", "%s"):
    with socket.create_server((address, 0)) as server, socket.create_connection(server.getsockname()):
        print("connected")
"""


def test_it_is_apart_from_this_machines_network_and_its_addresses_work() -> None:
    try:
        command = in_private_network([sys.executable, "-c", PROGRAM % ADDRESS])
    except NoPrivateNetworkError as error:
        pytest.skip(f"this user may not have a network of its own: {error}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["['card0', 'card1', 'lo']", "connected", "connected"], done.stderr
