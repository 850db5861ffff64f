"""Finds the address of this machine in its local network."""

import socket
from ipaddress import ip_address

ELSEWHERE = ("192.0.2.1", 9)
"""An address reserved for documentation, which no machine has (RFC 5737)."""


def find_nearby_address() -> str | None:
    """The IPv4 address from which this machine would send to other networks; None if it is in no network.

    Sends nothing: connecting a UDP socket only asks the kernel for the route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return None if ip_address(address).is_loopback else address
