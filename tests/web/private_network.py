"""A network of its own for the browsers."""

import subprocess
from collections.abc import Sequence

ADDRESS = "192.0.2.1"
"""RFC 5737: for documentation. The tests need an address that is none of the loopback's."""
# Where there is only loopback, a browser says that it is offline. A pair of virtual cards, one at each end of a
# cable, is enough.
_SET_UP = f"""
ip link set lo up
ip link add card0 type veth peer name card1
ip address add {ADDRESS}/24 dev card0
ip link set card0 up
ip link set card1 up
"""
_ENTER = ("unshare", "--net", "--", "sh", "-ec")


class NoPrivateNetworkError(Exception):
    """The system has no such networks, or this user no right to one."""


def in_private_network(command: Sequence[str]) -> list[str]:
    """The command that runs `command` in a new network, which has this machine's programs and nothing outside.

    Raises: NoPrivateNetworkError.
    """
    try:
        tried = subprocess.run([*_ENTER, _SET_UP], capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        raise NoPrivateNetworkError(str(error)) from error
    if tried.returncode:
        raise NoPrivateNetworkError(tried.stderr.strip())
    return [*_ENTER, f'{_SET_UP}exec "$@"', "sh", *command]
