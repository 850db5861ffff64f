"""Ports that can and cannot be had, and what is said then."""

import socket

import pytest

from manycast.local_stack.port import QUIET_PORTS, PortError, check_port, free_port


def test_a_free_port_is_given_back_and_0_stands_for_any() -> None:
    port = free_port()
    assert check_port("127.0.0.1", port, "make run PORT=") == port
    assert check_port("127.0.0.1", 0, "make run PORT=") > 0


def test_no_outgoing_connection_takes_a_free_port_before_its_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as outgoing:
        assert outgoing.getsockname()[1] not in QUIET_PORTS
    assert free_port() in QUIET_PORTS


def test_a_taken_port_is_answered_with_one_that_can_be_had() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortError, match=rf"port {port} is taken; try: make run PORT=(\d+)") as caught:
            check_port("127.0.0.1", port, "make run PORT=")
    offered = int(str(caught.value).rpartition("=")[2])
    assert check_port("127.0.0.1", offered, "make run PORT=") == offered


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 300])
def test_an_address_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(PortError, match=host):
        check_port(host, 0, "make run PORT=")
