"""Which hosts are reached without the proxy of the environment."""

import pytest

from contract.private_host import is_private_host


@pytest.mark.parametrize(
    "host",
    ["localhost", "a.localhost", "127.0.0.1", "[::1]", "10.1.2.3", "192.168.1.5", "172.16.0.9", "fd00::1", "ollama"],
)
def test_a_host_of_this_machine_or_network_is_private(host: str) -> None:
    assert is_private_host(host)


@pytest.mark.parametrize(
    "host", ["api.openai.com", "8.8.8.8", "[2606:4700::1]", "localhost.evil.example", "172.32.0.1"]
)
def test_any_other_host_is_not(host: str) -> None:
    assert not is_private_host(host)
