"""Whether a host name is reached without the proxy of the environment. Pure: no I/O, no look-up of names."""

from ipaddress import ip_address


def is_private_host(host: str) -> bool:
    """Whether a host is on this machine or in a private network, as far as its name tells.

    A name without a dot is one of the local network or of a container: a proxy outside cannot look it up.
    """
    name = host.strip("[]").lower()
    try:
        address = ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(".localhost")
    return address.is_loopback or address.is_private or address.is_link_local
